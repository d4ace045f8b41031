#include "compare/formula.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "compare/statistics.h"

namespace scorelab::compare {
namespace {

const std::vector<std::string> functions{"abs", "sqrt", "log",    "exp",     "min",
                                         "max", "mean", "median", "geomean", "slope"};

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class Parser {
 public:
  Parser(const std::string& text, const Comparison& c, const Names* names)
      : text_(text), c_(c), names_(names) {}

  Formula chain() {
    Formula out;
    out.sides.push_back(sum());
    while (true) {
      blanks();
      std::string relation;
      for (const char* r : {"<=", ">=", "<", ">", "="})
        if (text_.compare(i_, std::string(r).size(), r) == 0) {
          relation = r;
          break;
        }
      if (relation.empty()) break;
      i_ += relation.size();
      out.relations.push_back(relation);
      out.sides.push_back(sum());
    }
    if (i_ < text_.size())
      fail(fmt::format("`{}` is not expected here", text_.substr(i_, 1)),
           "an operator, a relation or the end");
    if (out.relations.empty())
      fail("a claim compares: it needs <, >, <=, >= or =", "such as mmd[a] < mmd[b]", 0,
           static_cast<int>(text_.size()));
    return out;
  }

  Coordinates places(const char* until) {
    Coordinates out;
    while (true) {
      blanks();
      const std::size_t begin = i_;
      std::string word = label();
      if (word.empty()) fail("a label is expected", "a variant, or an axis's value");
      blanks();
      if (i_ < text_.size() && text_[i_] == '=') {
        ++i_;
        blanks();
        const std::size_t at = i_;
        const std::string value = manifest::canonical_label(label());
        place(out, word, value, begin, at);
      } else {
        place_of(out, manifest::canonical_label(word), begin);
      }
      blanks();
      if (i_ < text_.size() && text_[i_] == ',') {
        ++i_;
        continue;
      }
      if (*until == 0 ? i_ == text_.size() : (i_ < text_.size() && text_[i_] == *until)) {
        if (*until) ++i_;
        return out;
      }
      fail(fmt::format("`{}` is expected here", *until ? until : "the end"),
           "labels are separated by commas");
    }
  }

 private:
  [[noreturn]] void fail(std::string message, std::string hint, int column = -1,
                         int length = 1) const {
    throw FormulaError{std::move(message), std::move(hint),
                       column < 0 ? static_cast<int>(i_) : column, std::max(1, length)};
  }

  void blanks() {
    while (i_ < text_.size() && (text_[i_] == ' ' || text_[i_] == '\t' || text_[i_] == '\n')) ++i_;
  }

  static bool letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

  /// Whatever names in a manifest may hold.
  std::string label() {
    const std::size_t begin = i_;
    while (i_ < text_.size() && std::string(",=[] \t\n").find(text_[i_]) == std::string::npos) ++i_;
    return text_.substr(begin, i_ - begin);
  }

  /// A name may hold dots, and dashes between letters: blanks make a dash a minus.
  std::string name() {
    const std::size_t begin = i_;
    while (i_ < text_.size() &&
           (letter(text_[i_]) || ((text_[i_] == '-' || text_[i_] == '.') && i_ + 1 < text_.size() &&
                                  letter(text_[i_ + 1]))))
      ++i_;
    return text_.substr(begin, i_ - begin);
  }

  void place(Coordinates& out, const std::string& axis, const std::string& value,
             std::size_t axis_at, std::size_t value_at) const {
    if (!contains(c_.places(), axis)) {
      const std::string near = manifest::nearest(axis, c_.places());
      fail(fmt::format("there is no axis `{}`", axis),
           near.empty() ? fmt::format("axes: {}", fmt::join(c_.places(), ", "))
                        : fmt::format("did you mean `{}`?", near),
           static_cast<int>(axis_at), static_cast<int>(axis.size()));
    }
    const auto labels = c_.labels(axis);
    if (!contains(labels, value)) {
      const std::string near = manifest::nearest(value, labels);
      fail(fmt::format("`{}` has no value `{}`", axis, value),
           near.empty() ? fmt::format("values: {}", fmt::join(labels, ", "))
                        : fmt::format("did you mean `{}`?", near),
           static_cast<int>(value_at), static_cast<int>(std::max<std::size_t>(1, value.size())));
    }
    if (label_at(out, axis))
      fail(fmt::format("`{}` is placed twice", axis), "one value of each axis",
           static_cast<int>(axis_at));
    out.emplace_back(axis, value);
  }

  void place_of(Coordinates& out, const std::string& value, std::size_t at) const {
    std::vector<std::string> found, all;
    for (const auto& axis : c_.places()) {
      const auto labels = c_.labels(axis);
      if (contains(labels, value)) found.push_back(axis);
      all.insert(all.end(), labels.begin(), labels.end());
    }
    if (found.size() == 1) return place(out, found[0], value, at, at);
    const int length = static_cast<int>(value.size());
    if (found.size() > 1)
      fail(fmt::format("`{}` is a value of {}", value, fmt::join(found, " and ")),
           fmt::format("say {}={}", found[0], value), static_cast<int>(at), length);
    const std::string near = manifest::nearest(value, all);
    fail(fmt::format("there is no variant and no value `{}`", value),
         near.empty() ? "a variant, or axis=value" : fmt::format("did you mean `{}`?", near),
         static_cast<int>(at), length);
  }

  Formula::Node sum() {
    Formula::Node left = product();
    while (true) {
      blanks();
      if (i_ >= text_.size() || (text_[i_] != '+' && text_[i_] != '-')) return left;
      left = binary(std::move(left), text_[i_++]);
      left.inner.push_back(product());
    }
  }

  Formula::Node product() {
    Formula::Node left = factor();
    while (true) {
      blanks();
      if (i_ >= text_.size() || (text_[i_] != '*' && text_[i_] != '/')) return left;
      left = binary(std::move(left), text_[i_++]);
      left.inner.push_back(factor());
    }
  }

  Formula::Node binary(Formula::Node left, char op) const {
    Formula::Node out{Formula::Kind::binary, 0, std::string(1, op), {}, "", {}, left.column};
    out.inner.push_back(std::move(left));
    return out;
  }

  Formula::Node factor() {
    blanks();
    const int column = static_cast<int>(i_);
    if (i_ >= text_.size())
      fail("a quantity or a number is expected", "the formula ends too early");
    if (text_[i_] == '-') {
      ++i_;
      Formula::Node out{Formula::Kind::negate, 0, "", {}, "", {}, column};
      out.inner.push_back(factor());
      return out;
    }
    if (text_[i_] == '(') {
      ++i_;
      Formula::Node out = sum();
      close(')');
      return out;
    }
    if (std::isdigit(static_cast<unsigned char>(text_[i_])) || text_[i_] == '.') {
      double number = 0;
      const auto [end, wrong] =
          std::from_chars(text_.data() + i_, text_.data() + text_.size(), number);
      if (wrong != std::errc()) fail("this is no number", "such as 0.05 or 1e-3");
      i_ = static_cast<std::size_t>(end - text_.data());
      return {Formula::Kind::number, number, "", {}, "", {}, column};
    }
    const std::string word = name();
    if (word.empty())
      fail(fmt::format("`{}` is not expected here", text_.substr(i_, 1)),
           "a quantity, a number or a function");
    blanks();
    if (i_ < text_.size() && text_[i_] == '(') return call(word, column);
    if (names_->knows(word)) {
      Formula::Node out{Formula::Kind::quantity, 0, word, {}, "", {}, column};
      if (i_ < text_.size() && text_[i_] == '[') {
        ++i_;
        out.places = places("]");
      }
      return out;
    }
    if (contains(c_.places(), word) && word != "variant") {
      for (const auto& l : c_.labels(word)) number_of(l, word, column);
      return {Formula::Kind::axis, 0, word, {}, "", {}, column};
    }
    const auto all = names_->all();
    const std::string near = manifest::nearest(word, all);
    fail(fmt::format("nothing is called `{}`", word),
         near.empty() ? fmt::format("quantities: {}", fmt::join(all, ", "))
                      : fmt::format("did you mean `{}`?", near),
         column, static_cast<int>(word.size()));
  }

  double number_of(const std::string& label, const std::string& axis, int column) const {
    double number = 0;
    const auto [end, wrong] = std::from_chars(label.data(), label.data() + label.size(), number);
    if (wrong != std::errc() || end != label.data() + label.size())
      fail(fmt::format("the axis `{}` has no numbers: `{}`", axis, label),
           "only an axis of numbers has a value", column, static_cast<int>(axis.size()));
    return number;
  }

  void close(char bracket) {
    blanks();
    if (i_ >= text_.size() || text_[i_] != bracket)
      fail(fmt::format("`{}` is expected here", bracket), "a bracket is open");
    ++i_;
  }

  Formula::Node call(const std::string& word, int column) {
    if (!contains(functions, word)) {
      const std::string near = manifest::nearest(word, functions);
      fail(fmt::format("there is no function `{}`", word),
           near.empty() ? fmt::format("functions: {}", fmt::join(functions, ", "))
                        : fmt::format("did you mean `{}`?", near),
           column, static_cast<int>(word.size()));
    }
    ++i_;
    Formula::Node out{Formula::Kind::call, 0, word, {}, "", {}, column};
    while (true) {
      blanks();
      const std::size_t begin = i_;
      const std::string axis = name();
      blanks();
      const bool last = i_ < text_.size() && text_[i_] == ')';
      if (last && !out.inner.empty() && contains(c_.places(), axis) && !names_->knows(axis)) {
        out.over = axis;
        if (word == "slope")
          for (const auto& l : c_.labels(axis)) number_of(l, axis, static_cast<int>(begin));
        ++i_;
        break;
      }
      i_ = begin;
      out.inner.push_back(sum());
      blanks();
      if (i_ < text_.size() && text_[i_] == ',') {
        ++i_;
        continue;
      }
      close(')');
      break;
    }
    const bool one = word == "abs" || word == "sqrt" || word == "log" || word == "exp";
    if (one && (out.inner.size() != 1 || !out.over.empty()))
      fail(fmt::format("`{}` takes one value", word), "such as abs(a - b)", column,
           static_cast<int>(word.size()));
    if (!out.over.empty() && out.inner.size() != 1)
      fail(fmt::format("`{}` over an axis takes one value", word),
           fmt::format("such as {}(mmd, {})", word, out.over), column,
           static_cast<int>(word.size()));
    if (word == "slope" && out.over.empty())
      fail("`slope` needs an axis", "such as slope(mmd[heun], nfe)", column, 5);
    if (!one && out.over.empty() && out.inner.size() < 2)
      fail(fmt::format("`{}` takes several values, or one over an axis", word), "such as min(a, b)",
           column, static_cast<int>(word.size()));
    return out;
  }

  const std::string& text_;
  const Comparison& c_;
  const Names* names_;
  std::size_t i_ = 0;
};

void free_of(const Formula::Node& node, const std::vector<Coordinates>& cells,
             std::set<std::string> bound, std::set<std::string>& out) {
  if (!node.over.empty()) bound.insert(node.over);
  if (node.kind == Formula::Kind::axis && !bound.contains(node.name)) out.insert(node.name);
  if (node.kind == Formula::Kind::quantity)
    for (const auto& cell : cells) {
      if (!std::all_of(node.places.begin(), node.places.end(),
                       [&](const auto& p) { return label_at(cell, p.first) == p.second; }))
        continue;
      for (const auto& [axis, label] : cell)
        if (!bound.contains(axis) && !label_at(node.places, axis)) out.insert(axis);
    }
  for (const auto& inner : node.inner) free_of(inner, cells, bound, out);
}

Coordinates with(Coordinates at, const std::string& axis, const std::string& label) {
  for (auto& place : at)
    if (place.first == axis) {
      place.second = label;
      return at;
    }
  at.emplace_back(axis, label);
  return at;
}

double reduce(const std::string& name, const std::vector<double>& x) {
  if (std::any_of(x.begin(), x.end(), [](double v) { return std::isnan(v); }))
    return std::numeric_limits<double>::quiet_NaN();
  if (name == "min") return *std::min_element(x.begin(), x.end());
  if (name == "max") return *std::max_element(x.begin(), x.end());
  if (name == "mean") return mean(x);
  if (name == "median") return median(x);
  double sum = 0;
  for (const double v : x) sum += std::log(v);
  return std::exp(sum / static_cast<double>(x.size()));
}

}  // namespace

std::vector<std::string> Names::all() const {
  auto out = metrics;
  for (const auto& c : known_costs()) out.push_back(c.name);
  for (const auto& a : comparison->places())
    if (a != "variant") out.push_back(a);
  return out;
}

bool Names::knows(const std::string& quantity) const {
  for (const auto& m : metrics)
    if (quantity == m || quantity.rfind(m + ".", 0) == 0) return true;
  return std::any_of(known_costs().begin(), known_costs().end(), [&](const Quantity& c) {
    return c.name == quantity && !contains(comparison->places(), quantity);
  });
}

std::set<std::string> Formula::free_axes(const std::vector<Coordinates>& cells) const {
  std::set<std::string> out;
  for (const auto& side : sides) free_of(side, cells, {}, out);
  return out;
}

namespace {
/// Bounds how deep a formula can be nested.
constexpr std::size_t longest = 4000;
}  // namespace

std::optional<Formula> parse(const std::string& text, const Names& names, FormulaError& error) {
  if (text.size() > longest) {
    error = {"the formula is too long", fmt::format("at most {} characters", longest), 0, 1};
    return std::nullopt;
  }
  try {
    return Parser(text, *names.comparison, &names).chain();
  } catch (const FormulaError& e) {
    error = e;
    return {};
  }
}

std::optional<Coordinates> parse_place(const std::string& text, const Comparison& comparison,
                                       FormulaError& error) {
  try {
    return Parser(text, comparison, nullptr).places("");
  } catch (const FormulaError& e) {
    error = e;
    return {};
  }
}

std::optional<double> value(const Formula::Node& n, const Coordinates& at, const Comparison& c,
                            const Lookup& lookup) {
  const auto inner = [&](std::size_t i, const Coordinates& where) {
    return value(n.inner[i], where, c, lookup);
  };
  switch (n.kind) {
    case Formula::Kind::number:
      return n.number;
    case Formula::Kind::axis:
      return std::strtod(label_at(at, n.name)->c_str(), nullptr);
    case Formula::Kind::negate: {
      const auto x = inner(0, at);
      return x ? std::optional(-*x) : std::nullopt;
    }
    case Formula::Kind::quantity: {
      Coordinates where = at;
      for (const auto& [axis, label] : n.places) where = with(std::move(where), axis, label);
      return lookup(n.name, where);
    }
    case Formula::Kind::binary: {
      const auto a = inner(0, at), b = inner(1, at);
      if (!a || !b) return {};
      if (n.name == "+") return *a + *b;
      if (n.name == "-") return *a - *b;
      if (n.name == "*") return *a * *b;
      return *a / *b;
    }
    case Formula::Kind::call:
      break;
  }
  std::vector<double> x, along;
  if (n.over.empty()) {
    for (std::size_t i = 0; i < n.inner.size(); ++i) {
      const auto one = inner(i, at);
      if (!one) return {};
      x.push_back(*one);
    }
  } else {
    const auto fixed = label_at(at, "@" + n.over);  // `at` of the claim restricts the axis
    for (const auto& label : c.labels(n.over)) {
      if (fixed && ("," + *fixed + ",").find("," + label + ",") == std::string::npos) continue;
      const auto one = inner(0, with(at, n.over, label));
      if (!one) continue;  // not every variant has every value
      x.push_back(*one);
      if (n.name == "slope") along.push_back(std::strtod(label.c_str(), nullptr));
    }
    if (x.empty()) return {};
  }
  if (n.name == "abs") return std::abs(x[0]);
  if (n.name == "sqrt") return std::sqrt(x[0]);
  if (n.name == "log") return std::log(x[0]);
  if (n.name == "exp") return std::exp(x[0]);
  if (n.name == "slope") return log_slope(along, x);
  return reduce(n.name, x);
}

}  // namespace scorelab::compare
