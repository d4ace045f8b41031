#include "train/arena.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

namespace scorelab {

Arena::Arena(Network& network, std::uint64_t seed, const std::string& stream) {
  const c10::AutoGradMode no_grad(false);
  NamedTensors& parameters = parameters_;
  parameters = network.parameters();
  if (parameters.empty()) throw Error("the network has no parameters to train");
  // elements: matrix kernels are faster on whole cache lines
  constexpr std::int64_t alignment = 16;
  std::int64_t total = 0;
  for (const auto& [name, p] : parameters)
    places_.push_back({name, p.sizes().vec(), 0, p.numel(), !p.requires_grad()});
  for (const bool fixed : {false, true}) {
    for (auto& place : places_) {
      if (place.fixed != fixed) continue;
      place.offset = total;
      total += (place.count + alignment - 1) / alignment * alignment;
    }
    if (!fixed) trained_ = total;
  }
  if (trained_ == 0) throw Error("all parameters of the network are fixed: there is none to train");
  const auto options = parameters.front().second.options().requires_grad(false);
  values = at::zeros({total}, options);
  gradients = at::zeros({total}, options);
  const NamedTensors value_views = views(values), gradient_views = views(gradients);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto& [name, p] = parameters[i];
    value_views[i].second.copy_(p);
    p.set_data(value_views[i].second);
    Noise noise(seed, stream + name);
    network.initialise(name, p, noise);
    if (!is_fixed(i)) p.mutable_grad() = gradient_views[i].second;
  }
}

void Arena::require_gradients(bool wanted) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!is_fixed(i)) parameters_[i].second.requires_grad_(wanted);
}

void Arena::show(const at::Tensor& flat) {
  const NamedTensors own = views(flat);
  for (std::size_t i = 0; i < own.size(); ++i) parameters_[i].second.set_data(own[i].second);
}

std::int64_t Arena::count() const {
  std::int64_t n = 0;
  for (const auto& p : places_)
    if (!p.fixed) n += p.count;
  return n;
}

NamedTensors Arena::views(const at::Tensor& flat) const {
  NamedTensors out;
  for (const auto& p : places_)
    out.emplace_back(p.name, flat.narrow(0, p.offset, p.count).view(p.shape));
  return out;
}

void Arena::fill(at::Tensor& flat, const NamedTensors& from) const {
  const c10::AutoGradMode no_grad(false);
  const NamedTensors to = views(flat);
  if (from.size() != to.size())
    throw Error(fmt::format("{} stored tensors meet a network of {}", from.size(), to.size()));
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (from[i].first != to[i].first || from[i].second.sizes() != to[i].second.sizes())
      throw Error(c10::str("the stored tensor ", from[i].first, " ", from[i].second.sizes(),
                           " meets the network's ", to[i].first, " ", to[i].second.sizes()));
    to[i].second.copy_(from[i].second);
  }
}

}  // namespace scorelab
