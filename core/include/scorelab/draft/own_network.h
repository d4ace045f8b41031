#pragma once
#include <scorelab/network.h>
#include <scorelab/params.h>

#include <cstdint>
#include <string>

namespace scorelab {

/// A network that an objective trains beside the model: a discriminator, or the score of what a
/// generator makes. A shared group of parameters, `fake_.params(p)`: for one called `fake` these
/// are `fake`, the network; `fake_from`, `fake_lr` and `fake_updates`.
///
/// Its parameters, and what Adam keeps of them, are part of the training's checkpoint. Each step
/// first updates it fake_updates times by Objective::loss_of, each time on a batch of its own, then
/// the model by Objective::loss. No gradient of the one loss reaches the parameters of the other
/// network.
class OwnNetwork {
 public:
  /// `plugin`: the network by default.
  OwnNetwork(std::string name, std::string plugin)
      : name_(std::move(name)), network_(std::move(plugin)) {}
  void params(Params& p);

  const std::string& name() const { return name_; }
  /// false where the manifest says "none"
  explicit operator bool() const { return static_cast<bool>(network_); }
  /// This network as a model in the caller's context: its active rows, condition, scheduler, output
  /// and space. Evaluations are counted apart; without guides, with dropout in training. Valid only
  /// during the call that received the caller.
  Model under(const Model& caller) const;

  // For the host.
  const Slot<Network>& network() const { return network_; }
  const ModelRef& from() const { return from_; }
  double lr() const { return lr_; }
  std::int64_t updates() const { return updates_; }

 private:
  std::string name_;
  Slot<Network> network_;
  ModelRef from_;
  double lr_ = 1e-3;
  std::int64_t updates_ = 1;
};

}  // namespace scorelab
