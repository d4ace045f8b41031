#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>
#include <scorelab/rk45.h>

#include <cmath>
#include <numbers>

namespace {
using namespace scorelab;

/// How unlikely the data are to the model, by its probability-flow ODE dx/dt = velocity(x, t): Song
/// et al. 2021, section 4.3, equation 39.
///   log p(x) = log N(x(t_max); 0, prior_std^2) + integral of div velocity dt over [t_min, t_max],
///   x(t_min) = x
/// This is the model's density at t_min, at the data as they are: where the network is exact, that
/// of p_{t_min} and not of p_0. The divergence is exact, or v^T J v (equation 40) with probes that
/// a point keeps through the whole solve (FFJORD, Grathwohl et al. 2019, section 3.1). A slope
/// costs an evaluation, and a reverse sweep for each dimension or probe. The integral is one more
/// dimension of the state, which the tolerance bounds as the others. Each point has its own steps.
class NllOde final : public Metric {
 public:
  void params(Params& p) override {
    on_model_.params(p);
    p.gives("density");
    p("divergence", divergence_,
      "exact: D reverse sweeps per ODE evaluation in D dimensions; hutchinson: one per probe, with "
      "a variance")
        .one_of({"exact", "hutchinson"});
    p("probes", probes_, "random directions of a point; the divergence is their mean")
        .range(1, 1000)
        .when("divergence", {"hutchinson"});
    p("probe", probe_, "distribution of the probes")
        .one_of({"rademacher", "gaussian"})
        .when("divergence", {"hutchinson"});
    p("solver", solver_, "order 1, 2 or 4 in steps of one length, or adaptive")
        .one_of({"euler", "heun", "rk4", "rk45"});
    p("steps", steps_, "steps from t_min to t_max")
        .range(1, 1e7)
        .when("solver", {"euler", "heun", "rk4"});
    p("tol", tol_, "relative and absolute tolerance of a step")
        .range(1e-13, 1)
        .when("solver", {"rk45"});
    p.needs("affine-space",
            "a density of the model's values is one of the data only by an affine map");
    p.needs("path", "it integrates an ODE from data to noise");
    p.needs("finite-velocity",
            "the slope of its ODE is infinite where alpha ends at 0 like a root");
  }
  void prepare(const Setting& setting) override { options_ = setting.options; }
  std::vector<Measurement> measure(const Measured& m) const override {
    const Scheduler& q = m.model->scheduler();
    const at::Tensor x =
        m.space->encode(dequantised(m), nullptr).to(options_.device(), at::kDouble);
    const Slopes slopes{*this, x.sizes().vec(), draw_probes(m.noise, x.to(options_))};
    const at::Tensor start = at::cat({x.flatten(1), at::zeros({x.size(0), 1}, x.options())}, 1);
    const at::Tensor end =
        solver_ == "rk45" ? adaptive(slopes, *m.model, start) : fixed(slopes, *m.model, start);
    const auto D = start.size(1) - 1;
    const double dim = static_cast<double>(D), std = q.prior_std(),
                 scale = std::abs(m.space->expect_affine().scale);
    const at::Tensor last = end.narrow(1, 0, D) / std;
    const at::Tensor prior =
        -0.5 * row_dot(last, last) - dim * std::log(std * std::sqrt(2 * std::numbers::pi));
    // of the data's own units
    const double nll = -(prior + end.select(1, D)).mean().item<double>() - dim * std::log(scale);
    std::vector<Measurement> out{
        {"", nll, "nat", "min", "negative log likelihood of the data by the probability-flow ODE"}};
    if (m.grey.levels > 0) {  // the density of byte + u is that of x over levels^D
      const auto levels = static_cast<double>(m.grey.levels);
      const std::string by = m.grey.dequantised ? "the data set" : "the metric";
      out.push_back({"bpd", nll / (dim * std::numbers::ln2) + std::log2(levels), "bit", "min",
                     "negative log likelihood a dimension, of grey levels dequantised by " + by});
      out.push_back({"offset", std::log2(levels / scale), "bit", "none",
                     "bits a dimension from the model's units to grey levels"});
    }
    return out;
  }

 private:
  /// The right-hand side in the state (x, integral), float64 whatever the model computes in.
  struct Slopes {
    const NllOde& metric;
    std::vector<std::int64_t> shape;
    std::vector<at::Tensor> probes;  ///< none: the exact divergence

    at::Tensor operator()(Model model, const at::Tensor& y, const Times& t) const {
      const auto D = y.size(1) - 1;
      const at::Tensor x = y.narrow(1, 0, D).reshape(shape).to(metric.options_);
      const auto n = probes.empty() ? D : static_cast<std::int64_t>(probes.size());
      const Pullback sweep = model.pullback(x, t, Quantity::velocity);
      const at::Tensor velocity = sweep.prediction.velocity();
      at::Tensor divergence;
      for (std::int64_t i = 0; i < n; ++i) {
        at::Tensor v = probes.empty() ? at::zeros_like(x) : probes[i];
        if (probes.empty()) v.flatten(1).select(1, i).fill_(1);
        const at::Tensor part = row_dot(v.to(at::kDouble), sweep(v).to(at::kDouble));
        divergence = i == 0 ? part : divergence + part;
      }
      if (!probes.empty()) divergence = divergence / static_cast<double>(n);
      return at::cat({velocity.to(at::kDouble).flatten(1), divergence.unsqueeze(1)}, 1);
    }
  };

  /// The reference; of grey levels, with uniform noise of one level, without which a density has no
  /// bound.
  static at::Tensor dequantised(const Measured& m) {
    if (m.grey.levels == 0 || m.grey.dequantised) return m.reference.all();
    Noise noise = m.noise.stream("dequantise");
    const auto levels = static_cast<double>(m.grey.levels);
    const at::Tensor x = m.reference.all();
    return ((x * (levels - 1)).round() + noise.uniform(x)) / levels;
  }
  std::vector<at::Tensor> draw_probes(const Noise& noise, const at::Tensor& like) const {
    std::vector<at::Tensor> out;
    for (std::int64_t i = 0; divergence_ == "hutchinson" && i < probes_; ++i) {
      Noise own = noise.stream("probe", i);
      out.push_back(probe_ == "gaussian" ? own.normal(like) : own.sign(like));
    }
    return out;
  }

  at::Tensor fixed(const Slopes& f, const Model& model, at::Tensor y) const {
    const double low = model.scheduler().t_min(), high = model.scheduler().t_max();
    for (std::int64_t i = 0; i < steps_; ++i) {
      const auto at = [&](double k) {
        return k == steps_ ? high : low + (high - low) * k / static_cast<double>(steps_);
      };
      const double t = at(i), s = at(i + 1), h = s - t, middle = 0.5 * (t + s);
      const at::Tensor k1 = f(model, y, t);
      if (solver_ == "euler") {
        y = y + h * k1;
      } else if (solver_ == "heun") {
        y = y + (0.5 * h) * (k1 + f(model, y + h * k1, s));
      } else {
        const at::Tensor k2 = f(model, y + (0.5 * h) * k1, middle),
                         k3 = f(model, y + (0.5 * h) * k2, middle);
        y = y + (h / 6) * (k1 + 2 * k2 + 2 * k3 + f(model, y + h * k3, s));
      }
    }
    return y;
  }

  at::Tensor adaptive(const Slopes& f, const Model& model, at::Tensor y) const {
    const double low = model.scheduler().t_min(), high = model.scheduler().t_max();
    Times t(std::vector<double>(y.size(0), low));
    PerRow h = 1e-3 * (high - low);
    at::Tensor k[7] = {f(model, y, t)};
    while ((t < high).any()) {
      const Times next = min(t + h, high);      // a row that has arrived makes steps of length 0
      const Model live = model.rows(t < high);  // and costs no evaluation
      at::Tensor z, error = (rk45::e[0] * (next - t)) * k[0];
      for (int j = 1; j < 7; ++j) {
        z = y;
        for (int i = 0; i < j; ++i) z = z + (rk45::a[j][i] * (next - t)) * k[i];
        k[j] = f(live, z, lerp(t, next, rk45::c[j]));
        error = error + (rk45::e[j] * (next - t)) * k[j];
      }
      const at::Tensor share = error / (tol_ * (1 + y.abs().maximum(z.abs())));
      const PerRow err =
          PerRow::from((row_dot(share, share) / static_cast<double>(y.size(1))).sqrt());
      for (std::size_t r = 0; r < err.rows(); ++r)
        if (!std::isfinite(err[r]) || (t[r] < high && next[r] <= t[r]))
          throw Error("at t = " + std::to_string(t[r]) +
                      " no step is short enough: the model is not finite there, or `tol` is too "
                      "small for it");
      const PerRow accept = err <= 1;
      y = where(accept, z, y);           // z is the fifth-order solution, and
      k[0] = where(accept, k[6], k[0]);  // its slope begins the next step
      t = where(accept, next, t);
      h = h * rk45::stretch(err);
    }
    return y;
  }

  at::TensorOptions options_;
  OnModel on_model_;
  std::string divergence_ = "exact", probe_ = "rademacher", solver_ = "rk45";
  std::int64_t probes_ = 1, steps_ = 100;
  double tol_ = 1e-5;
};
}  // namespace
SCORELAB_PLUGIN(NllOde, metric, "nll-ode", "1.0.0",
                "negative log likelihood of the data by the probability-flow ODE")
