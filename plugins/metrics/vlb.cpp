#include <ATen/ATen.h>
#include <scorelab/bound.h>
#include <scorelab/dataset.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <limits>

namespace {
using namespace scorelab;

/// The variational bound on the negative log-likelihood: Ho et al. 2020, equation 5; one evaluation
/// for each level and point. For images in grey levels bits per dimension of the discretised
/// Gaussian decoder, otherwise nats of a density in data units, summed over the dimensions.
class Vlb final : public Metric {
 public:
  void params(Params& p) override {
    on_model_.params(p);
    bound_.params(p);
    p.needs("affine-space",
            "a density of the model's values is one of the data only by an affine map");
  }
  void prepare(const Setting& setting) override {
    options_ = setting.options;
    bound_.prepare(setting);
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    Model& model = *m.model;
    const auto& q = model.scheduler();
    const at::Tensor x0 = m.space->encode(m.reference.all(), nullptr).to(options_);
    const auto dim = static_cast<double>(x0.numel() / x0.size(0));
    const double unit = m.grey.levels > 0 ? dim * std::log(2.0) : 1;
    const auto mean = [&](const at::Tensor& nats) {
      return nats.to(at::kDouble).mean().item<double>() / unit;
    };
    const std::int64_t n = q.levels();
    std::vector<double> t(n), terms(n);
    double total = 0;
    for (std::int64_t i = 1; i <= n; ++i) {
      t[i - 1] = static_cast<double>(i) / static_cast<double>(n);
      Noise noise = m.noise.stream("eps", i);
      const at::Tensor x = q.alpha(t[i - 1]) * x0 + q.sigma(t[i - 1]) * noise.normal(x0);
      terms[i - 1] = mean(bound_.term(model(x, t[i - 1]), x0, q.level_below(t[i - 1])));
      total += terms[i - 1];
    }
    const double prior = mean(Bound::prior(q, x0));
    // Of a density, from the model's units to the data's; of one over grey levels, from a level's
    // width to its mass.
    double volume = 0;
    if (m.grey.levels == 0 || m.grey.dequantised)
      volume = dim * std::log(m.space->expect_affine().scale) / unit;
    if (m.grey.dequantised) volume -= std::log2(static_cast<double>(m.grey.levels));
    const std::string name = m.grey.levels > 0 ? "bit/dim" : "nat";
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {{"", total + prior - volume, name, "min",
             "variational bound on the negative log-likelihood"},
            {"prior", prior, name, "min", "KL divergence of the noisiest level from the prior"},
            {"terms", nan, name, "min", "KL divergence of each level; the first is the decoder's",
             Measurement::Array{"t", t, terms}}};
  }

 private:
  at::TensorOptions options_;
  OnModel on_model_;
  Bound bound_;
};
}  // namespace
SCORELAB_PLUGIN(Vlb, metric, "vlb", "1.0.0",
                "the variational bound on the negative log-likelihood, and its terms")
