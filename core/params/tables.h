#pragma once
#include <scorelab/params.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "params/schema.h"

/// The manifest's own tables, declared as components declare theirs.
namespace scorelab {

/// `output`: what a network's output means.
struct OutputOptions {
  void params(Params& p);
  std::string predict = "eps", variance = "none";
  double sigma_data = 0.5;
};

/// `train`.
struct TrainOptions {
  void params(Params& p);
  std::int64_t steps = 10000, batch = 128, accumulate = 1, warmup = 0, log_every = 50,
               evaluate_every = 0, preview_every = 0, preview_count = 16, checkpoint_every = 1000;
  std::string optimizer = "adam";
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01, decay = 0,
         clip = 0, drop_condition = 0;
  bool ema_warmup = true;
  /// Shared by copies, which a reference cannot have.
  std::shared_ptr<ModelRef> from = std::make_shared<ModelRef>();
  std::string weights;
  std::vector<std::string> weights_map;
};

/// `[models.NAME]`, beside its components and tables.
struct ModelOptions {
  void params(Params& p);
  double ema = 0.999;
  std::int64_t seed = 0;
};

/// `sample`.
struct SampleOptions {
  void params(Params& p);
  std::int64_t count = 1000, group = 1, max_nfe = 100000, trace = 0, step = 0;
  double ema = 0.999;
  std::string moments = "sampled", noise;
  NumberOrWord condition = "data";
  /// Holds an Initial, a class that the front end does not know.
  struct InitialSlot final : SlotBase {
    InitialSlot() : SlotBase("initial", "prior") {}
    bool accepts(Component*) const override { return true; }
  };
  std::shared_ptr<InitialSlot> initial = std::make_shared<InitialSlot>();
};

/// What each metric has beside its own parameters.
struct MetricOptions {
  void params(Params& p);
  std::string reference = "data";
};

/// `run`.
struct RunOptions {
  void params(Params& p);
  std::string device = "auto", precision = "float32", noise = "independent";
  NumberOrWord threads = "auto";
  std::int64_t chunk = 256;
};

/// What core reads and writes of the SDK's shared group Grid: a sampler that has the group is told
/// its steps by these keys.
struct GridKeys {
  static constexpr const char *group = "grid", *steps = "steps", *nfe = "nfe", *refine = "refine",
                              *to = "to";
};

/// A component's schema with what core has of its kind.
schema::Schema with_options_of_kind(const std::string& kind, schema::Schema s);

}  // namespace scorelab
