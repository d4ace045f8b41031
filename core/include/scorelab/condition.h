#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace scorelab {

/// What samples come with beside their values, of one kind: a class, a vector, a sequence of
/// tokens. A data set says which of these it gives (DataSet::conditions), a network which it takes
/// (Network::conditions). The host hands them over by name, and refuses networks that take what the
/// data set does not give, or in another shape or dtype.
struct ConditionType {
  /// lower-case letters, digits and dashes: also that of an array in run.h5
  std::string name;
  /// of one sample: {} a number, {D} a vector, {L} tokens, {L, D} a sequence of vectors
  std::vector<std::int64_t> shape = {};
  /// kLong, or kFloat: then the network is handed it in x's dtype. A sequence that is shorter than
  /// L is padded as its two sides agree, for example by the null; its length may be a condition of
  /// its own.
  at::ScalarType dtype = at::kLong;
  /// Of integers: the data set's are 0 .. classes - 1; a network knows that many. 0: not stated.
  std::int64_t classes = 0;
  /// The value for samples without this condition, of `shape`; undefined: all elements are -1
  /// (integers) or 0. The network's null is used: it replaces conditions that train.drop_condition
  /// drops, and is the network's input in unconditional evaluations.
  at::Tensor null = {};
};

/// The class of a sample: `label`, an int64 of 0 .. classes - 1, or -1 where it has none.
ConditionType class_label(std::int64_t classes);
/// The classes of `label` among these; 0: there is no label.
std::int64_t classes_of(const std::vector<ConditionType>& types);

/// Conditions by name, a row a sample. A data set fills it with all that it gives; a network finds
/// all that it takes, on x's device.
using Condition = std::map<std::string, at::Tensor>;

}  // namespace scorelab
