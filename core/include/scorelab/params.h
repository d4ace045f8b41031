#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scorelab {

class Component;
class Model;
class ModelRef;
class Network;
class SlotBase;

/// A parameter that is a number or one of the words that `one_of` names.
using NumberOrWord = std::variant<double, std::string>;

/// Where a parameter is stored. Its value before reading is the default, which is said nowhere
/// else.
using Target = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<double>*,
                            std::vector<std::int64_t>*, std::vector<std::string>*,
                            std::vector<std::vector<double>>*, NumberOrWord*, ModelRef*, SlotBase*>;

/// A parameter or capability is active while `key` has one of `values` (compared as text), or
/// exceeds `above`.
struct When {
  std::string key;
  std::vector<std::string> values;
  std::optional<double> above;
};

/// One declared parameter.
class Spec {
 public:
  Spec(std::string name, std::string doc, Target target);

  Spec& range(double low, double high);  ///< both ends allowed; for lists, each element
  Spec& one_of(std::vector<std::string> words);
  Spec& unit(std::string unit);
  /// the path of a file, relative to the manifest; its contents count, not its name
  Spec& file();
  Spec& required();  ///< the default is no value; a manifest must give one
  /// changes what is reported, never a result: no part of a stage's key
  Spec& reporting();
  /// declared by a shared group, such as Grid's "grid": core may know the group's keys, never a
  /// plugin's own
  Spec& in(std::string group);
  /// an earlier name: a manifest that uses it is told the present one
  Spec& formerly(std::string name);
  Spec& when(std::string key, std::vector<std::string> values);
  Spec& above(std::string key, double bound);

  std::string name, doc, unit_name, former, group;
  Target target;
  std::optional<double> low, high;
  std::vector<std::string> words;
  std::vector<When> whens;
  bool is_file = false, is_required = false, is_reporting = false;
};

/// Something that a component needs of, or gives to, the other parts of an experiment.
class Capability {
 public:
  Capability(bool needed, std::string name, std::string reason);
  Capability& when(std::string key, std::vector<std::string> values);
  Capability& above(std::string key, double bound);
  /// counts in this role only: "sampler" for a step that stands alone
  Capability& as(std::string role);

  bool needed;
  std::string name, reason, role;
  std::vector<When> whens;
};

/// A file or folder below the data path that a component reads. Its contents are part of the key of
/// what is made with it.
class Reading {
 public:
  explicit Reading(std::string name);
  Reading& when(std::string key, std::vector<std::string> values);
  Reading& optional();  ///< it may be missing; otherwise `check` says so before anything starts

  std::string name;
  bool is_optional = false;
  std::vector<When> whens;
};

/// Values of parameters that have a name, such as the sizes of a paper's network: with
/// `preset = "NAME"` in a manifest they take the place of the defaults.
struct Preset {
  std::string name, doc;
  std::function<void()> set;  ///< writes them into the component's members
};

/// Collects what a component declares. Reading, listing and recording are functions over these
/// lists.
///
///     void params(Params& p) override {
///       p("snr", snr_, "r of the step-size rule, algorithm 4").range(0, 10);
///       p.needs("levels", "its steps are those of the discrete process");
///     }
class Params {
 public:
  /// Declares a parameter; a key said twice throws.
  Spec& operator()(std::string name, Target target, std::string doc);
  template <class T>
  Spec& operator()(std::string name, T& member, std::string doc) {
    return (*this)(std::move(name), Target(&member), std::move(doc));
  }
  /// The names are those of scorelab/capabilities.h; another one throws.
  Capability& needs(std::string name, std::string reason);
  Capability& gives(std::string name);
  /// Whatever find_data is asked for must be declared: `{set}/train-images-idx3-ubyte`, with the
  /// value of a parameter in braces; a file, plain or with `.gz`; all that a `*` in the last part
  /// matches; or a folder with all that is in it.
  Reading& reads(std::string name);
  /// Throws for a name said twice.
  ///
  ///     p.preset("cifar10", "of the paper's table 9", [this] { channels_ = 128; });
  void preset(std::string name, std::string doc, std::function<void()> set);

  std::vector<std::unique_ptr<Spec>> specs;
  std::vector<std::unique_ptr<Capability>> capabilities;
  std::vector<std::unique_ptr<Reading>> readings;
  std::vector<Preset> presets;
};

/// A parameter that names one of the manifest's `[models]`: a network with its scheduler and
/// output, trained before this stage begins, and frozen: no gradient reaches its parameters.
/// Objectives, samplers, steps, guides, initials and metrics may have one. Its evaluations are not
/// among those of the sampler.
class ModelRef {
 public:
  /// `gives`: what its network must give: "classifies"; by default a model that says scores.
  explicit ModelRef(std::string gives = "");
  ~ModelRef();
  ModelRef(const ModelRef&) = delete;
  ModelRef& operator=(const ModelRef&) = delete;

  const std::string& name() const { return name_; }  ///< empty: none is named
  const std::string& gives() const { return gives_; }
  explicit operator bool() const { return !name_.empty(); }
  /// The model with the rows and the condition of the calling model: a conditional teacher is given
  /// the samples' own labels. To be called from prepare on, as are the next two.
  Model under(const Model& caller) const;
  /// The model on its own, without a condition: for instance a classifier that judges samples.
  Model alone() const;
  Network& network() const;  ///< this and the next are for the host
  void assign(std::string name) { name_ = std::move(name); }
  void bind(std::shared_ptr<Model> model);

 private:
  std::string name_, gives_;
  std::shared_ptr<Model> model_;
};

/// A parameter that is another component: a name, or a table with `plugin`. "none" is the empty
/// slot.
class SlotBase {
 public:
  SlotBase(std::string kind, std::string name);
  virtual ~SlotBase();
  SlotBase(const SlotBase&) = delete;
  SlotBase& operator=(const SlotBase&) = delete;

  const std::string& kind() const { return kind_; }
  const std::string& initial() const { return initial_; }  ///< the default component's name
  /// the parameter's name: also that of the noise stream
  const std::string& key() const { return key_; }
  const std::shared_ptr<Component>& component() const { return component_; }
  /// by the host; throws for another kind
  void bind(std::string key, std::shared_ptr<Component> component);
  void name_key(std::string key) { key_ = std::move(key); }

 protected:
  virtual bool accepts(Component* component) const = 0;

 private:
  std::string kind_, initial_, key_;
  std::shared_ptr<Component> component_;
};

}  // namespace scorelab
