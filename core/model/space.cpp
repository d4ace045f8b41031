#include "space.h"

#include <ATen/ATen.h>
#include <scorelab/error.h>

namespace scorelab {

Space::~Space() = default;
std::optional<Affine> Space::affine() const { return {}; }
Affine Space::expect_affine() const {
  if (const auto map = affine()) return *map;
  throw Error("the space is no affine map of the data, and this works in no other one");
}

at::Tensor DataRange::encode(const at::Tensor& x, Noise*) const { return x * map_.scale + map_.shift; }
at::Tensor DataRange::decode(const at::Tensor& z) const { return (z - map_.shift) / map_.scale; }

}  // namespace scorelab
