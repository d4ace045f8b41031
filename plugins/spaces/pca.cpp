#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>
#include <scorelab/space.h>

#include <algorithm>
#include <numeric>

namespace {
using namespace scorelab;

/// The first principal components, z = (x - mean) W: of all linear autoencoders of so many numbers
/// the one with the least squared error (Baldi & Hornik 1989). decode(encode(x)) is the projection
/// of x on them.
class Pca final : public Space {
 public:
  void params(Params& p) override {
    p("rank", rank_, "components that are kept").range(1, 100000);
    p("scale", scale_,
      "what divides them. none: nothing; whole: one number, so that their variance is 1 on "
      "average; each: its own standard deviation")
        .one_of({"none", "whole", "each"});
    p.needs("items", "components are those of finitely many items");
  }
  void prepare(const Setting& setting) override {
    item_ = setting.shape;
    const std::int64_t dim =
        std::accumulate(item_.begin(), item_.end(), std::int64_t{1}, std::multiplies<>());
    if (rank_ > dim)
      throw Error("`rank` is " + std::to_string(rank_) + ", and an item has " +
                  std::to_string(dim) + " elements");
    const auto [mean, covariance] = moments(*setting.data, dim);
    const auto [values, vectors] = at::linalg_eigh(covariance);  // ascending
    if (!(values[dim - rank_].item<double>() > 1e-12 * values[dim - 1].item<double>()))
      throw Error("the data do not vary in all of " + std::to_string(rank_) +
                  " components; lower `rank`");
    const at::Tensor variance = values.narrow(0, dim - rank_, rank_).flip(0);
    at::Tensor basis = vectors.narrow(1, dim - rank_, rank_).flip(1);
    const at::Tensor largest = basis.gather(0, basis.abs().argmax(0, true));
    // an eigenvector's sign means nothing: its largest element is positive
    basis = basis * largest.sign();
    at::Tensor divisor = at::ones_like(variance);
    if (scale_ == "whole") divisor = variance.mean().sqrt().expand_as(variance);
    if (scale_ == "each") divisor = variance.sqrt();
    mean_ = mean;
    into_ = basis / divisor;
    back_ = (basis * divisor).t();
  }
  std::vector<std::int64_t> shape() const override { return {rank_}; }
  at::Tensor encode(const at::Tensor& x, Noise*) const override {
    return (x.flatten(1).to(at::kCPU, at::kDouble) - mean_).matmul(into_);
  }
  at::Tensor decode(const at::Tensor& z) const override {
    std::vector<std::int64_t> sizes{z.size(0)};
    sizes.insert(sizes.end(), item_.begin(), item_.end());
    return (z.to(at::kCPU, at::kDouble).matmul(back_) + mean_).view(sizes);
  }

 private:
  /// Mean and covariance of all items, by blocks; what the set itself draws is always the same.
  static std::pair<at::Tensor, at::Tensor> moments(const DataSet& data, std::int64_t dim) {
    constexpr std::int64_t block = 4096;
    at::Tensor origin, sum = at::zeros({dim}, at::kDouble),
                       square = at::zeros({dim, dim}, at::kDouble);
    Noise noise(0, "pca");
    for (std::int64_t first = 0; first < data.size(); first += block) {
      std::vector<std::int64_t> index(std::min(block, data.size() - first));
      std::iota(index.begin(), index.end(), first);
      Noise own = noise.stream("block", first);
      Condition unused;
      at::Tensor x = data.get(index, own, unused).flatten(1).to(at::kDouble);
      if (!origin.defined()) origin = x.mean(0);  // near the mean, so that squares do not cancel
      x = x - origin;
      sum += x.sum(0);
      square += x.t().matmul(x);
    }
    const double n = static_cast<double>(data.size());
    const at::Tensor off = sum / n;
    return {origin + off, square / n - off.unsqueeze(1) * off};
  }

  std::int64_t rank_ = 8;
  std::string scale_ = "whole";
  std::vector<std::int64_t> item_;
  at::Tensor mean_, into_, back_;
};
}  // namespace
SCORELAB_PLUGIN(Pca, space, "pca", "1.0.0", "the data's first principal components")
