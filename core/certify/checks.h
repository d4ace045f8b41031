#pragma once
#include <string>
#include <vector>

/// What `scorelab certify` checks, kind by kind: shared by the front end, which starts a process
/// for each, and the host, which runs them.
namespace scorelab::certify {

struct Check {
  std::string name, shows;
};

/// The checks of a kind, in order; a step is checked as the sampler that it makes.
std::vector<Check> checks_of(const std::string& kind);

}  // namespace scorelab::certify
