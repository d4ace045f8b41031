#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// DEIS: Zhang & Chen 2023, rho-AB: in y = x/alpha and rho = sigma/alpha the probability-flow ODE
/// is dy/drho = eps, and eps is a polynomial in rho through the present and the last evaluations
/// (Adams and Bashforth's rule with steps of any length). Order 1 is DDIM.
class Deis final : public Step {
 public:
  void params(Params& p) override {
    p("order", order_, "evaluations that the polynomial goes through, once there are as many")
        .range(1, 4);
    p.needs("path", "it walks from noise to data");
    p.needs("finite-snr", "sigma/alpha is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    const auto& q = run.scheduler;
    const auto rho = [&q](const Times& u) { return q.sigma(u) / q.alpha(u); };
    auto& past = run.memory<Past>();
    if ((past.end - t).any()) {
      past.eps.clear();
      past.rho.clear();
    }
    past.eps.insert(past.eps.begin(), run.model(x, t).eps());
    past.rho.insert(past.rho.begin(), rho(t));
    const auto n = std::min<std::size_t>(past.eps.size(), order_);
    past.eps.resize(n);
    past.rho.resize(n);
    past.end = s;
    at::Tensor y = x / q.alpha(t);
    for (std::size_t j = 0; j < n; ++j) y = y + weight(past.rho, j, rho(s)) * past.eps[j];
    return q.alpha(s) * y;
  }

 private:
  struct Past {
    std::vector<at::Tensor> eps;  // the latest first
    std::vector<PerRow> rho;
    PerRow end = -1;
  };

  /// The integral of the j-th Lagrange polynomial from the first node to `end`, by Gauss and
  /// Legendre's two points: exact to degree 3.
  static PerRow weight(const std::vector<PerRow>& nodes, std::size_t j, const PerRow& end) {
    const PerRow half = 0.5 * (end - nodes[0]), middle = 0.5 * (end + nodes[0]);
    PerRow sum = 0;
    for (const double sign : {-1.0, 1.0}) {
      const PerRow at = middle + (sign / std::sqrt(3.0)) * half;
      PerRow product = 1;
      for (std::size_t k = 0; k < nodes.size(); ++k)
        if (k != j) product = product * (at - nodes[k]) / (nodes[j] - nodes[k]);
      sum = sum + product;
    }
    return half * sum;
  }

  std::int64_t order_ = 3;
};
}  // namespace
SCORELAB_PLUGIN(Deis, step, "deis", "1.0.0",
                "the probability-flow ODE by exponential multistep integration")
