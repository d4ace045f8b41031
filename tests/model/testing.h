#pragma once
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <scorelab/network.h>
#include <scorelab/scheduler.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "model/evaluation.h"

namespace scorelab::test {

/// alpha = cos(pi t/2), sigma = sin(pi t/2) on [0.01, 1]: neither shrinks nor explodes, and alpha
/// is 0 at its end.
class Cosine : public Scheduler {
 public:
  Marginal at(Dual t) const override { return {cos(M_PI / 2 * t), sin(M_PI / 2 * t)}; }
  double t_min() const override { return 0.01; }
  double prior_std() const override { return 1; }
  double conditioning(double t) const override { return 100 * t; }
};

/// sigma = 0.2 * 50^t added to data that shrinks as 1 - t/2, on [0.1, 1].
class Mixed : public Scheduler {
 public:
  Marginal at(Dual t) const override { return {1.0 - 0.5 * t, 0.2 * exp(std::log(50.0) * t)}; }
  double t_min() const override { return 0.1; }
  double prior_std() const override { return 10; }
  double conditioning(double t) const override { return t; }
};

/// Four levels.
class Levels : public Mixed {
 public:
  std::int64_t levels() const override { return 4; }
  double t_min() const override { return 0.25; }
};

/// Answers with what it is told to, and remembers what it saw.
class Told : public Network {
 public:
  explicit Told(std::function<at::Tensor(const Input&)> answer, std::optional<Quantity> states = {})
      : answer_(std::move(answer)), states_(states) {}
  at::Tensor forward(const Input& in) override {
    batches.push_back(in.x.size(0));
    last_x = in.x.detach();
    last_time = in.time;
    return answer_(in);
  }
  std::optional<Quantity> states() const override { return states_; }

  std::vector<std::int64_t> batches;
  at::Tensor last_x, last_time;

 private:
  std::function<at::Tensor(const Input&)> answer_;
  std::optional<Quantity> states_;
};

struct Fixture {
  std::shared_ptr<Scheduler> q;
  std::shared_ptr<Told> network;
  std::shared_ptr<Model::Parts> parts = std::make_shared<Model::Parts>();
  std::shared_ptr<Model::Context> context = std::make_shared<Model::Context>();
  Fixture(std::shared_ptr<Scheduler> scheduler, std::shared_ptr<Told> told,
          OutputOptions output = {})
      : q(std::move(scheduler)), network(std::move(told)) {
    parts->network = network;
    parts->scheduler = q;
    parts->output = Output(std::move(output));
  }
  Model model() const { return Model(parts, context); }
};

inline OutputOptions predicting(const std::string& word, double sigma_data = 0.5) {
  OutputOptions out;
  out.predict = word;
  out.sigma_data = sigma_data;
  return out;
}

inline double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  return (a - b).abs().max().item<double>();
}

/// A fixed tensor of ordinary numbers.
inline at::Tensor numbers(std::vector<std::int64_t> shape, double phase = 0.3) {
  std::int64_t n = 1;
  for (const auto d : shape) n *= d;
  return (at::arange(n, at::kDouble) * 1.7 + phase).sin().view(shape);
}

}  // namespace scorelab::test
