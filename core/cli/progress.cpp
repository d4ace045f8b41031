#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cli/terminal.h"

namespace scorelab::cli {
namespace {

std::string bar(double share) {
  const auto filled = static_cast<std::size_t>(20 * std::clamp(share, 0.0, 1.0));
  return fmt::format("[{}{}]", std::string(filled, '='), std::string(20 - filled, ' '));
}

}  // namespace

void Progress::start(std::size_t host, const std::string&, const std::string& label) {
  hosts_[host] = {label, "", {}, {}, -1};
}

void Progress::update(std::size_t host, const schema::Json& e) {
  Work& work = hosts_[host];
  const std::int64_t done = e.at("done"), total = e.at("total");
  const auto now = clock::now();
  if (work.first < 0) {
    work.begun = now;
    work.first = done;
  }
  const bool terminal = is_terminal(STDERR_FILENO);
  if (done < total &&
      now - (terminal ? last_ : work.told) < std::chrono::milliseconds(terminal ? 100 : 10000))
    return;
  last_ = work.told = now;
  const double seconds = std::chrono::duration<double>(now - work.begun).count();
  const double rate = seconds > 0 ? static_cast<double>(done - work.first) / seconds : 0;
  const std::string unit = e.value("unit", "");
  std::string text = fmt::format("{:<14} {:>7}/{} {}", work.label, done, total, unit);
  if (e.contains("t")) text += fmt::format("  t {:.3f}", e["t"].get<double>());
  if (e.contains("loss")) text += fmt::format("  loss {}", figure(e["loss"]));
  if (rate > 0)
    text += fmt::format("  {} {}/s  {} left", figure(rate), unit,
                        duration(static_cast<double>(total - done) / rate));
  if (terminal) {
    work.bar =
        bar(static_cast<double>(done) / static_cast<double>(std::max<std::int64_t>(1, total))) +
        " " + text;
    draw();
  } else if (unit != "metrics" && unit != "moments") {
    line(text);
  }
}

std::string Progress::overall() const {
  const double seconds = std::chrono::duration<double>(clock::now() - begun_).count();
  const double left = finished_ == 0 ? 0
                                     : seconds / static_cast<double>(finished_) *
                                           static_cast<double>(stages_ - finished_);
  return fmt::format("{} {}/{} stages{}",
                     bar(static_cast<double>(finished_) / static_cast<double>(stages_)), finished_,
                     stages_, finished_ == 0 ? "" : "  about " + duration(left) + " left");
}

void Progress::finish(std::size_t host, const std::string& label, const std::string& text) {
  ++finished_;
  const std::string count = stages_ < 4 ? "" : fmt::format("[{}/{}] ", finished_, stages_);
  line(fmt::format("{}{:<14} {}", count, label, text));
  hosts_.erase(host);
}

void Progress::idle(std::size_t host) { hosts_.erase(host); }

void Progress::line(const std::string& text) {
  clear();
  std::cerr << text + "\n";
}

void Progress::draw() {
  clear();
  std::vector<std::string> lines;
  if (stages_ >= 4) lines.push_back(overall());
  for (const auto& [host, work] : hosts_)
    if (!work.bar.empty()) lines.push_back(work.bar);
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) text += (i ? "\n" : "") + visible(lines[i]);
  put(STDERR_FILENO, text);
  drawn_ = lines.size();
}

void Progress::clear() {
  if (drawn_ == 0) return;
  std::string text = "\r\x1b[K";
  for (std::size_t i = 1; i < drawn_; ++i) text += "\x1b[A\x1b[K";
  put(STDERR_FILENO, text);
  drawn_ = 0;
}

}  // namespace scorelab::cli
