#pragma once
#include "manifest/comparison.h"

namespace scorelab::manifest {

/// One axis, a table of `[sweep]`. `comparison`: what was read before, seeds and variants. Whatever
/// is wrong is reported.
Axis read_axis(const Node::Member& table, const Comparison& comparison, Findings& findings);

}  // namespace scorelab::manifest
