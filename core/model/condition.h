#pragma once
#include <scorelab/condition.h>

namespace scorelab {

/// Throws Error where a type is none that can be used: its name, shape, dtype or null; or two have
/// one name.
void expect_valid(const std::vector<ConditionType>& types);
/// Throws Error unless the data set gives `taken`. `strict`: it must give it; otherwise samples may
/// lack it, and what is given must agree.
void expect_given(const std::vector<ConditionType>& given, const ConditionType& taken, bool strict);
/// What several networks take together: of each name one, with the fewest classes. Throws Error
/// where shapes or dtypes differ.
void merge(std::vector<ConditionType>& all, const std::vector<ConditionType>& more);
/// [rows, shape]: the null of each row.
at::Tensor null_of(const ConditionType& type, std::int64_t rows, at::Device device);

}  // namespace scorelab
