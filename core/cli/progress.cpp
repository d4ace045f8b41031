#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/terminal.h"

namespace scorelab::cli {

void Progress::start(const std::string& stage, const std::string& label) {
  labels_[stage] = label;
  begun_.erase(stage);
}

void Progress::update(const schema::Json& e) {
  const std::string stage = e.at("stage");
  const std::int64_t done = e.at("done"), total = e.at("total");
  const auto now = clock::now();
  const auto [it, fresh] = begun_.try_emplace(stage, now, done);
  const double seconds = std::chrono::duration<double>(now - it->second.first).count();
  const double rate = seconds > 0 ? static_cast<double>(done - it->second.second) / seconds : 0;
  const bool terminal = is_terminal(STDERR_FILENO);
  if (done < total && now - last_ < std::chrono::milliseconds(terminal ? 100 : 10000)) return;
  last_ = now;
  const std::string unit = e.value("unit", "");
  std::string text = fmt::format("{:<14} {:>7}/{} {}", labels_[stage], done, total, unit);
  if (e.contains("t")) text += fmt::format("  t {:.3f}", e["t"].get<double>());
  if (e.contains("loss")) text += fmt::format("  loss {}", figure(e["loss"]));
  if (rate > 0) text += fmt::format("  {} {}/s  {} left", figure(rate), unit, duration(static_cast<double>(total - done) / rate));
  if (terminal) {
    const auto filled = static_cast<std::size_t>(20 * done / std::max<std::int64_t>(1, total));
    text = fmt::format("[{}{}] {}", std::string(filled, '='), std::string(20 - filled, ' '), text);
    draw(text);
  } else if (unit != "metrics") {
    line(text);
  }
}

void Progress::finish(const std::string& stage, const std::string& text) { line(fmt::format("{:<14} {}", labels_[stage], text)); }

void Progress::line(const std::string& text) {
  clear();
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

void Progress::draw(const std::string& text) {
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace scorelab::cli
