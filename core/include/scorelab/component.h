#pragma once
#include <scorelab/error.h>
#include <scorelab/params.h>

namespace scorelab {

struct Setting;

/// What every plugin is. The host makes an object for each stage; calls of it never overlap. They
/// come from one thread, but for those of a data set: the next batch may be got on another. Its
/// life:
///
///  1. The constructor is cheap: no tensors, no files, no draws.
///  2. params() declares parameters and capabilities. The host writes the manifest's values into
///     the members; what they hold before is the default. Objects that are only listed see nothing
///     else.
///  3. check() looks at the values together.
///  4. prepare() is told of the experiment, once; the slots' components are prepared after their
///     owner.
///  5. The methods of its kind are called, as often as the stage needs them: without gradients
///     where nothing else is said. What they are handed by reference lives until they return.
///
/// It throws Error to say what is wrong; the host adds whose it is, the file and the line.
class Component {
 public:
  Component();
  virtual ~Component();
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  /// Called several times; must always declare the same.
  virtual void params(Params& p);
  /// Throws Error where values cannot work together. `scorelab check` calls it too, before anything
  /// is started.
  virtual void check() const;
  /// May allocate, and read the files that it declared. What the setting points at lives as long as
  /// the component, except for schedulers, networks and spaces: those of a manifest's models
  /// outlive the data set beside them, and keep nothing of it.
  virtual void prepare(const Setting& setting);
};

/// A parameter that is a component of type T.
template <class T>
class Slot final : public SlotBase {
 public:
  explicit Slot(std::string initial) : SlotBase(std::string(T::kind), std::move(initial)) {}
  explicit operator bool() const { return component() != nullptr; }
  T* operator->() const { return static_cast<T*>(component().get()); }
  T& operator*() const { return *operator->(); }

 protected:
  bool accepts(Component* component) const override {
    return dynamic_cast<T*>(component) != nullptr;
  }
};

}  // namespace scorelab
