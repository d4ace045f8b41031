#pragma once
#include <ATen/core/Tensor.h>
#include <scorelab/component.h>
#include <scorelab/noise.h>
#include <scorelab/setting.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace scorelab {

/// z = scale * x + shift, of every element.
struct Affine {
  double scale = 1, shift = 0;
};

/// Where the model works: it sees z = encode(x), and samples are decode(z). Without one in the
/// manifest it is the data set's own range, an affine map. Latent diffusion takes the latents of an
/// autoencoder (Rombach et al. 2022, section 3).
///
/// The host calls encode for training data, for the draws that guides observe and for metrics of
/// the model, and decode for samples; both without gradients. Each row on its own: an encoded
/// sample does not depend on the others of its batch. A space is prepared after the data set and
/// before the scheduler, and must keep nothing of the Setting: models of a manifest outlive their
/// data sets.
class Space : public Component {
 public:
  static constexpr const char* kind = "space";
  ~Space() override;
  /// Of one z: [D] or [C, H, W].
  virtual std::vector<std::int64_t> shape() const = 0;
  /// x: [B, ..] of the data set's shape, in data units, float32 or float64, on the CPU. Floats on
  /// any device; the host converts them. `noise`, a row a sample, is for encoders that draw; where
  /// it is null the answer is their mean.
  virtual at::Tensor encode(const at::Tensor& x, Noise* noise) const = 0;
  /// z: [B, ..] in the dtype and on the device of the run, or float64 on the CPU. In data units.
  virtual at::Tensor decode(const at::Tensor& z) const = 0;
  /// encode, where it is one affine map for all elements and keeps the shape: then the data's law
  /// and densities carry over. With it the space gives "affine-space".
  virtual std::optional<Affine> affine() const;
  /// The same for what works in no other space; throws Error where there is none.
  Affine expect_affine() const;
};

}  // namespace scorelab
