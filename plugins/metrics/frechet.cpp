#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// The squared 2-Wasserstein distance of the Gaussians that have the samples' and the data's mean
/// and covariance (Dowson & Landau 1982); with Inception's features this is the FID (Heusel et al.
/// 2017), which has another scale. Biased upwards by the number of samples. The data's moments are
/// exact where the law is known and distances are in the values; with sample.moments = "exact" the
/// samples' too.
class Frechet final : public Metric {
 public:
  void params(Params& p) override {
    space_.params(p);
    p.gives("exact-moments").when("features", {"none"});
  }
  void prepare(const Setting& setting) override { space_.prepare(setting); }
  /// A covariance of fewer samples than dimensions is singular.
  std::int64_t needs_samples(const std::vector<std::int64_t>& shape) const override {
    std::int64_t dimensions = 1;
    for (const auto d : shape) dimensions *= d;
    return space_.learned() ? 2 : dimensions + 1;
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (m.moments) {  // independent elements on both sides
      const at::Tensor off = m.moments->mean.flatten() - m.law->mean();
      return said(
          off.square().sum(),
          (m.moments->variance.flatten().sqrt() - m.law->variances[0].sqrt()).square().sum());
    }
    const Pair own = empirical(m.samples), data = m.law && !space_.learned()
                                                      ? Pair{m.law->mean(), m.law->covariance()}
                                                      : empirical(m.reference);
    const auto [values, axes] = at::linalg_eigh(own.second);
    const at::Tensor root = (axes * values.clamp_min(0).sqrt()).matmul(axes.t());
    const at::Tensor cross =
        at::linalg_eigvalsh(root.matmul(data.second).matmul(root)).clamp_min(0).sqrt().sum();
    return said((own.first - data.first).square().sum(),
                own.second.trace() + data.second.trace() - 2 * cross);
  }

 private:
  using Pair = std::pair<at::Tensor, at::Tensor>;
  Pair empirical(const Items& items) const {
    const RunningMoments found = space_.moments(items);
    return {found.mean(), found.covariance()};
  }
  std::vector<Measurement> said(const at::Tensor& mean, const at::Tensor& covariance) const {
    const double of_mean = mean.item<double>(), of_covariance = covariance.item<double>();
    const std::string unit = space_.unit() == "1" ? "1" : space_.unit() + "^2";
    return {{"", of_mean + of_covariance, unit, "min", "Frechet distance to the data"},
            {"mean", of_mean, unit, "min", "the means' part of it"},
            {"covariance", of_covariance, unit, "min", "the covariances' part of it"}};
  }

  FeatureSpace space_;
};
}  // namespace
SCORELAB_PLUGIN(Frechet, metric, "frechet", "1.0.0",
                "Frechet distance to the data, of values or of a classifier's features")
