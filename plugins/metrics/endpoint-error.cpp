#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>
#include <scorelab/rk45.h>

#include <cmath>

namespace {
using namespace scorelab;

/// How far traced samples end from where the data's exact probability-flow ODE leads from the same
/// start: the root of the mean square of an element (Karras et al. 2022 measure the truncation
/// error of one step so, figure 13). The ODE is solved by Dormand & Prince's pair, all paths in the
/// same steps.
class EndpointError final : public Metric {
 public:
  void params(Params& p) override {
    p("rtol", rtol_, "relative and absolute tolerance of a step").range(1e-13, 1e-2);
    p.needs("trace", "it needs the paths' starts; such as sample.trace = 64");
    p.needs("affine-space", "the data's law is known in data units");
    p.needs("density", "the exact path is that of the data's law");
    p.needs("path", "it integrates an ODE from noise to data");
    p.needs("finite-velocity",
            "the slope of its ODE is infinite where alpha ends at 0 like a root");
  }
  void prepare(const Setting& setting) override { scheduler_ = setting.scheduler; }
  std::vector<Measurement> measure(const Measured& m) const override {
    if (!m.law) throw Error("the data set states no law");
    const Affine map = m.space->expect_affine();
    const at::Tensor t = m.paths->t, x = m.paths->x * map.scale + map.shift;
    const double from = t[0].max().item<double>(), to = t[-1].max().item<double>();
    if (to < scheduler_->t_min())
      throw Error("the paths end at t = " + std::to_string(to) +
                  ", where the ODE is not defined; set sampler.to = \"t_min\"");
    const at::Tensor exact = solve(m.law->mapped(map.scale, map.shift), x[0], from, to);
    return {{"", ((x[-1] - exact) / map.scale).square().mean().sqrt().item<double>(), "data", "min",
             "distance of the paths' ends to those of the exact probability-flow ODE"}};
  }

 private:
  at::Tensor solve(const Law& law, at::Tensor y, double t, double end) const {
    const at::Tensor one = at::ones({y.size(0)}, y.options());
    const auto f = [&](const at::Tensor& x, double u) {
      const double a = scheduler_->alpha(u).one(), s = scheduler_->sigma(u).one();
      return Prediction(*scheduler_, x, u, Quantity::v, law.v(x, a * one, s * one)).velocity();
    };
    double h = 1e-3 * (end - t);
    at::Tensor k[7] = {f(y, t)};
    while (t > end) {
      h = std::max(h, end - t);  // both are negative
      at::Tensor z, error = (rk45::e[0] * h) * k[0];
      for (int j = 1; j < 7; ++j) {
        z = y;
        for (int i = 0; i < j; ++i) z = z + (rk45::a[j][i] * h) * k[i];
        k[j] = f(z, std::max(end, t + rk45::c[j] * h));
        error = error + (rk45::e[j] * h) * k[j];
      }
      const double share = (error / (rtol_ * (1 + y.abs().maximum(z.abs()))))
                               .flatten(1)
                               .square()
                               .mean(1)
                               .max()
                               .sqrt()
                               .item<double>();
      if (!std::isfinite(share) || t + h == t)
        throw Error("at t = " + std::to_string(t) +
                    " no step of the exact ODE is short enough; raise `rtol`");
      if (share <= 1) {
        t = h == end - t ? end : t + h;
        y = z;
        k[0] = k[6];
      }
      h *= rk45::stretch(share).one();
    }
    return y;
  }

  double rtol_ = 1e-8;
  const Scheduler* scheduler_ = nullptr;
};
}  // namespace
SCORELAB_PLUGIN(EndpointError, metric, "endpoint-error", "1.1.0",
                "distance to the ends of the exact probability-flow ODE")
