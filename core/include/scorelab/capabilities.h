#pragma once
#include <string_view>

namespace scorelab {

/// What one part of an experiment may need of another. `Params::needs` and `Params::gives` take
/// these names and no others.
struct CapabilityName {
  std::string_view name;
  /// the part that must give it; empty: it informs the host, and no part can need it
  std::string_view giver;
  std::string_view says;
};

inline constexpr CapabilityName capability_names[] = {
    {"levels", "scheduler", "the process is discrete: times are its levels"},
    {"path", "scheduler", "the process leads from noise to data"},
    {"one-level", "scheduler", "the process has one level, where samples stay"},
    {"noise", "scheduler", "sigma is above 0 at every time"},
    {"finite-snr", "scheduler", "alpha stays above 0"},
    {"finite-velocity", "scheduler", "the slopes of alpha and sigma are finite"},
    {"gaussian-law", "dataset", "the data's law is a Gaussian"},
    {"mixture-law", "dataset", "the data's law is a mixture of Gaussians"},
    {"density", "dataset",
     "the data have a density; said by a metric: it measures one, which grey levels lack"},
    {"bounds", "dataset", "values lie in a known range"},
    {"images", "dataset", "items are [C, H, W]"},
    {"items", "dataset", "the set is finite"},
    {"labels", "dataset", "items have classes"},
    {"affine-space", "space", "it is one affine map of the data's elements"},
    {"trains", "network", "it has parameters that a training sets"},
    {"exact", "network", "it states the data's own score"},
    {"second-order", "network", "it can be differentiated twice"},
    {"conditional", "network", "it takes a condition for each sample: class labels, .."},
    {"variance", "network", "it may predict a step's variance beside its mean"},
    {"classifies", "network", "it names classes, and predicts nothing else"},
    {"program", "", "a file that it reads is a program: its folder must be trusted"},
    {"learned-variance", "output", "the manifest asks for a predicted variance"},
    {"batch-loss", "objective", "its loss is one number for a batch and couples its samples"},
    {"teaches-variance", "objective", "its loss trains a predicted variance"},
    {"unconditional", "train",
     "conditions are dropped, so that the network may be asked without one"},
    {"trace", "sample", "paths are recorded"},
    {"exact-moments", "", "a metric, start or guide works on exact moments, without samples"},
    {"on-model", "", "a metric measures the model, without samples"},
    {"fresh-noise", "", "a sampler's draws are no increments of a Brownian path"},
};

}  // namespace scorelab
