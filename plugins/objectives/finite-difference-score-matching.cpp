#include <ATen/ATen.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

#include <cmath>

namespace {
using namespace scorelab;

/// Finite-difference sliced score matching: Pang et al. 2020, for a score network: v^T J v as the
/// central difference of v^T s along v, with |v| fixed: two evaluations and no derivative of the
/// network. The mean of s at the two points stands for s(x); its bias is O(step^2).
class FiniteDifference final : public Objective {
 public:
  void params(Params& p) override {
    times.params(p);
    p("step", step_, "half the distance of the two points, in the model's units").range(1e-6, 1e3);
    p("projections", projections_, "directions v for each sample").range(1, 10000);
    p("weight", weight_, "of a noise level: unit, or sigma2 (NCSN)").one_of({"unit", "sigma2"});
    p.needs("noise", "`weight = \"sigma2\"` is 0 where there is no noise")
        .when("weight", {"sigma2"});
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const auto dim = static_cast<double>(b.x.numel() / b.x.size(0));
    at::Tensor total;
    for (std::int64_t m = 0; m < projections_; ++m) {
      const at::Tensor v = run.noise.sign(b.x);  // |v|^2 = D, E[v v^T] = 1
      const double h = step_ / std::sqrt(dim);
      const at::Tensor up = run.model(b.x + h * v, b.t).score(),
                       down = run.model(b.x - h * v, b.t).score();
      const at::Tensor trace = row_dot(v, up - down) * (0.5 / h), s = 0.5 * (up + down);
      const at::Tensor J = trace + 0.5 * row_dot(s, s);
      total = total.defined() ? total + J : J;
    }
    total = total * (1.0 / static_cast<double>(projections_));
    return weight_ == "sigma2" ? total * square(run.scheduler.sigma(b.t)) : total;
  }

 private:
  double step_ = 0.1;
  std::int64_t projections_ = 1;
  std::string weight_ = "unit";
};
}  // namespace
SCORELAB_PLUGIN(FiniteDifference, objective, "finite-difference-score-matching", "1.0.0",
                "sliced score matching without derivatives of the network")
