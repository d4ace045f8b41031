#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// How far the samples' mean and covariance are from the data's: the norm of the difference of the
/// means, and the Frobenius norm of that of the covariances. The data's own are exact where its law
/// is known, and those of the reference draws elsewhere.
class MomentErrors final : public Metric {
 public:
  void params(Params& p) override { p.gives("exact-moments"); }
  std::vector<Measurement> measure(const Measured& m) const override {
    const auto [mean, covariance] =
        m.law ? Pair{m.law->mean(), m.law->covariance()} : empirical(m.reference);
    const auto [own_mean, own_covariance] = m.moments ? stated(*m.moments) : empirical(m.samples);
    const at::Tensor own_std = own_covariance.diagonal().sqrt();
    return {
        {"mean", (own_mean - mean).norm().item<double>(), "data", "min", "distance of the means"},
        {"covariance", (own_covariance - covariance).norm().item<double>(), "data^2", "min",
         "Frobenius distance of the covariances"},
        {"std", own_std.mean().item<double>(), "data", "none",
         "standard deviation of the samples, mean over the dimensions"}};
  }

 private:
  using Pair = std::pair<at::Tensor, at::Tensor>;
  static Pair stated(const Moments& m) {
    return {m.mean.flatten(), m.variance.flatten().diag_embed()};
  }
  static Pair empirical(const Items& items) {
    RunningMoments found;
    items.in_batches([&](const at::Tensor& x) { found.add(x.flatten(1)); });
    return {found.mean(), found.covariance()};
  }
};
}  // namespace
SCORELAB_PLUGIN(MomentErrors, metric, "moments", "1.0.0", "errors of mean and covariance")
