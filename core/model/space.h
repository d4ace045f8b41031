#pragma once
#include <scorelab/dataset.h>

namespace scorelab {

/// The space of experiments that name none: the data set's own range.
class DataRange final : public Space {
 public:
  DataRange(Affine map, std::vector<std::int64_t> shape) : map_(map), shape_(std::move(shape)) {}
  explicit DataRange(const DataSet& data) : DataRange(data.to_model(), data.shape()) {}
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor encode(const at::Tensor& x, Noise* noise) const override;
  at::Tensor decode(const at::Tensor& z) const override;
  std::optional<Affine> affine() const override { return map_; }

 private:
  Affine map_;
  std::vector<std::int64_t> shape_;
};

}  // namespace scorelab
