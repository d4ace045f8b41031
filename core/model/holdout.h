#pragma once
#include <scorelab/dataset.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace scorelab {

/// Some of a data set's items, as a data set.
class Subset final : public DataSet {
 public:
  Subset(std::shared_ptr<DataSet> whole, std::vector<std::int64_t> items);
  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::vector<std::int64_t> shape() const override { return whole_->shape(); }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                 Condition& condition) const override;
  std::optional<Law> exact() const override { return whole_->exact(); }
  Affine to_model() const override { return whole_->to_model(); }
  std::vector<ConditionType> conditions() const override { return whole_->conditions(); }
  Grey grey() const override { return whole_->grey(); }
  void state(State& s) override { whole_->state(s); }

 private:
  std::shared_ptr<DataSet> whole_;
  std::vector<std::int64_t> items_;
};

/// A data set without the share that is held out, and that share: drawn once for ever, the same for
/// all seeds. Throws Error where the set has too few items.
std::pair<std::shared_ptr<DataSet>, std::shared_ptr<DataSet>> hold_out(
    const std::shared_ptr<DataSet>& whole, double share);

}  // namespace scorelab
