#include "values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "manifest/check.h"
#include "params/sha256.h"

namespace scorelab::manifest {
namespace {

using Kind = Node::Kind;

std::string expected(const schema::Param& p) {
  static const std::map<std::string, std::string> words{
      {"bool", "true or false"},
      {"int", "an integer"},
      {"float", "a number"},
      {"string", "a string"},
      {"floats", "an array of numbers"},
      {"ints", "an array of integers"},
      {"strings", "an array of strings"},
      {"matrix", "an array of arrays of numbers"},
      {"number-or-word", "a number"},
      {"slot", "a plugin's name, or a table with `plugin`"}};
  if (!p.words.empty() && p.type == "string")
    return fmt::format("one of \"{}\"", fmt::join(p.words, "\", \""));
  if (p.type == "number-or-word" && p.words.size() == 1)
    return fmt::format("a number or \"{}\"", p.words[0]);
  if (p.type == "number-or-word")
    return fmt::format("a number, \"{}\" or \"{}\"",
                       fmt::join(p.words.begin(), p.words.end() - 1, "\", \""), p.words.back());
  return words.at(p.type);
}

bool is_number(const Node& n) { return n.kind == Kind::number || n.kind == Kind::integer; }
double number_of(const Node& n) {
  return n.kind == Kind::integer ? static_cast<double>(n.integer) : n.number;
}

}  // namespace

void Findings::problem(Diagnostic d) {
  if (seen_.emplace(place(d.at), d.message).second) problems_.push_back(std::move(d));
}

void Findings::warning(Diagnostic d) {
  d.warning = true;
  if (seen_.emplace(place(d.at), d.message).second) warnings_.push_back(std::move(d));
}

void Findings::unused(const Position& key, const std::string& name, Diagnostic d) {
  unused_.try_emplace(std::pair(place(key), name), std::move(d));
}

std::vector<Diagnostic> Findings::all() const {
  auto out = problems_;
  for (const auto& [key, d] : unused_)
    if (!used_.contains(key) && !seen_.contains({place(d.at), d.message})) out.push_back(d);
  return out;
}

void TableReader::problem(const Position& at, std::string message, std::string hint,
                          std::vector<std::string> notes) {
  findings_.problem({at, std::move(message), std::move(hint), std::move(notes)});
}

void TableReader::leave_out(const Node::Member& m, const std::string& why, Diagnostic d) {
  if (m.must_fit) return findings_.problem(std::move(d));
  left_out_.push_back(fmt::format("`{}` ({})", m.key, why));
  if (!m.carried) findings_.unused(m.key_at, m.key, std::move(d));
}

bool TableReader::in_range(const Node& node, const schema::Param& p, double number) {
  if (!std::isfinite(number) || (p.low && (number < *p.low || number > *p.high))) {
    problem(node.at, fmt::format("`{}` is out of range", p.name),
            p.low ? fmt::format("from {} to {}", *p.low, *p.high) : "a finite number", {p.doc});
    return false;
  }
  return true;
}

bool TableReader::value(const Node& n, const schema::Param& p, const std::string& owner,
                        Json& out) {
  const auto wrong = [&](const Node& item, const std::string& wanted) {
    problem(item.at,
            fmt::format("{}`{}` of {} is {}", &item == &n ? "" : "an entry of ", p.name, owner,
                        item.kind_name()),
            "expected " + wanted, {p.doc});
    return false;
  };
  const auto list = [&](const Node& from, const std::string& wanted, auto&& element, Json& to) {
    if (from.kind != Kind::array) return wrong(from, wanted);
    Json all = Json::array();
    for (const auto& item : from.items) {
      Json one;
      if (!element(item, one)) return false;
      all.push_back(std::move(one));
    }
    to = std::move(all);
    return true;
  };
  const auto real = [&](const Node& item, Json& to) {
    if (!is_number(item)) return wrong(item, &item == &n ? expected(p) : "a number");
    if (!in_range(item, p, number_of(item))) return false;
    to = number_of(item);
    return true;
  };
  const auto whole = [&](const Node& item, Json& to) {
    if (item.kind != Kind::integer) return wrong(item, "an integer");
    if (!in_range(item, p, number_of(item))) return false;
    to = item.integer;
    return true;
  };
  const auto word = [&](const Node& item, Json& to) {
    return item.kind == Kind::string ? (to = item.string, true) : wrong(item, "a string");
  };
  const auto row = [&](const Node& item, Json& to) {
    return list(item, "an array of numbers", real, to);
  };
  if (p.type == "bool")
    return n.kind == Kind::boolean ? (out = n.boolean, true) : wrong(n, expected(p));
  if (p.type == "int") return whole(n, out);
  if (p.type == "float") return real(n, out);
  if (p.type == "floats") return list(n, expected(p), real, out);
  if (p.type == "ints") return list(n, expected(p), whole, out);
  if (p.type == "strings") return list(n, expected(p), word, out);
  if (p.type == "matrix") return list(n, expected(p), row, out);
  if (p.type == "number-or-word" && is_number(n)) return real(n, out);
  return n.kind == Kind::string ? string(n, p, out) : wrong(n, expected(p));
}

bool TableReader::string(const Node& n, const schema::Param& p, Json& out) {
  if (!p.words.empty() && std::find(p.words.begin(), p.words.end(), n.string) == p.words.end()) {
    const std::string near = nearest(n.string, p.words);
    problem(n.at, fmt::format("`{}` cannot be \"{}\"", p.name, n.string),
            (near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near)) + "expected " +
                expected(p),
            {p.doc});
    return false;
  }
  if (p.file && n.string != p.initial) {  // the default may name none
    const auto path = std::filesystem::path(findings_.sources.folder(n.at)) / n.string;
    if (!std::filesystem::is_regular_file(path)) {
      problem(n.at, fmt::format("`{}` names a file that is not there", p.name), path.string(),
              {p.doc});
      return false;
    }
    out = std::filesystem::absolute(path).lexically_normal().string();
    return true;
  }
  out = n.string;
  return true;
}

void TableReader::unknown(const Node::Member& m, const schema::Schema& schema,
                          const std::string& owner, const std::string& help) {
  const auto renamed = std::find_if(schema.params.begin(), schema.params.end(),
                                    [&](const auto& p) { return p.former == m.key; });
  const bool was_renamed = renamed != schema.params.end();
  // A record of an earlier release has the earlier name.
  if (m.carried && was_renamed) return;
  std::vector<std::string> names;
  for (const auto& p : schema.params) names.push_back(p.name);
  std::vector<std::string> notes{names.empty()
                                     ? "it has no parameters"
                                     : fmt::format("parameters: {}", fmt::join(names, ", "))};
  if (!help.empty()) notes.push_back("help: " + help);
  std::string hint = "unknown key";
  if (was_renamed)
    hint = fmt::format("it is called `{}` now", renamed->name);
  else if (const std::string near = nearest(m.key, names); !near.empty())
    hint = fmt::format("did you mean `{}`?", near);
  leave_out(m, owner + " does not declare it",
            {m.key_at, fmt::format("{} has no parameter `{}`", owner, m.key), hint, notes});
}

bool TableReader::left_out_preset(const Node& table, const schema::Param& p,
                                  const std::string& owner) {
  const auto m = std::find_if(table.members.begin(), table.members.end(),
                              [&](const auto& x) { return x.key == p.name; });
  if (m == table.members.end() || !m->carried || m->must_fit || m->value.kind != Kind::string ||
      std::find(p.words.begin(), p.words.end(), m->value.string) != p.words.end())
    return false;
  leave_out(*m, fmt::format("{} has no preset \"{}\"", owner, m->value.string), {});
  return true;
}

TableReader::Value TableReader::parameter(const Node* table, const schema::Param& p,
                                          const Json& initial, const std::string& owner,
                                          const ReadSlot& slot) {
  const Node* given = table ? table->find(p.name) : nullptr;
  if (!given && table && !p.former.empty())
    for (const auto& m : table->members)
      if (m.carried && m.key == p.former) given = &m.value;
  Value out{initial, {}};
  if (p.name == "preset" && given && left_out_preset(*table, p, owner)) return out;
  if (p.type == "model") {
    if (given)
      out.value = slot(*given, "model", p.name);
    else if (p.required && table)
      problem(table->at, fmt::format("{} needs `{}`", owner, p.name),
              "expected a model of [models]", {p.doc});
    if (out.value != p.initial) out.key = Json{{model_mark, out.value}};
    return out;
  }
  if (p.type == "slot") {
    Node by_default;
    by_default.kind = Kind::string;
    by_default.string = initial.get<std::string>();
    by_default.implied = true;
    if (table) by_default.at = table->at;
    out.value = slot(given ? *given : by_default, p.slot, p.name);
    if (!out.value.is_object()) {
      if (p.initial != "none") out.key = "none";
      return out;
    }
    // A plugin from elsewhere that has the default's name is another one: its id holds its source.
    const auto id = out.value["id"].get<std::string>();
    if (id.rfind(p.initial.get<std::string>() + "@", 0) != 0 || !out.value["key"].empty())
      out.key = Json{{"id", id}, {"params", out.value["key"]}};
    return out;
  }
  if (given)
    value(*given, p, owner, out.value);
  else if (p.required && table && initial.is_null())
    problem(table->at, fmt::format("{} needs `{}`", owner, p.name), expected(p), {p.doc});
  if (out.value != p.initial)
    out.key = p.file ? Json(sha256_file(out.value.get<std::string>())) : out.value;
  return out;
}

void TableReader::without_effect(const Node::Member& m, const schema::Param& p, const Json& given,
                                 const std::string& owner) {
  std::vector<std::string> now;
  for (const auto& w : p.whens) {
    if (!given.contains(w.key)) continue;
    const Json& value = given[w.key];
    now.push_back(fmt::format(
        "{} = {}", w.key, value.is_object() ? "\"" + schema::text(value) + "\"" : value.dump()));
  }
  leave_out(m, "it has no effect in " + owner,
            {m.key_at,
             fmt::format("`{}` has no effect in {}", p.name, owner),
             "it needs " + schema::words(p.whens),
             {fmt::format("here {}", fmt::join(now, ", ")), p.doc}});
}

TableReader::Result TableReader::read(const Node* table, const schema::Schema& schema,
                                      const std::string& owner, const std::string& help,
                                      const ReadSlot& slot, bool component) {
  Result out;
  if (table)
    for (const auto& m : table->members)
      if (!(component && m.key == "plugin") && !schema.find(m.key)) unknown(m, schema, owner, help);
  std::map<std::string, Json> keys;
  Json preset = Json::object();
  for (const auto& p : schema.params) {
    auto [value, key] = parameter(table, p, preset.value(p.name, p.initial), owner, slot);
    if (p.name == "preset")  // it comes before all others
      for (const auto& named : schema.presets)
        if (named.name == value) preset = named.values;
    out.values[p.name] = std::move(value);
    if (!key.is_null() && !p.reporting) keys[p.name] = std::move(key);
  }
  const Json given = out.values;  // what is active is decided by all of them
  for (const auto& p : schema.params) {
    const bool active = schema::holds(p.whens, given);
    if (active && keys.contains(p.name)) out.key[p.name] = keys[p.name];
    // it is no part of the key, so that it must not reach the component
    if (!active && p.type != "slot") out.values[p.name] = p.initial;
    if (!table) continue;
    const auto m = std::find_if(table->members.begin(), table->members.end(),
                                [&](const auto& x) { return x.key == p.name; });
    if (m == table->members.end()) continue;
    if (active)
      findings_.used(m->key_at, m->key);
    else
      without_effect(*m, p, given, owner);
  }
  return out;
}

}  // namespace scorelab::manifest
