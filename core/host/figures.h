#pragma once
#include "params/schema.h"

/// What a report's figures ask of a host.
namespace scorelab::host {

using schema::Json;

/// {"spec", "count", "seed"}: draws of the spec's data set, {"shape", "values"}, in data units; or
/// {"error"}.
Json draw_data_points(const Json& request);

/// {"results", "key", "t", "points": [[x, y], ..]}: the score of a sampling's model at these points
/// at time t (null: a tenth of the way from t_min), and the exact one where the data's law is
/// known: {"t", "model": [[u, v], ..], "exact"}; or {"error"}.
Json score_field(const Json& request);

/// {"results", "key", "count"}: the probability-flow ODE in the exact score of the data's law, from
/// the starts of a sampling's trace, at the times of its steps (t_min in place of 0): {"t":
/// [steps], "shape", "x"}, in data units; or {"error"}.
Json exact_paths(const Json& request);

}  // namespace scorelab::host
