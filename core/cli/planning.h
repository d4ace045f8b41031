#pragma once
#include <string>
#include <vector>

#include "cli/command.h"

namespace scorelab::cli {

/// Which part of a plan: `--only "pc, S=10|20"`, `--seeds 0..3`, `--until train`.
struct Selection {
  std::string only, seeds, until;
  void add(CLI::App& verb);
};

/// The stages of the selected replicates, with what they need, in the plan's order; all of them
/// where nothing is selected, with those of the searches. Throws Error where the selection names no
/// axis, label or seed of the comparison.
std::vector<std::size_t> select(const plan::Plan& plan, const Selection& selection,
                                const manifest::Comparison& comparison);

/// What a plan says to people; `all`: every stage, not only the counts.
std::string plan_text(const plan::Plan& plan, const Loaded& loaded, int fd, bool all);

}  // namespace scorelab::cli
