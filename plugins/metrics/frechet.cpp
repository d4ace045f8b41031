#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>

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
    return space_.dimensions(shape) + 1;
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (m.moments) {  // independent elements on both sides
      const at::Tensor off = m.moments->mean.flatten() - m.law->mean();
      return said(
          off.square().sum(),
          (m.moments->variance.flatten().sqrt() - m.law->variances[0].sqrt()).square().sum());
    }
    const bool known = m.law && !space_.learned();
    Pair own, data;
    const std::int64_t most = std::max(m.samples.size(), m.reference.size());
    if (!known && (space_.learned() ? most <= few : most <= space_.dimensions(m.samples.shape()))) {
      const at::Tensor x = space_(m.samples), y = space_(m.reference);
      if (most <= x.size(1)) return of_few(x, y);
      own = empirical(x);
      data = empirical(y);
    } else {
      own = empirical(m.samples);
      data = known ? Pair{m.law->mean(), m.law->covariance()} : empirical(m.reference);
    }
    const auto [values, axes] = at::linalg_eigh(own.second);
    const at::Tensor root = (axes * values.clamp_min(0).sqrt()).matmul(axes.t());
    const at::Tensor cross =
        at::linalg_eigvalsh(root.matmul(data.second).matmul(root)).clamp_min(0).sqrt().sum();
    return said((own.first - data.first).square().sum(),
                own.second.trace() + data.second.trace() - 2 * cross);
  }

 private:
  using Pair = std::pair<at::Tensor, at::Tensor>;
  /// So many rows of features are kept; no known network has more features.
  static constexpr std::int64_t few = 8192;
  static Pair empirical(const at::Tensor& x) {
    RunningMoments found;
    found.add(x);
    return {found.mean(), found.covariance()};
  }
  Pair empirical(const Items& items) const {
    const RunningMoments found = space_.moments(items);
    return {found.mean(), found.covariance()};
  }
  /// Of no more rows than dimensions, [n, F] and [m, F], where the covariances are singular: with
  /// A and B the rows about their means over sqrt(n - 1) and sqrt(m - 1), the covariances are A^T A
  /// and B^T B, and the trace of the root of their product is the sum of A B^T's singular values.
  std::vector<Measurement> of_few(const at::Tensor& x, const at::Tensor& y) const {
    const auto centred = [](const at::Tensor& v) {
      if (v.size(0) < 2) throw Error("a covariance takes two samples at least");
      return (v - v.mean(0)) / std::sqrt(static_cast<double>(v.size(0) - 1));
    };
    const at::Tensor a = centred(x), b = centred(y);
    return said(
        (x.mean(0) - y.mean(0)).square().sum(),
        a.square().sum() + b.square().sum() - 2 * at::linalg_svdvals(a.matmul(b.t())).sum());
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
SCORELAB_PLUGIN(Frechet, metric, "frechet", "1.1.0",
                "Frechet distance to the data, of values or of a classifier's features")
