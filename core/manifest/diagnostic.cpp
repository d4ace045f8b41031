#include "diagnostic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <sstream>

namespace scorelab::manifest {

int Sources::add(std::string name, std::string text, std::optional<std::string> folder) {
  files_.push_back({std::move(name), std::move(text), std::move(folder)});
  return static_cast<int>(files_.size()) - 1;
}

const std::string& Sources::folder(const Position& at) const {
  static const std::string here;
  for (const int source : {at.source, 0})
    if (source >= 0 && source < static_cast<int>(files_.size()) && files_[source].folder)
      return *files_[source].folder;
  return here;
}

std::string Sources::place(const Position& at) const {
  return fmt::format("{}:{}:{}", name(at.source), at.line, at.column);
}

std::string Sources::line(const Position& at) const {
  std::istringstream in(text(at.source));
  std::string line;
  for (int i = 0; i < at.line && std::getline(in, line); ++i) {
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);
  return line;
}

std::string render(const Diagnostic& d, const Sources& sources) {
  std::string out = fmt::format("{}: {}\n", d.warning ? "warning" : "error", d.message);
  if (d.at.source >= 0) {
    std::string line = sources.line(d.at);
    std::replace(line.begin(), line.end(), '\t', ' ');
    const std::string number = std::to_string(d.at.line), margin(number.size(), ' ');
    const auto column = static_cast<std::size_t>(std::max(1, d.at.column));
    const auto room = line.size() >= column ? line.size() - column + 1 : 1;
    const std::string caret(std::clamp<std::size_t>(d.at.length, 1, room), '^');
    out += fmt::format("{}--> {}\n{} | {}\n{} | {}{}{}{}\n", std::string(number.size() + 1, ' '),
                       sources.place(d.at), number, line, margin, std::string(column - 1, ' '),
                       caret, d.hint.empty() ? "" : " ", d.hint);
    for (const auto& note : d.notes) out += fmt::format("{} = {}\n", margin, note);
    return out;
  }
  if (!d.hint.empty()) out += fmt::format("  = {}\n", d.hint);
  for (const auto& note : d.notes) out += fmt::format("  = {}\n", note);
  return out;
}

namespace {
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}
}  // namespace

std::string nearest(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  if (name.size() > 100) return best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : names) {
    if (candidate.size() > 100) continue;
    const std::size_t d = distance(name, candidate);
    if (d < best_distance && 2 * d <= candidate.size()) {
      best = candidate;
      best_distance = d;
    }
  }
  if (!best.empty()) return best;
  const auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  for (const auto& candidate : names) {
    if (name.size() >= 3 && candidate.rfind(name, 0) == 0) return candidate;
    const auto at = name.find(candidate);
    if (candidate.size() < 3 || at == name.npos) continue;
    const std::size_t end = at + candidate.size();
    if ((at == 0 || !letter(name[at - 1])) && (end == name.size() || !letter(name[end])) &&
        candidate.size() > best.size())
      best = candidate;
  }
  return best;
}

std::string suggestion(const std::string& name, const std::vector<std::string>& names,
                       const std::string& what) {
  if (const std::string near = nearest(name, names); !near.empty())
    return fmt::format("did you mean `{}`?", near);
  return fmt::format("{}: {}", what,
                     names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
}

}  // namespace scorelab::manifest
