#pragma once
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace scorelab::host {

/// Takes the stages with these keys one after another by claim, leaving out those that are done or claimed by others, and reports on
/// stdout as JSON lines: {"event": start | progress | done | failed | busy, "stage": key, ..}. Returns the exit code.
int work(const std::filesystem::path& results, const std::vector<std::string>& keys, std::atomic<bool>& stop);

}  // namespace scorelab::host
