#include <ATen/ATen.h>
#include <scorelab/grid.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Encoding and decoding by deterministic DDIM: Song, Meng & Ermon 2021, section 5.4. The mean
/// squared error, an element, of data walked up the grid by equation 13 and down again. The first
/// step up needs no evaluation: of clean data the expected eps is 0.
class ReconstructionError final : public Metric {
 public:
  void params(Params& p) override {
    on_model_.params(p);
    grid_.params(p);
    p.needs("affine-space", "its error is of the model's values, in data units");
    p.needs("path", "it walks from data to noise and back");
  }
  void prepare(const Setting& setting) override {
    options_ = setting.options;
    if (grid_.steps(*setting.scheduler, true).back().s != 0)
      throw Error(
          "the walk up begins at clean data, and `to` ends the walk down before it; remove `to`");
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    Model& model = *m.model;
    const Scheduler& q = model.scheduler();
    const at::Tensor x0 = m.space->encode(m.reference.all(), nullptr).to(options_);
    const std::vector<Interval> down = grid_.steps(q, true);
    const auto to = [&q](const Prediction& p, double s) {
      return q.alpha(s) * p.x0() + q.sigma(s) * p.eps();
    };
    at::Tensor x = q.alpha(down.back().t) * x0;
    for (std::size_t i = down.size() - 1; i-- > 0;) x = to(model(x, down[i].s), down[i].t);
    for (const auto& [i, t, s] : down) x = to(model(x, t), s);
    const at::Tensor off = ((x - x0).to(at::kDouble) / m.space->expect_affine().scale).square();
    return {{"", off.mean().item<double>(), "data^2", "min",
             "mean squared error of data encoded and decoded"}};
  }

 private:
  at::TensorOptions options_;
  OnModel on_model_;
  Grid grid_;
};
}  // namespace
SCORELAB_PLUGIN(ReconstructionError, metric, "reconstruction-error", "1.0.0",
                "error of encoding and decoding by DDIM")
