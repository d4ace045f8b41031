#include "schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace scorelab::schema {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

const char* type_name(const Target& target) {
  return std::visit(Overload{[](bool*) { return "bool"; }, [](std::int64_t*) { return "int"; },
                             [](double*) { return "float"; }, [](std::string*) { return "string"; },
                             [](std::vector<double>*) { return "floats"; },
                             [](std::vector<std::int64_t>*) { return "ints"; },
                             [](std::vector<std::string>*) { return "strings"; },
                             [](std::vector<std::vector<double>>*) { return "matrix"; },
                             [](NumberOrWord*) { return "number-or-word"; },
                             [](ModelRef*) { return "model"; }, [](SlotBase*) { return "slot"; }},
                    target);
}

Json value_of(const Target& target) {
  return std::visit(
      Overload{
          [](NumberOrWord* v) { return std::visit([](const auto& x) { return Json(x); }, *v); },
          [](ModelRef*) { return Json("none"); }, [](SlotBase* v) { return Json(v->initial()); },
          [](auto* v) { return Json(*v); }},
      target);
}

Json whens_to_json(const std::vector<When>& whens) {
  Json out = Json::array();
  for (const auto& w : whens) {
    Json j{{"key", w.key}, {"values", w.values}};
    if (w.above) j["above"] = *w.above;
    out.push_back(std::move(j));
  }
  return out;
}

std::vector<When> whens_from_json(const Json& json) {
  std::vector<When> out;
  for (const auto& j : json) {
    When w{j.at("key"), j.at("values"), {}};
    if (j.contains("above")) w.above = j["above"].get<double>();
    out.push_back(std::move(w));
  }
  return out;
}

Json ability_to_json(const Ability& a) {
  return {
      {"name", a.name}, {"reason", a.reason}, {"role", a.role}, {"when", whens_to_json(a.whens)}};
}

}  // namespace

namespace {

/// What the presets write into the members, which have their defaults again afterwards.
void take_presets(const Params& declared, Schema& out) {
  if (declared.presets.empty()) return;
  Param choice;
  choice.name = "preset";
  choice.doc = "the values in place of the defaults";
  choice.type = "string";
  choice.initial = "none";
  choice.reporting = true;  // what counts is the values
  choice.words.emplace_back("none");
  if (out.find(choice.name))
    throw Error("a component with presets has no parameter of its own called \"preset\"");
  const auto no_component = [](const std::string&, const Json&) {
    return std::shared_ptr<Component>();
  };
  std::vector<Json> defaults;
  for (const auto& spec : declared.specs) defaults.push_back(value_of(spec->target));
  for (const auto& preset : declared.presets) {
    Preset own{preset.name, preset.doc};
    preset.set();
    for (std::size_t i = 0; i < declared.specs.size(); ++i) {
      Spec& spec = *declared.specs[i];
      Json value = value_of(spec.target);
      if (value == defaults[i]) continue;
      own.values[spec.name] = std::move(value);
      assign(spec, defaults[i], no_component);
    }
    choice.words.push_back(preset.name);
    out.presets.push_back(std::move(own));
  }
  out.params.insert(out.params.begin(), std::move(choice));
}

}  // namespace

const Param* Schema::find(const std::string& name) const {
  const auto it =
      std::find_if(params.begin(), params.end(), [&](const Param& p) { return p.name == name; });
  return it == params.end() ? nullptr : &*it;
}

namespace {

/// A condition on a parameter that does not exist would never hold, and say nothing.
void expect_known(const Params& declared, const std::vector<When>& whens, const std::string& of) {
  for (const auto& w : whens)
    if (std::none_of(declared.specs.begin(), declared.specs.end(),
                     [&](const auto& s) { return s->name == w.key; }))
      throw Error(
          fmt::format("{} depends on the parameter \"{}\", which is not declared", of, w.key));
}

}  // namespace

Schema of(const Params& declared) {
  Schema out;
  for (const auto& s : declared.specs) {
    Param p{s->name,         s->doc,     type_name(s->target),
            s->unit_name,    "",         value_of(s->target),
            s->low,          s->high,    s->words,
            s->whens,        s->is_file, s->is_required,
            s->is_reporting, s->former,  s->group};
    expect_known(declared, s->whens, "the parameter \"" + s->name + "\"");
    if (const auto* slot = std::get_if<SlotBase*>(&s->target)) p.slot = (*slot)->kind();
    if (const auto* ref = std::get_if<ModelRef*>(&s->target)) p.slot = (*ref)->gives();
    if (p.required) p.initial = nullptr;
    out.params.push_back(std::move(p));
  }
  for (const auto& c : declared.capabilities) {
    expect_known(declared, c->whens, "the capability \"" + c->name + "\"");
    (c->needed ? out.needs : out.gives).push_back({c->name, c->reason, c->role, c->whens});
  }
  for (const auto& r : declared.readings) {
    expect_known(declared, r->whens, "the file \"" + r->name + "\"");
    out.reads.push_back({r->name, r->is_optional, r->whens});
  }
  take_presets(declared, out);
  return out;
}

Json to_json(const Schema& schema) {
  Json params = Json::array(), needs = Json::array(), gives = Json::array();
  for (const auto& p : schema.params) {
    Json j{{"name", p.name}, {"doc", p.doc}, {"type", p.type}, {"default", p.initial}};
    if (!p.unit.empty()) j["unit"] = p.unit;
    if (!p.slot.empty()) j["slot"] = p.slot;
    if (p.low) j["range"] = {*p.low, *p.high};
    if (!p.words.empty()) j["words"] = p.words;
    if (!p.whens.empty()) j["when"] = whens_to_json(p.whens);
    if (p.file) j["file"] = true;
    if (p.required) j["required"] = true;
    if (p.reporting) j["reporting"] = true;
    if (!p.former.empty()) j["former"] = p.former;
    if (!p.group.empty()) j["group"] = p.group;
    params.push_back(std::move(j));
  }
  for (const auto& a : schema.needs) needs.push_back(ability_to_json(a));
  for (const auto& a : schema.gives) gives.push_back(ability_to_json(a));
  Json out{{"params", params}, {"needs", needs}, {"gives", gives}};
  for (const auto& r : schema.reads)
    out["reads"].push_back(
        {{"name", r.name}, {"optional", r.optional}, {"when", whens_to_json(r.whens)}});
  for (const auto& p : schema.presets)
    out["presets"].push_back({{"name", p.name}, {"doc", p.doc}, {"values", p.values}});
  return out;
}

Schema from_json(const Json& json) {
  Schema out;
  for (const auto& j : json.at("params")) {
    Param p;
    p.name = j.at("name");
    p.doc = j.at("doc");
    p.type = j.at("type");
    p.initial = j.at("default");
    p.unit = j.value("unit", "");
    p.slot = j.value("slot", "");
    if (j.contains("range")) {
      p.low = j["range"][0].get<double>();
      p.high = j["range"][1].get<double>();
    }
    if (j.contains("words")) p.words = j["words"].get<std::vector<std::string>>();
    if (j.contains("when")) p.whens = whens_from_json(j["when"]);
    p.file = j.value("file", false);
    p.required = j.value("required", false);
    p.reporting = j.value("reporting", false);
    p.former = j.value("former", "");
    p.group = j.value("group", "");
    out.params.push_back(std::move(p));
  }
  for (const auto& [key, list] : {std::pair{"needs", &out.needs}, {"gives", &out.gives}})
    for (const auto& j : json.at(key))
      list->push_back({j.at("name"), j.at("reason"), j.at("role"), whens_from_json(j.at("when"))});
  if (json.contains("reads"))
    for (const auto& j : json["reads"])
      out.reads.push_back({j.at("name"), j.at("optional"), whens_from_json(j.at("when"))});
  if (json.contains("presets"))
    for (const auto& j : json["presets"])
      out.presets.push_back({j.at("name"), j.at("doc"), j.at("values")});
  return out;
}

void assign(Spec& spec, const Json& value, const MakeComponent& component) {
  try {
    std::visit(
        Overload{[&](NumberOrWord* v) {
                   if (value.is_string())
                     *v = value.get<std::string>();
                   else
                     *v = value.get<double>();
                 },
                 [&](ModelRef* v) { v->assign(value == "none" ? "" : value.get<std::string>()); },
                 [&](SlotBase* v) {
                   const bool empty = value.is_null() || (value.is_string() && value == "none");
                   v->bind(spec.name, empty ? nullptr : component(v->kind(), value));
                 },
                 [&](auto* v) { *v = value.get<std::remove_pointer_t<decltype(v)>>(); }},
        spec.target);
  } catch (const nlohmann::json::exception&) {
    throw Error(
        fmt::format("`{}` takes a {}, got {}", spec.name, type_name(spec.target), value.dump()));
  }
}

std::string text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("plugin")) return value["plugin"].get<std::string>();
  if (value.is_null()) return "none";
  return value.dump();
}

bool holds(const std::vector<When>& whens, const Json& values) {
  return std::all_of(whens.begin(), whens.end(), [&](const When& w) {
    if (!values.contains(w.key)) return false;
    const Json& v = values[w.key];
    if (w.above) return v.is_number() && v.get<double>() > *w.above;
    return std::find(w.values.begin(), w.values.end(), text(v)) != w.values.end();
  });
}

std::string words(const std::vector<When>& whens) {
  std::vector<std::string> parts;
  for (const auto& w : whens) {
    if (w.above) {
      parts.push_back(fmt::format("{} > {}", w.key, *w.above));
      continue;
    }
    std::vector<std::string> values;
    for (const auto& v : w.values) {
      const bool plain =
          v == "true" || v == "false" || v.find_first_not_of("0123456789.-") == std::string::npos;
      values.push_back(plain ? v : "\"" + v + "\"");
    }
    parts.push_back(fmt::format("{} = {}", w.key, fmt::join(values, " or ")));
  }
  return fmt::format("{}", fmt::join(parts, " and "));
}

}  // namespace scorelab::schema
