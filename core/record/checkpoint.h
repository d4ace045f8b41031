#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "record/hdf5.h"

namespace scorelab::record {

/// A training's state. In the file: /parameters/NAME, /ema/RATE/NAME, /optimizer/{exp_avg,
/// exp_avg_sq}/NAME, under state-dict names.
struct Checkpoint {
  std::int64_t step = 0;
  double wall = 0;
  Json resolved = Json::object();  ///< what `auto` became: threads, device
  /// "parameters", "ema/0.999", "optimizer/exp_avg", ..
  std::map<std::string, NamedArrays> groups;
};

/// Writes `folder`/checkpoint.h5 whole, verified before it takes its name, and keeps the one before
/// as checkpoint.previous.h5. It is kept in the folder `keep_in` too, where one is given: under a
/// second name for the same file, as checkpoints are replaced and never written into.
void save_checkpoint(const fs::path& folder, const Checkpoint& checkpoint,
                     const fs::path& keep_in = {});

/// The newest checkpoint whose checksum holds; nothing where there is none. `damaged` is told of
/// each one that is not used; that one is renamed to NAME.damaged. With `group`, such as
/// "ema/0.999": that group alone, without reading the others.
std::optional<Checkpoint> load_checkpoint(
    const fs::path& folder, const std::function<void(const std::string& why)>& damaged,
    const std::string& group = "");

}  // namespace scorelab::record
