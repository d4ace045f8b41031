#pragma once
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace scorelab::host {

/// Takes the stages with these keys by claim, each after those that it needs, until all are done,
/// have failed or wait for one that has; and reports on stdout as JSON lines: {"event": start |
/// progress | done | failed | busy, "stage": key, ..}. Returns the exit code. It is host `host` of
/// `hosts` that share this machine, and begins nothing more after `max_failures` failures of its
/// own (0: no bound).
int work(const std::filesystem::path& results, const std::vector<std::string>& keys,
         std::size_t host, std::size_t hosts, std::size_t max_failures, std::atomic<bool>& stop);

}  // namespace scorelab::host
