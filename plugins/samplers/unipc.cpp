#include <scorelab/plugin.h>
#include <scorelab/step.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// UniPC: Zhao et al. 2023, algorithms 5 and 6 with data prediction and B(h) = exp(h) - 1 (bh2),
/// multistep. A step begins by correcting the last one with the evaluation that it makes anyway, so
/// that n steps cost n evaluations. The step to the clean end, where h is infinite, is of first
/// order and is not corrected.
class UniPc final : public Step {
 public:
  void params(Params& p) override {
    p("order", order_, "of the predictor; the corrector is of one order more").range(1, 3);
    p("corrector", corrector_, "corrects each step by the evaluation of the next");
    p.needs("path", "it walks from noise to data");
    p.needs("finite-snr", "log(alpha/sigma) is infinite where alpha is 0");
  }
  at::Tensor step(Run& run, at::Tensor x, Times t, Times s) const override {
    auto& past = run.memory<Past>();
    const at::Tensor now = run.model(x, t).x0();
    if (past.end != t.one()) past = {};
    if (corrector_ && !past.x0.empty())
      x = update(run, past, past.x, past.begin, t.one(), past.order, &now);
    past.x0.insert(past.x0.begin(), now);
    past.lambda.insert(past.lambda.begin(), run.scheduler.lambda(t).one());
    past.order = std::min<std::size_t>(past.x0.size(), order_);
    past.x0.resize(past.order);
    past.lambda.resize(past.order);
    past.x = x;
    past.begin = t.one();
    past.end = s.one();
    if (s.one() == 0) return now;
    return update(run, past, x, past.begin, past.end, past.order, nullptr);
  }

 private:
  struct Past {
    std::vector<at::Tensor> x0;  // the latest first
    std::vector<double> lambda;  // where they were said
    at::Tensor x;                // where the last step began
    double begin = -1, end = -1;
    std::size_t order = 0;
  };

  /// From t to s through the last evaluations; with `said`, the evaluation at s, it is the
  /// corrector.
  static at::Tensor update(Run& run, const Past& past, const at::Tensor& x, double t, double s,
                           std::size_t order, const at::Tensor* said) {
    const auto& q = run.scheduler;
    const double h = q.lambda(s).one() - q.lambda(t).one(), B = std::expm1(-h),
                 alpha = q.alpha(s).one();
    const at::Tensor& D0 = past.x0[0];
    at::Tensor y = (q.sigma(s) / q.sigma(t)) * x - (alpha * B) * D0;
    std::vector<double> r;
    std::vector<at::Tensor> D;
    for (std::size_t k = 1; k < order; ++k) {
      r.push_back((past.lambda[k] - past.lambda[0]) / h);
      D.push_back((past.x0[k] - D0) / r.back());
    }
    if (said) {
      r.push_back(1);
      D.push_back(*said - D0);
    }
    const auto a = coefficients(r, h);
    for (std::size_t k = 0; k < D.size(); ++k) y = y - (alpha * B * a[k]) * D[k];
    return y;
  }

  /// Solves sum_k a_k r_k^(i-1) = i! phi_{i+1}(-h) / (exp(-h) - 1) for i = 1 .. n; a lone one is
  /// 1/2, as the paper has it.
  static std::array<double, 3> coefficients(const std::vector<double>& r, double h) {
    const std::size_t n = r.size();
    if (n == 1) return {0.5, 0, 0};
    double m[3][4], phi = std::expm1(-h) / -h - 1, factorial = 1;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < n; ++k) m[i][k] = std::pow(r[k], static_cast<double>(i));
      m[i][n] = phi * factorial / std::expm1(-h);
      factorial *= static_cast<double>(i + 2);
      phi = phi / -h - 1 / factorial;
    }
    std::array<double, 3> a{};
    // by elimination; the nodes differ, so no pivot is 0 (row i - 1 of Vandermonde's matrix)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i + 1; j < n; ++j) {
        const double f = m[j][i] / m[i][i];
        for (std::size_t k = i; k <= n; ++k) m[j][k] -= f * m[i][k];
      }
    for (std::size_t i = n; i-- > 0;) {
      a[i] = m[i][n];
      for (std::size_t k = i + 1; k < n; ++k) a[i] -= m[i][k] * a[k];
      a[i] /= m[i][i];
    }
    return a;
  }

  std::int64_t order_ = 2;
  bool corrector_ = true;
};
}  // namespace
SCORELAB_PLUGIN(UniPc, step, "unipc", "1.0.0",
                "UniPC: a multistep predictor, corrected at no further evaluation")
