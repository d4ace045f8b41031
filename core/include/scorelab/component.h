#pragma once
#include <scorelab/error.h>
#include <scorelab/params.h>

namespace scorelab {

struct Setting;

/// What every plugin is. Its life: constructed (cheap; touches no tensor) -> params -> check -> prepare -> used -> destroyed.
/// One object serves one stage on one thread.
class Component {
 public:
  Component();
  virtual ~Component();
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  /// Declares parameters and capabilities; called more than once, and must always declare the same.
  virtual void params(Params& p);
  /// Relations between parameters: throw Error where they cannot work together. Called before anything is started.
  virtual void check() const;
  /// The experiment around the component is known from here on; may allocate.
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
  bool accepts(Component* component) const override { return dynamic_cast<T*>(component) != nullptr; }
};

}  // namespace scorelab
