#include "space.h"

#include <ATen/ATen.h>
#include <scorelab/error.h>

namespace scorelab {

Space::~Space() = default;
std::optional<Affine> Space::affine() const { return {}; }
Affine Space::expect_affine() const {
  if (const auto map = affine()) return *map;
  throw Error("the space is not an affine map of the data, which is required here");
}

at::Tensor DataRange::encode(const at::Tensor& x, Noise*) const {
  return x * map_.scale + map_.shift;
}
at::Tensor DataRange::decode(const at::Tensor& z) const { return (z - map_.shift) / map_.scale; }

}  // namespace scorelab
