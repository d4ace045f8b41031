#pragma once
#include "params/schema.h"

/// What a report's figures ask of a host.
namespace scorelab::host {

using schema::Json;

/// {"spec", "count", "seed"}: draws of the spec's data set, {"shape", "values"}, in data units; or {"error"}.
Json draw_data_points(const Json& request);

/// {"results", "key", "t", "points": [[x, y], ..]}: the score of a sampling's model at these points at time t (null: a tenth of the way
/// from t_min), and the exact one where the data's law is known: {"t", "model": [[u, v], ..], "exact"}; or {"error"}.
Json score_field(const Json& request);

}  // namespace scorelab::host
