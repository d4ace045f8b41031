#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace {
using namespace scorelab;

/// A Gaussian mixture: by default a ring of modes in the first two dimensions; or given by weights,
/// means and covariances.
class GaussianMixture final : public DataSet {
 public:
  void params(Params& p) override {
    p("modes", modes_, "components of the ring, where `means` is not given").range(1, 10000);
    p("separation", separation_, "distance of neighbours on the ring").range(0, 1e9);
    p("dim", dim_, "number of dimensions of the ring's space; the others have mean 0")
        .range(1, 100000);
    p("means", means_, "the means, one list a component; gives number and dimension");
    p("weights", weights_, "of the components; normalised; empty: equal").range(0, 1e9);
    p("std", std_, "standard deviations: one for all components, or one each; 0: atoms")
        .range(0, 1e9);
    p("covariances", covariances_,
      "covariance matrices, row by row, one list a component; instead of `std`");
    p.gives("mixture-law");
    p.gives("density");
    p.gives("labels");
  }
  void check() const override {
    const auto K = components();
    if (dimension() < 1) throw Error("`means` needs at least one number a component");
    for (const auto& mean : means_)
      if (static_cast<std::int64_t>(mean.size()) != dimension())
        throw Error("every list in `means` must have the same length");
    if (!weights_.empty() && weights_.size() != K)
      throw Error("`weights` takes one number a component: " + std::to_string(K));
    if (!weights_.empty() && std::accumulate(weights_.begin(), weights_.end(), 0.0) <= 0)
      throw Error("`weights` must not all be 0");
    if (std_.size() != 1 && std_.size() != K)
      throw Error("`std` takes one number, or one a component: " + std::to_string(K));
    if (!covariances_.empty() && covariances_.size() != K)
      throw Error("`covariances` takes one list a component: " + std::to_string(K));
    for (const auto& c : covariances_)
      if (static_cast<std::int64_t>(c.size()) != dimension() * dimension())
        throw Error("a list in `covariances` has dim x dim numbers");
    if (means_.empty() && modes_ > 1 && dim_ < 2)
      throw Error("a ring of modes needs `dim` of at least 2");
  }
  std::int64_t size() const override { return 0; }
  std::vector<ConditionType> conditions() const override {
    return {class_label(static_cast<std::int64_t>(components()))};
  }
  std::vector<std::int64_t> shape() const override { return {dimension()}; }

  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                 Condition& condition) const override {
    const Law law = *exact();
    const auto rows = static_cast<std::int64_t>(index.size());
    const at::Tensor u = noise.uniform(at::empty({rows, 1}, at::kDouble));
    const at::Tensor k =
        (u >= law.weights.cumsum(0).unsqueeze(0)).sum(1).clamp_max(law.weights.size(0) - 1);
    at::Tensor z = noise.normal(at::empty({rows, dimension()}, at::kDouble)) *
                   law.variances.index_select(0, k).sqrt();
    if (law.bases.defined())
      z = at::matmul(law.bases.index_select(0, k), z.unsqueeze(-1)).squeeze(-1);
    condition["label"] = k;
    return law.means.index_select(0, k) + z;
  }

  std::optional<Law> exact() const override {
    const auto K = static_cast<std::int64_t>(components()), D = dimension();
    Law law;
    law.weights = weights_.empty() ? at::ones({K}, at::kDouble) : at::tensor(weights_, at::kDouble);
    law.weights = law.weights / law.weights.sum();
    law.means = at::zeros({K, D}, at::kDouble);
    for (std::int64_t k = 0; k < K; ++k) {
      if (!means_.empty())
        law.means[k].copy_(at::tensor(means_[k], at::kDouble));
      else if (K > 1)
        law.means[k].narrow(0, 0, 2).copy_(at::tensor(on_ring(k), at::kDouble));
    }
    if (covariances_.empty()) {
      law.variances = at::tensor(std_, at::kDouble)
                          .square()
                          .expand({K})
                          .unsqueeze(1)
                          .expand({K, D})
                          .contiguous();
      return law;
    }
    law.variances = at::empty({K, D}, at::kDouble);
    law.bases = at::empty({K, D, D}, at::kDouble);
    for (std::int64_t k = 0; k < K; ++k) {
      const auto [values, axes] =
          at::linalg_eigh(at::tensor(covariances_[k], at::kDouble).view({D, D}));
      if (values.min().item<double>() < -1e-12)
        throw Error("covariance " + std::to_string(k) + " has a negative eigenvalue");
      law.variances[k].copy_(values.clamp_min(0));
      law.bases[k].copy_(axes);
    }
    return law;
  }

 private:
  std::size_t components() const {
    return means_.empty() ? static_cast<std::size_t>(modes_) : means_.size();
  }
  std::int64_t dimension() const {
    return means_.empty() ? dim_ : static_cast<std::int64_t>(means_[0].size());
  }
  std::vector<double> on_ring(std::int64_t k) const {
    const double n = static_cast<double>(modes_), radius = separation_ / (2 * std::sin(M_PI / n)),
                 angle = 2 * M_PI * static_cast<double>(k) / n;
    return {radius * std::cos(angle), radius * std::sin(angle)};
  }

  std::int64_t modes_ = 8, dim_ = 2;
  double separation_ = 1;
  std::vector<std::vector<double>> means_, covariances_;
  std::vector<double> weights_, std_{0.1};
};
}  // namespace
SCORELAB_PLUGIN(GaussianMixture, dataset, "gaussian-mixture", "1.0.0",
                "a Gaussian mixture: a ring of modes, or any")
