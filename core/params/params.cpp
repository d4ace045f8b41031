#include <scorelab/capabilities.h>
#include <scorelab/component.h>

#include <algorithm>
#include <cmath>

namespace scorelab {

Error::Error(const std::string& message) : std::runtime_error(message) {}
Error::~Error() = default;
Stopped::~Stopped() = default;
const char* Stopped::what() const noexcept { return "stopped"; }

Component::Component() = default;
Component::~Component() = default;
void Component::params(Params&) {}
void Component::check() const {}
void Component::prepare(const Setting&) {}

Spec::Spec(std::string name, std::string doc, Target target)
    : name(std::move(name)), doc(std::move(doc)), target(target) {}

Spec& Spec::range(double l, double h) {
  if (!std::isfinite(l) || !std::isfinite(h))
    throw Error("the range of `" + name +
                "` has no finite ends; give the largest value that makes sense");
  low = l;
  high = h;
  return *this;
}
Spec& Spec::one_of(std::vector<std::string> w) {
  words = std::move(w);
  return *this;
}
Spec& Spec::unit(std::string u) {
  unit_name = std::move(u);
  return *this;
}
Spec& Spec::file() {
  is_file = true;
  return *this;
}
Spec& Spec::required() {
  is_required = true;
  return *this;
}
Spec& Spec::in(std::string of) {
  group = std::move(of);
  return *this;
}
Spec& Spec::formerly(std::string n) {
  former = std::move(n);
  return *this;
}
Spec& Spec::reporting() {
  is_reporting = true;
  return *this;
}
Spec& Spec::when(std::string key, std::vector<std::string> values) {
  whens.push_back({std::move(key), std::move(values), {}});
  return *this;
}
Spec& Spec::above(std::string key, double bound) {
  whens.push_back({std::move(key), {}, bound});
  return *this;
}

Capability::Capability(bool needed, std::string name, std::string reason)
    : needed(needed), name(std::move(name)), reason(std::move(reason)) {
  const auto* known = std::find_if(std::begin(capability_names), std::end(capability_names),
                                   [&](const auto& c) { return c.name == this->name; });
  if (known == std::end(capability_names))
    throw Error("there is no capability \"" + this->name +
                "\"; the names are in scorelab/capabilities.h");
  if (needed && known->giver.empty())
    throw Error("\"" + this->name + "\" is said to the host by what gives it; nothing can need it");
}
Capability& Capability::when(std::string key, std::vector<std::string> values) {
  whens.push_back({std::move(key), std::move(values), {}});
  return *this;
}
Capability& Capability::above(std::string key, double bound) {
  whens.push_back({std::move(key), {}, bound});
  return *this;
}
Capability& Capability::as(std::string r) {
  if (r != "sampler") throw Error("a capability counts in the role \"sampler\", not \"" + r + "\"");
  role = std::move(r);
  return *this;
}

Reading::Reading(std::string name) : name(std::move(name)) {}
Reading& Reading::when(std::string key, std::vector<std::string> values) {
  whens.push_back({std::move(key), std::move(values), {}});
  return *this;
}
Reading& Reading::optional() {
  is_optional = true;
  return *this;
}

Spec& Params::operator()(std::string name, Target target, std::string doc) {
  for (const auto& spec : specs)
    if (spec->name == name) throw Error("the parameter \"" + name + "\" is declared twice");
  if (auto* slot = std::get_if<SlotBase*>(&target)) (*slot)->name_key(name);
  return *specs.emplace_back(std::make_unique<Spec>(std::move(name), std::move(doc), target));
}
Capability& Params::needs(std::string name, std::string reason) {
  return *capabilities.emplace_back(
      std::make_unique<Capability>(true, std::move(name), std::move(reason)));
}
Capability& Params::gives(std::string name) {
  return *capabilities.emplace_back(std::make_unique<Capability>(false, std::move(name), ""));
}

Reading& Params::reads(std::string name) {
  return *readings.emplace_back(std::make_unique<Reading>(std::move(name)));
}

void Params::preset(std::string name, std::string doc, std::function<void()> set) {
  for (const auto& other : presets)
    if (other.name == name) throw Error("the preset \"" + name + "\" is declared twice");
  presets.push_back({std::move(name), std::move(doc), std::move(set)});
}

ModelRef::ModelRef(std::string gives) : gives_(std::move(gives)) {}
ModelRef::~ModelRef() = default;
void ModelRef::bind(std::shared_ptr<Model> model) { model_ = std::move(model); }

SlotBase::SlotBase(std::string kind, std::string name)
    : kind_(std::move(kind)), initial_(std::move(name)) {}
SlotBase::~SlotBase() = default;
void SlotBase::bind(std::string key, std::shared_ptr<Component> component) {
  if (component && !accepts(component.get())) throw Error("\"" + key + "\" takes a " + kind_);
  key_ = std::move(key);
  component_ = std::move(component);
}

}  // namespace scorelab
