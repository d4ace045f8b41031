#include "cli/where.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <cctype>
#include <charconv>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace scorelab::cli {

using schema::Json;

struct Where::Node {
  std::string op;  // and, or, not, or a relation
  std::string name, value;
  std::vector<std::unique_ptr<Node>> inner;
};

namespace {

std::optional<double> number(const std::string& text) {
  double v = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), v);
  return wrong == std::errc() && end == text.data() + text.size() && !text.empty()
             ? std::optional(v)
             : std::nullopt;
}

std::optional<double> number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  return value.is_string() ? number(value.get<std::string>()) : std::nullopt;
}

/// Below 0, 0 or above 0, as of strings; NaN where one of them is NaN.
double order(double a, double b) {
  if (a < b) return -1;
  if (a > b) return 1;
  return a == b ? 0 : std::numeric_limits<double>::quiet_NaN();
}

bool compare(const std::string& op, double c) {
  if (op == "<") return c < 0;
  if (op == "<=") return c <= 0;
  if (op == ">") return c > 0;
  if (op == ">=") return c >= 0;
  return op == "=" ? c == 0 : c != 0;
}

struct Token {
  std::string text;
  bool quoted = false;
  std::size_t at = 0;
};

std::vector<Token> tokens(const std::string& text) {
  std::vector<Token> out;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isspace(static_cast<unsigned char>(text[i]))) {
      ++i;
    } else if (text[i] == '"' || text[i] == '\'') {
      const auto end = text.find(text[i], i + 1);
      if (end == text.npos) throw Error(fmt::format("--where: a quote is open at {}", i + 1));
      out.push_back({text.substr(i + 1, end - i - 1), true, i});
      i = end + 1;
    } else if (std::string("<>=!").find(text[i]) != std::string::npos) {
      const std::size_t n = i + 1 < text.size() && text[i + 1] == '=' ? 2 : 1;
      out.push_back({text.substr(i, n) == "==" ? "=" : text.substr(i, n), false, i});
      i += n;
    } else if (text[i] == '(' || text[i] == ')') {
      out.push_back({text.substr(i, 1), false, i});
      ++i;
    } else {
      const std::size_t begin = i;
      while (i < text.size() && !std::isspace(static_cast<unsigned char>(text[i])) &&
             std::string("<>=!()\"'").find(text[i]) == std::string::npos)
        ++i;
      out.push_back({text.substr(begin, i - begin), false, begin});
    }
  }
  return out;
}

}  // namespace

Where::Where(const std::string& text) {
  if (text.size() > 4000)
    throw Error("--where: the condition is too long; at most 4000 characters");
  const auto all = tokens(text);
  std::size_t i = 0;
  const auto is = [&](const char* word) {
    return i < all.size() && !all[i].quoted && all[i].text == word;
  };
  const auto fail = [&](const std::string& expected) {
    throw Error(fmt::format("--where: {} is expected {}", expected,
                            i < all.size()
                                ? fmt::format("at {}, not `{}`", all[i].at + 1, all[i].text)
                                : "at the end"));
  };
  std::function<std::unique_ptr<Node>()> any, every, one;
  one = [&]() -> std::unique_ptr<Node> {
    auto node = std::make_unique<Node>();
    if (is("not")) {
      ++i;
      node->op = "not";
      node->inner.push_back(one());
      return node;
    }
    if (is("(")) {
      ++i;
      auto inner = any();
      if (!is(")")) fail("`)`");
      ++i;
      return inner;
    }
    if (i >= all.size() || std::string("()<>=!").find(all[i].text[0]) != std::string::npos)
      fail("a name");
    node->name = all[i++].text;
    if (i >= all.size() || all[i].quoted ||
        std::string("<>=!").find(all[i].text[0]) == std::string::npos || all[i].text == "!")
      fail("<, <=, >, >=, = or !=");
    node->op = all[i++].text;
    if (i >= all.size()) fail("a value");
    node->value = all[i++].text;
    return node;
  };
  const auto chain = [&](const char* word, const std::function<std::unique_ptr<Node>()>& part) {
    auto left = part();
    while (is(word)) {
      ++i;
      auto node = std::make_unique<Node>();
      node->op = word;
      node->inner.push_back(std::move(left));
      node->inner.push_back(part());
      left = std::move(node);
    }
    return left;
  };
  every = [&] { return chain("and", one); };
  any = [&] { return chain("or", every); };
  root_ = any();
  if (i < all.size()) fail("`and`, `or` or the end");
}

Where::~Where() = default;

bool Where::holds(const Json& run) const {
  const std::function<bool(const Node&)> test = [&](const Node& n) -> bool {
    if (n.op == "and") return test(*n.inner[0]) && test(*n.inner[1]);
    if (n.op == "or") return test(*n.inner[0]) || test(*n.inner[1]);
    if (n.op == "not") return !test(*n.inner[0]);
    if (!run.contains(n.name)) return false;
    const Json& v = run[n.name];
    const auto wanted = number(n.value);
    const auto own = number(v);
    if (wanted && own) return compare(n.op, order(*own, *wanted));
    return compare(n.op, (v.is_string() ? v.get<std::string>() : v.dump()).compare(n.value));
  };
  return test(*root_);
}

}  // namespace scorelab::cli
