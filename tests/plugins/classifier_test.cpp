#include <gtest/gtest.h>
#include <scorelab/dataset.h>

#include <algorithm>

#include "objectives_testing.h"

namespace scorelab::test {
namespace {

/// logits = A [x, a], where a is alpha; features x.
class Affine2 final : public Network {
 public:
  explicit Affine2(at::Tensor A) : A_(std::move(A)) { A_.requires_grad_(true); }
  at::Tensor forward(const Input&) override { throw Error("it is a classifier"); }
  Classified classify(const Input& in) override {
    return {at::cat({in.x, in.alpha.unsqueeze(1)}, 1).matmul(A_.t()), in.x};
  }
  NamedTensors parameters() override { return {{"A", A_}}; }

 private:
  at::Tensor A_;
};

const at::Tensor& weights() {
  static const at::Tensor A =
      at::tensor({0.5, -1.0, 0.3, 0.2, 0.8, -0.4, -0.7, 0.1, 0.9}, at::kDouble).view({3, 3});
  return A;
}

TEST(CrossEntropy, IsTheNegativeLogOfTheSoftmaxAtTheClass) {
  const World w =
      world(plugin("scheduler", "vp"), std::make_shared<Affine2>(weights().clone()), {2});
  const at::Tensor x0 = Noise(1, "x").normal(at::empty({4, 2}, at::kDouble));
  TrainBatch b = batch(w, x0, Times(std::vector<double>{0.1, 0.5, 0.9, 1.0}));
  b.condition["label"] = at::tensor({0, 2, 1, 2}, at::kLong);
  for (const bool noise : {true, false}) {
    const at::Tensor got = loss(w, *objective("cross-entropy", {{"noise", noise}}), b);
    for (int r = 0; r < 4; ++r) {
      const at::Tensor& x = noise ? b.x : b.x0;
      const double a = noise ? w.q->alpha(b.t[r]).one() : w.q->alpha(w.q->t_min()).one();
      double logits[3], sum = 0;
      for (int k = 0; k < 3; ++k) {
        logits[k] = (weights()[k][0] * x[r][0] + weights()[k][1] * x[r][1] + weights()[k][2] * a)
                        .item<double>();
        sum += std::exp(logits[k]);
      }
      EXPECT_NEAR(got[r].item<double>(),
                  -std::log(std::exp(logits[b.condition["label"][r].item<std::int64_t>()]) / sum),
                  1e-12);
    }
    expect_gradients(w, *objective("cross-entropy", {{"noise", noise}}), b);
  }
}

TEST(Model, AsksAClassifierInChunksAndCounts) {
  const c10::NoGradGuard guard;
  const World w =
      world(plugin("scheduler", "vp"), std::make_shared<Affine2>(weights().clone()), {2});
  const at::Tensor x = Noise(1, "x").normal(at::empty({7, 2}, at::kDouble));
  const Times t(std::vector<double>{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7});
  w.context->counts.reset(7);
  const Classified whole = w.model().classify(x, t);
  w.context->chunk = 3;
  const Classified parts = w.model().classify(x, t);
  expect_close(parts.logits, whole.logits, 1e-14);
  EXPECT_TRUE(same_bits(parts.features, x));
  EXPECT_EQ(w.nfe(), std::vector<std::int64_t>(7, 2));
}

}  // namespace
}  // namespace scorelab::test
