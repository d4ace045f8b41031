#include <gtest/gtest.h>
#include <scorelab/dataset.h>

#include <cmath>

#include "golden.h"
#include "second_derivative.h"

namespace scorelab::test {
namespace {

/// A data set that says nothing but how many classes there are.
class Classes final : public DataSet {
 public:
  explicit Classes(std::int64_t n) : n_(n) {}
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {}; }
  at::Tensor get(const std::vector<std::int64_t>&, Noise&, Condition&) const override { return {}; }
  std::vector<ConditionType> conditions() const override { return {class_label(n_)}; }

 private:
  std::int64_t n_;
};

const Json small{{"channels", 32},   {"multipliers", {1, 2}}, {"blocks", 1},
                 {"attention", {4}}, {"head_channels", 16},   {"qkv", "by-head"}};

std::shared_ptr<Network> made() {
  const Classes data(3);
  return prepared("adm-classifier", small, {1, 8, 8}, 1, at::kDouble, &data);
}

Classified answer(Network& network, const at::Tensor& x) {
  const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble);
  const Condition none;
  return network.classify({x, time, at::ones_like(time), at::ones_like(time), none, nullptr});
}

TEST(AdmClassifier, IsThatOfThePapersCode) {
  const auto network = made();
  EXPECT_EQ(set_by_rule(*network), std::pair(std::size_t{77}, std::int64_t{377731}));
  const at::Tensor y = answer(*network, wave(128).view({2, 1, 8, 8})).logits;
  ASSERT_EQ(y.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_NEAR(y.sum().item<double>(), 1.22749525743, 1e-10);
  EXPECT_NEAR(y.square().sum().item<double>(), 6.3981882597, 1e-10);
  EXPECT_NEAR(y[0][0].item<double>(), -1.13060398224, 1e-10);
  EXPECT_NEAR(y[1][2].item<double>(), 1.31908100331, 1e-10);
}

TEST(AdmClassifier, HasTheParametersOfThePaper) {
  const Classes data(1000);
  for (const auto& [preset, side, expected] : {std::tuple{"imagenet64", 64, 65438568},
                                               {"imagenet128", 128, 42568040},
                                               {"imagenet256", 256, 54096360}})
    EXPECT_EQ(parameters_of("adm-classifier", preset_of("adm-classifier", preset), {3, side, side},
                            1, &data),
              expected)
        << preset;
}

TEST(AdmClassifier, CanBeDifferentiatedTwice) {
  const auto network = made();
  for (auto& [name, p] : network->parameters()) {
    const c10::AutoGradMode no_grad(false);
    p.copy_(0.3 * Noise(7, name).normal(p.unsqueeze(0)).squeeze(0));
  }
  const at::Tensor v = wave(128).view({2, 1, 8, 8});
  const auto first_class = [&](const at::Tensor& x) {
    return answer(*network, x).logits.select(1, 0).view({2, 1, 1, 1});
  };
  expect_second_derivative(first_class, v, at::sin(3 * v), 1e-7);
}

TEST(AdmClassifier, BeginsWithPositionsOfTheWidthsScale) {
  const auto network = made();
  std::size_t seen = 0;
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    network->initialise(name, p, noise);
    const double size = p.square().mean().sqrt().item<double>();
    const auto near = [&, &name = name](const std::string& of, double expected) {
      if (name != of) return;
      EXPECT_NEAR(size, expected, 0.01) << name;
      ++seen;
    };
    near("out.2.positional_embedding", 1 / 8.0);
    near("middle_block.0.out_layers.3.weight", 0);
    near("out.2.c_proj.weight", 1 / 8.0 / std::sqrt(3.0));  // PyTorch's: uniform, of 64 channels
  }
  EXPECT_EQ(seen, 3u);
}

}  // namespace
}  // namespace scorelab::test
