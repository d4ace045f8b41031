#pragma once
#include "params/schema.h"

namespace scorelab::certify {

using schema::Json;

/// One check in this process. `request`: {"check", "component": a resolved config, "schema": what
/// it declares, "plugins": the folder of scorelab's own}. Answers {"outcome": "pass", "fail" or
/// "skip", "detail": in words, ..what was measured}.
Json run_check(const Json& request);

}  // namespace scorelab::certify
