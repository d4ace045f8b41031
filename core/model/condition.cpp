#include "condition.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <algorithm>

namespace scorelab {
namespace {

/// Arrays that are stored beside a sample's conditions.
constexpr const char* reserved[] = {"x", "nfe", "clean", "grid", "mean", "variance"};

std::string said(const ConditionType& c) {
  return fmt::format("{} [{}]", c.dtype == at::kLong ? "int64" : "floats",
                     fmt::join(c.shape, ", "));
}

const ConditionType* find(const std::vector<ConditionType>& all, const std::string& name) {
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const ConditionType& c) { return c.name == name; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace

ConditionType class_label(std::int64_t classes) { return {.name = "label", .classes = classes}; }

std::int64_t classes_of(const std::vector<ConditionType>& types) {
  const ConditionType* label = find(types, "label");
  return label ? label->classes : 0;
}

void expect_valid(const std::vector<ConditionType>& types) {
  std::vector<std::string> seen;
  for (const auto& c : types) {
    const bool plain =
        !c.name.empty() &&
        c.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == c.name.npos;
    if (!plain || c.name.size() > 64 ||
        std::find(std::begin(reserved), std::end(reserved), c.name) != std::end(reserved))
      throw Error(
          fmt::format("`{}` cannot be a condition's name; expected lower-case letters, digits and "
                      "dashes, and none of {}",
                      c.name, fmt::join(reserved, ", ")));
    if (std::find(seen.begin(), seen.end(), c.name) != seen.end())
      throw Error(fmt::format("it names the condition `{}` twice", c.name));
    seen.push_back(c.name);
    if (c.dtype != at::kLong && c.dtype != at::kFloat)
      throw Error(
          c10::str("its condition `", c.name, "` is of ", c.dtype, "; expected kLong or kFloat"));
    if (c.name == "label" && (c.dtype != at::kLong || !c.shape.empty()))
      throw Error(
          "its condition `label` is the class of a sample, one int64; give another condition "
          "another name");
    if (std::any_of(c.shape.begin(), c.shape.end(), [](std::int64_t n) { return n < 1; }))
      throw Error(fmt::format("its condition `{}` has the shape [{}]; sizes are at least 1", c.name,
                              fmt::join(c.shape, ", ")));
    if (c.null.defined() && c.null.sizes() != at::IntArrayRef(c.shape))
      throw Error(c10::str("the null of its condition `", c.name, "` has the shape ",
                           c.null.sizes(), "; expected ", at::IntArrayRef(c.shape)));
  }
}

void expect_given(const std::vector<ConditionType>& given, const ConditionType& taken,
                  bool strict) {
  const ConditionType* found = find(given, taken.name);
  if (!found && !strict) return;
  if (!found) {
    std::vector<std::string> names;
    for (const auto& c : given) names.push_back(c.name);
    throw Error(
        fmt::format("it takes the condition `{}`, and the data set gives {}{}", taken.name,
                    names.empty() ? "none" : fmt::format("{} only", fmt::join(names, ", ")),
                    taken.name == "label" ? " (of images: is the file of labels there?)" : ""));
  }
  if (found->shape != taken.shape || found->dtype != taken.dtype)
    throw Error(fmt::format("it takes the condition `{}` as {}, and the data set gives {}",
                            taken.name, said(taken), said(*found)));
  if (taken.classes > 0 && found->classes > taken.classes)
    throw Error(fmt::format("it knows {} classes of `{}`, and the data set has {}; raise `classes`",
                            taken.classes, taken.name, found->classes));
}

void merge(std::vector<ConditionType>& all, const std::vector<ConditionType>& more) {
  for (const auto& c : more) {
    const auto own = std::find_if(all.begin(), all.end(),
                                  [&](const ConditionType& o) { return o.name == c.name; });
    if (own == all.end()) {
      all.push_back(c);
      continue;
    }
    if (own->shape != c.shape || own->dtype != c.dtype)
      throw Error(fmt::format(
          "it takes the condition `{}` as {}, and another network of the experiment as {}", c.name,
          said(c), said(*own)));
    if (c.classes > 0)
      own->classes = own->classes > 0 ? std::min(own->classes, c.classes) : c.classes;
  }
}

at::Tensor null_of(const ConditionType& type, std::int64_t rows, at::Device device) {
  std::vector<std::int64_t> shape{rows};
  shape.insert(shape.end(), type.shape.begin(), type.shape.end());
  if (type.null.defined()) return type.null.to(device, type.dtype).expand(shape);
  return at::full({}, type.dtype == at::kLong ? -1 : 0,
                  at::TensorOptions(type.dtype).device(device))
      .expand(shape);
}

}  // namespace scorelab
