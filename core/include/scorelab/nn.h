#pragma once
#include <scorelab/network.h>

#include <functional>

/// Network blocks on plain ATen. torch::nn is not used: its constructors draw from the default
/// generator (the host draws the first weights by name instead), and its header costs 20 s a file.
namespace scorelab::nn {

/// The parameters of a network, under PyTorch's state-dict names.
class Weights {
 public:
  explicit Weights(at::TensorOptions options) : options_(options.requires_grad(true)) {}
  at::Tensor add(const std::string& name, std::vector<std::int64_t> shape);
  /// One that no training changes, such as the frequencies of an embedding; 0 until `initialise`.
  at::Tensor fixed(const std::string& name, std::vector<std::int64_t> shape);
  NamedTensors list;

 private:
  at::TensorOptions options_;
};

struct Linear {
  Linear() = default;
  Linear(Weights& w, const std::string& name, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;
  at::Tensor weight, bias;
};

struct Conv2d {
  Conv2d() = default;
  Conv2d(Weights& w, const std::string& name, std::int64_t in, std::int64_t out,
         std::int64_t kernel, std::int64_t stride = 1);
  at::Tensor operator()(const at::Tensor& x) const;
  at::Tensor weight, bias;
  std::int64_t stride = 1;
};

struct GroupNorm {
  GroupNorm() = default;
  GroupNorm(Weights& w, const std::string& name, std::int64_t groups, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;
  at::Tensor weight, bias;
  std::int64_t groups = 1;
};

/// A learned vector for each class and, the last, for no class.
struct ClassEmbedding {
  ClassEmbedding() = default;
  ClassEmbedding(Weights& w, const std::string& name, std::int64_t classes, std::int64_t features);
  /// [B, features]
  at::Tensor operator()(const Input& in) const;
  at::Tensor weight;
};

/// The hidden layers of a multilayer perceptron on the flattened sample: a shared group of
/// parameters, and what they make. The time embedding (sines and cosines, one linear layer) is
/// added in every layer.
class Hidden {
 public:
  Hidden(std::int64_t width, std::int64_t depth) : width_(width), depth_(depth) {}
  void params(Params& p);
  void check() const;
  void prepare(Weights& w, std::int64_t dim);
  /// [B, width] of [B, ..]; `known`, [B, width] or one row, is added to the embedding.
  at::Tensor operator()(const Input& in, const at::Tensor& known = {}) const;
  std::int64_t width() const { return width_; }

 private:
  std::int64_t width_, depth_, time_features_ = 64;
  std::string activation_ = "silu";
  Linear time_;
  std::vector<Linear> layers_;
};

/// [B] -> [B, features]: sines, then cosines, of time * w with w geometric from 1 to 1/max_period
/// (Ho et al. 2020).
at::Tensor time_embedding(const at::Tensor& time, std::int64_t features, double max_period = 10000);

/// Inverted dropout with the host's noise; the identity when sampling.
at::Tensor dropout(const at::Tensor& x, double rate, Noise* noise);

/// Throws Error unless a sample of this shape is an image, [channels, height, width], whose height
/// and width can be halved so often; `key`: the parameter that says how often.
void expect_halvings(const std::vector<std::int64_t>& shape, std::int64_t times,
                     const std::string& key);

/// softmax(q k^T / sqrt(D)) v of q, k, v: [B, heads, tokens, D] (Vaswani et al. 2017). By
/// LibTorch's fused kernels; those have no second derivative, and a backward pass that is
/// differentiated again is written out.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// f(inputs), whose activations are computed again in the backward pass and not kept until then:
/// less memory, one more evaluation of f (Chen et al. 2016). `weights`: the parameters that f uses.
/// f is called twice and must return the same: its draws are among the inputs. It must live until
/// the backward pass. Where gradients are off this is f(inputs). Throws Error from a backward pass
/// that is differentiated again, and knows no forward-mode derivative: a network that calls it
/// gives no "second-order".
at::Tensor recomputed(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f,
                      const std::vector<at::Tensor>& inputs,
                      const std::vector<at::Tensor>& weights);

}  // namespace scorelab::nn
