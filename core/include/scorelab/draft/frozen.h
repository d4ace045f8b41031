#pragma once
#include <scorelab/network.h>
#include <scorelab/space.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// Draft: what networks share whose weights others trained on photographs. They are classifiers
/// that no training of ours changes.
namespace scorelab::frozen {

/// The tensors of a safetensors file, each of which is to be taken once.
class Tensors {
 public:
  /// `options`: dtype and device of what is taken. Throws Error as read_safetensors does.
  Tensors(std::filesystem::path file, const at::TensorOptions& options);
  /// Throws Error where the file holds none of this name, or of another shape.
  at::Tensor take(const std::string& name, const std::vector<std::int64_t>& shape);
  /// Throws Error where a tensor is left that no one took, other than a norm's count of updates.
  void expect_all_taken() const;

 private:
  std::filesystem::path file_;
  at::TensorOptions options_;
  std::map<std::string, at::Tensor> left_;
};

/// A convolution without a bias and a batch norm with stored statistics and an epsilon of 1e-3.
struct ConvNorm {
  ConvNorm() = default;
  /// NAME.weight of the convolution, [out, in, kernel]; weight, bias, running_mean and running_var
  /// of the norm.
  ConvNorm(Tensors& from, const std::string& conv, const std::string& norm, std::int64_t out,
           std::int64_t in, std::vector<std::int64_t> kernel);
  at::Tensor normed(const at::Tensor& x) const;
  at::Tensor weight, scale, shift, mean, variance;
};

/// Images as the field's files hold them: three channels of bytes.
class Pixels {
 public:
  /// Throws Error unless samples are images of one or three channels, in an affine space.
  void prepare(const Setting& setting);
  /// x: [B, 1 or 3, H, W] in the model's units -> [B, 3, H, W] of whole numbers 0 .. 255, in x's
  /// dtype; grey images have three equal channels.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Affine to_model_;
};

/// f of all x, at most 32 images at a time, as f makes them large; never in bfloat16.
Classified in_parts(const at::Tensor& x, const std::function<Classified(const at::Tensor&)>& f);

}  // namespace scorelab::frozen
