#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "golden.h"
#include "second_derivative.h"
#include "testing.h"

namespace scorelab::test {
namespace {

std::shared_ptr<Network> made(const Json& params, std::vector<std::int64_t> shape) {
  return prepared("adm-unet", params, std::move(shape));
}

std::int64_t count(const Json& params, std::int64_t side, std::int64_t parts = 2) {
  return parameters_of("adm-unet", params, {3, side, side}, parts);
}

/// Of the checkpoints of Dhariwal & Nichol 2021.
TEST(AdmUNet, HasTheParametersOfAdmsTable) {
  const auto of = [](const char* preset) { return preset_of("adm-unet", preset); };
  EXPECT_EQ(count(of("imagenet64"), 64), 295904454);
  EXPECT_EQ(count(of("imagenet64"), 64, 1), 295899267);
  EXPECT_EQ(count(of("imagenet128"), 128), 421529606);
  EXPECT_EQ(count(of("imagenet256"), 256), 553838086);
  EXPECT_EQ(count(of("lsun256"), 256), 552814086);
}

/// Of those of Nichol & Dhariwal 2021.
TEST(AdmUNet, HasTheParametersOfImprovedDdpms) {
  Json improved = preset_of("adm-unet", "improved-imagenet64");
  EXPECT_EQ(count(improved, 64), 121063942);
  improved["classes"] = 1000;
  EXPECT_EQ(count(improved, 64), 121575942);
  improved["channels"] = 192;
  EXPECT_EQ(count(improved, 64), 273049350);
  EXPECT_EQ(count(preset_of("adm-unet", "improved-cifar10"), 32), 52546438);
}

Json tiny(Json more = Json::object()) {
  Json out{{"channels", 32},   {"multipliers", {1, 2}}, {"blocks", 1},
           {"attention", {8}}, {"head_channels", 16},   {"classes", 10}};
  out.update(more);
  return out;
}

TEST(AdmUNet, HasTheParametersOfTinyOnes) {
  EXPECT_EQ(count(tiny(), 16), 829638);
  EXPECT_EQ(count(tiny({{"blocks", 2}}), 16), 1154790);
}

/// A network with weights that hide nothing, on two images.
class Tiny {
 public:
  explicit Tiny(const Json& more = Json::object()) {
    Json all = tiny({{"channels", 4}, {"groups", 2}, {"head_channels", 4}});
    all.update(more);
    network_ = made(all, {1, 16, 16});
    for (auto& [name, p] : network_->parameters()) {
      const c10::AutoGradMode no_grad(false);
      p.copy_(0.3 * Noise(7, name).normal(p.unsqueeze(0)).squeeze(0));
      weights_.push_back(p);
    }
  }
  at::Tensor operator()(const at::Tensor& x, std::vector<std::int64_t> labels = {3, -1},
                        Noise* noise = nullptr) const {
    const at::Tensor time = at::tensor({3.0, 40.0}, at::kDouble);
    const Condition condition{{"label", at::tensor(labels, at::kLong)}};
    return network_->forward({x, time, at::ones_like(time), at::ones_like(time), condition, noise});
  }
  at::Tensor gradient(Noise* noise) const {
    const at::Tensor y = (*this)(wave(), {3, 5}, noise);
    std::vector<at::Tensor> out;
    for (const auto& g : torch::autograd::grad({(y * wave()).sum()}, weights_))
      out.push_back(g.flatten());
    return at::cat(out);
  }
  static at::Tensor wave() {
    return at::cos(0.37 * at::arange(2 * 256, at::kDouble) + 0.1).view({2, 1, 16, 16});
  }

 private:
  std::shared_ptr<Network> network_;
  std::vector<at::Tensor> weights_;
};

TEST(AdmUNet, ALabelChangesItsOwnRowAlone) {
  const Tiny net;
  const at::Tensor x = Tiny::wave(), a = net(x, {3, -1}), b = net(x, {4, -1}), c = net(x, {3, 0});
  EXPECT_GT((a[0] - b[0]).abs().max().item<double>(), 1e-3);
  EXPECT_TRUE(at::equal(a[1], b[1]));
  EXPECT_GT((a[1] - c[1]).abs().max().item<double>(), 1e-3) << "no label is none of the labels";
  EXPECT_TRUE(at::equal(a[0], c[0]));
}

TEST(AdmUNet, ThatRecomputesHasTheSameGradients) {
  const Tiny kept(Json{{"dropout", 0.3}}), again(Json{{"dropout", 0.3}, {"recompute", true}});
  Noise one(3, "dropout"), other(3, "dropout");
  // the gradients of the embedding are summed in another order
  EXPECT_TRUE(at::allclose(kept.gradient(&one), again.gradient(&other), 1e-12, 1e-13));
}

TEST(AdmUNet, CanBeDifferentiatedTwice) {
  const Tiny net;
  const at::Tensor v = Tiny::wave();
  expect_second_derivative([&](const at::Tensor& x) { return net(x); }, v, at::sin(3 * v));
}

TEST(AdmUNet, SamplesByTheFusedKernelsWhatItTrains) {
  const Tiny net;
  const at::Tensor trained = net(Tiny::wave());
  const c10::AutoGradMode no_grad(false);
  EXPECT_TRUE(at::allclose(net(Tiny::wave()), trained, 1e-12, 1e-12));
}

TEST(AdmUNet, BeginsWithPyTorchsWeightsAndLastMapsOfZero) {
  const auto network = made(tiny(), {3, 16, 16});
  for (auto& [name, p] : network->parameters()) {
    Noise noise(1, name);
    network->initialise(name, p, noise);
    const bool last = name.find(".out_layers.3.") != name.npos ||
                      name.find(".proj_out.") != name.npos || name.starts_with("out.2.");
    const double largest = p.abs().max().item<double>();
    if (last) {
      EXPECT_EQ(largest, 0) << name;
    }
    if (name == "input_blocks.2.0.in_layers.2.bias") {  // 3 x 3 pixels of 32 channels
      EXPECT_LE(largest, 1 / std::sqrt(288.0));
      EXPECT_GT(largest, 0.8 / std::sqrt(288.0));
    }
    if (name == "label_emb.weight") {
      EXPECT_NEAR(p.square().mean().item<double>(), 1, 0.15);
    }
  }
}

}  // namespace
}  // namespace scorelab::test
