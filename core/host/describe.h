#pragma once
#include "setup/component.h"

namespace scorelab::host {

/// The schema of a plugin's file as JSON: {"schema", "as_sampler" (of a step)} or {"error"}.
Json describe(const std::string& file);

/// For each component: "" or what its own check() says.
Json verdicts(const Json& components);

/// {"network", "scheduler", "shape"}: the tensors of a network for samples of this shape, and what
/// it weighs: {"layers": [{"name", "shape", "trains"}], "cost": {"parameters", "multiply_adds"}};
/// or {"error"}.
Json layers(const Json& request);

}  // namespace scorelab::host
