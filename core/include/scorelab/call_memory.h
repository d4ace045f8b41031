#pragma once
#include <scorelab/error.h>

#include <memory>
#include <typeinfo>

namespace scorelab {

/// What a component keeps for one sampling call: one object, of one type, default-constructed at
/// first use.
class CallMemory {
 public:
  template <class T>
  T& of() {
    if (type_ && *type_ != typeid(T)) throw Error("a component's memory has one type");
    if (!cell_) {
      cell_ = std::make_shared<T>();
      type_ = &typeid(T);
    }
    return *static_cast<T*>(cell_.get());
  }

 private:
  std::shared_ptr<void> cell_;
  const std::type_info* type_ = nullptr;
};

}  // namespace scorelab
