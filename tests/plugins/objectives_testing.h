#pragma once
#include <scorelab/objective.h>

#include "testing.h"

namespace scorelab::test {

/// F = A x + b + c tanh(x) on the flattened sample, with parameters of its own: small enough for
/// finite differences.
class TinyNetwork final : public Network {
 public:
  TinyNetwork(at::Tensor A, at::Tensor b, double c = 0)
      : A_(std::move(A)), b_(std::move(b)), c_(at::full({1}, c, at::kDouble)) {
    for (at::Tensor* p : {&A_, &b_, &c_}) p->requires_grad_(true);
  }
  at::Tensor forward(const Input& in) override {
    const at::Tensor x = in.x.flatten(1);
    return (x.matmul(A_.t()) + b_ + c_ * x.tanh()).view_as(in.x);
  }
  NamedTensors parameters() override { return {{"A", A_}, {"b", b_}, {"c", c_}}; }

 private:
  at::Tensor A_, b_, c_;
};

inline std::shared_ptr<Objective> objective(const std::string& name, Json params = Json::object()) {
  const Json config = plugin("objective", name, std::move(params));
  host::check_all(config);
  return host::make_as<Objective>(config);
}

/// x = alpha x0 + sigma eps with x0 from the law's first component, drawn in double.
inline TrainBatch batch(const World& w, const at::Tensor& x0, const Times& t,
                        std::uint64_t seed = 21) {
  const at::Tensor eps = Noise(seed, "eps").normal(x0);
  return {x0, eps, w.q->alpha(t) * x0 + w.q->sigma(t) * eps, t};
}

inline at::Tensor loss(const World& w, const Objective& objective, const TrainBatch& batch,
                       std::uint64_t seed = 22) {
  Model model = w.model();
  Noise noise(seed, "training");
  TrainRun run{model, *w.q, noise, 1, 1000};
  return objective.loss(run, batch);
}

/// Gradients of the mean loss in every parameter against central differences.
inline void expect_gradients(const World& w, const Objective& objective, const TrainBatch& batch,
                             double tolerance = 1e-7) {
  loss(w, objective, batch).mean().backward();
  for (const auto& [name, parameter] : w.parts->network->parameters()) {
    ASSERT_TRUE(parameter.grad().defined()) << name;
    const at::Tensor gradient = parameter.grad().flatten(), values = parameter.detach().view(-1);
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const double h = 1e-5, before = values[i].item<double>();
      const auto at = [&](double value) {
        values[i].fill_(value);
        return loss(w, objective, batch).mean().item<double>();
      };
      const double slope = (at(before + h) - at(before - h)) / (2 * h);
      values[i].fill_(before);
      EXPECT_NEAR(gradient[i].item<double>(), slope, tolerance * std::max(1.0, std::abs(slope)))
          << name << " " << i;
    }
    parameter.mutable_grad().reset();
  }
}

/// Within `errors` standard errors.
inline void expect_mean(const at::Tensor& draws, double expected, double errors = 4) {
  const double error = draws.std().item<double>() / std::sqrt(static_cast<double>(draws.numel()));
  EXPECT_NEAR(draws.mean().item<double>(), expected, errors * error);
}

}  // namespace scorelab::test
