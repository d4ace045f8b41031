#include "report/index.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "compare/table.h"
#include "report/html.h"

namespace scorelab::report {
namespace {

using compare::Outcome;

struct Numbers {
  std::string ours, paper, at;
};

Numbers numbers(const compare::Verdict& v) {
  const compare::Instance* shown = compare::most_telling(v);
  if (!shown) return {};
  Numbers out{compare::numbers(v, *shown), shown->paper,
              v.instances.size() > 1 ? manifest::text(shown->at) : ""};
  if (v.instances.size() > 1)
    out.at = fmt::format("{}of {} places", out.at.empty() ? "" : out.at + ", ", v.instances.size());
  return out;
}

std::string time(double seconds) {
  const auto s = static_cast<long>(std::lround(seconds));
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string says(const compare::Verdict& v) {
  return v.claim->says.empty() ? v.claim->name : v.claim->says;
}

std::string figure(const Entry& e) {
  if (e.figure.empty()) return "";
  return fmt::format("<a href=\"{}\"><figure style=\"max-width:420px\">{}</figure></a>",
                     html(e.page),
                     e.figure.extension() == ".svg" ? svg(e.figure) : image(e.figure, e.name));
}

std::string row(const compare::Verdict& v) {
  const Numbers n = numbers(v);
  const std::string outcome = compare::word(v.outcome);
  return fmt::format(
      "<tr><td class=\"text\">{}<br><small><code>{}</code></small></td><td class=\"text\"><span "
      "class=\"{}\">{}</span></td><td>{}<br><small>{}</small></td><td class=\"text "
      "paper\">{}</td></tr>",
      html(says(v)), html(v.claim->holds.text), outcome, outcome, html(n.ours), html(n.at),
      html(n.paper));
}

std::string cell(std::string text) {
  for (std::size_t i = 0; (i = text.find('|', i)) != text.npos; i += 2) text.insert(i, "\\");
  return text;
}

}  // namespace

std::string index_page(const std::vector<Entry>& entries) {
  std::size_t counts[3] = {0, 0, 0};
  double seconds = 0;
  for (const auto& e : entries) {
    seconds += e.seconds;
    for (const auto& v : e.verdicts) ++counts[static_cast<int>(v.outcome)];
  }
  std::string out = "<header><h1>Experiments</h1><div class=\"pills\">" +
                    pill(fmt::format("{} experiments", entries.size()), "") +
                    pill(fmt::format("{} claims passed", counts[0]), "pass");
  if (counts[1]) out += pill(fmt::format("{} failed", counts[1]), "fail");
  if (counts[2]) out += pill(fmt::format("{} undecided", counts[2]), "undecided");
  out += pill(time(seconds) + " of computing", "") + "</div></header>";
  for (const auto& e : entries) {
    out += fmt::format("<h2><a href=\"{}\">{}</a></h2>", html(e.page), html(e.name));
    if (!e.question.empty()) out += fmt::format("<p>{}</p>", html(e.question));
    out += fmt::format("<p class=\"side\"><span class=\"paper\">{}</span> {} of computing{}</p>",
                       html(fmt::format("{}", fmt::join(e.cites, "; "))), time(e.seconds),
                       e.state == "done" ? "" : ", " + html(e.state));
    if (!e.verdicts.empty()) {
      out +=
          "<div class=\"scroll\"><table><tr><th class=\"text\">claim</th><th "
          "class=\"text\">verdict</th><th>ours</th><th class=\"text\">the paper's</th></tr>";
      for (const auto& v : e.verdicts) out += row(v);
      out += "</table></div>";
    }
    out += figure(e);
  }
  return document("experiments", out);
}

std::string index_markdown(const std::vector<Entry>& entries) {
  std::string out =
      "| experiment | claim | verdict | ours | the paper's |\n|---|---|---|---|---|\n";
  for (const auto& e : entries) {
    const std::string name = fmt::format("{} ({})", e.name, time(e.seconds));
    if (e.verdicts.empty()) out += fmt::format("| {} | | {} | | |\n", cell(name), cell(e.state));
    for (const auto& v : e.verdicts) {
      const Numbers n = numbers(v);
      out +=
          fmt::format("| {} | {} | {} | {}{} | {} |\n", &v == &e.verdicts.front() ? cell(name) : "",
                      cell(says(v)), compare::word(v.outcome), cell(n.ours),
                      n.at.empty() ? "" : cell(" (" + n.at + ")"), cell(n.paper));
    }
  }
  return out;
}

}  // namespace scorelab::report
