#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "sample/sampling.h"
#include "testing.h"

namespace scorelab::test {

/// A Gaussian whose data units are not the model's, as those of images are not.
class Ranged final : public DataSet {
 public:
  Ranged(Law law, std::vector<std::int64_t> shape, Affine map = {})
      : law_(std::move(law)), shape_(std::move(shape)), map_(map) {}
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return shape_; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    std::vector<std::int64_t> sizes{static_cast<std::int64_t>(index.size())};
    sizes.insert(sizes.end(), shape_.begin(), shape_.end());
    const at::Tensor x = law_.means[0] + noise.normal(at::empty(sizes, at::kDouble)).flatten(1) *
                                             law_.variances[0].sqrt();
    return (x.view(sizes) - map_.shift) / map_.scale;
  }
  Affine to_model() const override { return map_; }

 private:
  Law law_;
  std::vector<std::int64_t> shape_;
  Affine map_;
};

/// What the host makes of a manifest: `law` is that of the data in the model's units, and must
/// outlive it.
inline Sampling sampling(const World& w, const Law& law, const Json& sampler,
                         const Json& initial = plugin("initial", "prior"), Affine map = {}) {
  host::check_all(sampler);
  host::check_all(initial);
  Sampling out;
  auto parts = std::make_shared<Model::Parts>(*w.parts);
  parts->space = std::make_shared<DataRange>(map, w.shape);
  out.model = parts;
  out.context = *w.context;
  out.conditions = w.parts->network->conditions();
  out.sampler = host::make_sampler(sampler);
  host::prepare(out.sampler, sampler, w.setting());
  out.data = std::make_shared<Ranged>(law, w.shape, map);
  out.options.initial->bind("initial", host::make(initial));
  host::prepare(out.options.initial->component(), initial, w.setting(&law));
  out.options.group = w.group;
  out.seed = w.seed;
  out.tensors = w.options;
  return out;
}

}  // namespace scorelab::test
