#pragma once
#include <scorelab/network.h>

#include <string>
#include <vector>

namespace scorelab {

/// A network's parameters as views of one flat tensor, so that the optimiser, averages, clipping
/// and checkpoints are each one operation.
class Arena {
 public:
  /// Takes over the storage of the parameters and gives each a gradient; first values by
  /// Network::initialise, each from the stream `stream` and its name.
  Arena(Network& network, std::uint64_t seed, const std::string& stream = "initialise/");
  Arena(const Arena&) = delete;
  Arena(Arena&&) = default;

  at::Tensor values, gradients;
  /// The part of such a tensor that training changes; the parameters that are fixed come last.
  at::Tensor trained(const at::Tensor& flat) const { return flat.narrow(0, 0, trained_); }
  /// Whether losses send gradients to the parameters that are not fixed.
  void require_gradients(bool wanted);
  /// Makes the network's parameters views of this tensor, laid out as `values` is, until they are
  /// shown another: nothing is copied.
  void show(const at::Tensor& flat);
  /// The number of parameters that training changes.
  std::int64_t count() const;
  bool is_fixed(std::size_t parameter) const { return places_[parameter].fixed; }
  /// The named views of any tensor laid out as `values` is, in the network's order.
  NamedTensors views(const at::Tensor& flat) const;
  /// Writes named tensors into a flat tensor; throws Error for a name or shape that does not fit.
  void fill(at::Tensor& flat, const NamedTensors& from) const;

 private:
  struct Place {
    std::string name;
    std::vector<std::int64_t> shape;
    std::int64_t offset, count;
    bool fixed;
  };
  std::vector<Place> places_;
  NamedTensors parameters_;
  std::int64_t trained_ = 0;
};

}  // namespace scorelab
