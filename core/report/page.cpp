#include "report/page.h"
#include "params/walk.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/html.h"

namespace scorelab::report {
namespace {

using compare::digits;
using compare::Outcome;

std::string span(const compare::Interval& i) {
  return std::isnan(i.low) ? "" : fmt::format("[{}, {}]", digits(i.low), digits(i.high));
}

std::string head(const Report& r) {
  const auto& c = r.data->comparison;
  std::size_t counts[3] = {0, 0, 0};
  for (const auto& v : r.verdicts) ++counts[static_cast<int>(v.outcome)];
  std::string out = fmt::format("<header><h1>{}</h1>", html(c.name));
  if (!c.question.empty()) out += fmt::format("<p class=\"question\">{}</p>", html(c.question));
  out += "<div class=\"pills\">";
  if (counts[0])
    out += pill(fmt::format("{} claim{} passed", counts[0], counts[0] == 1 ? "" : "s"), "pass");
  if (counts[1]) out += pill(fmt::format("{} failed", counts[1]), "fail");
  if (counts[2]) out += pill(fmt::format("{} undecided", counts[2]), "undecided");
  out += pill(fmt::format("{} cells", r.data->cells.size())) +
         pill(fmt::format("n = {} {}", r.data->units_planned(), r.data->units_are()));
  if (r.state != "done") out += pill(r.state, "undecided");
  out += "</div>";
  for (const auto& warning : r.warnings)
    out += fmt::format("<p class=\"side\">Warning: {}</p>", html(warning));
  return out + "</header>";
}

std::string claims(const Report& r) {
  if (r.verdicts.empty()) return "";
  std::string out = "<h2>Claims</h2>";
  for (const auto& v : r.verdicts) {
    const std::string outcome = compare::word(v.outcome);
    out += fmt::format(
        "<div class=\"claim is-{0}\"><p><span class=\"{0}\">{0}</span> "
        "&nbsp;{1}</p><p><code>{2}</code> <span class=\"side\">decided by {3}, n = {4}</span></p>",
        outcome, html(v.claim->says.empty() ? v.claim->name : v.claim->says),
        html(v.claim->holds.text), v.claim->decide, v.n);
    std::string lines;
    for (const auto& i : v.instances) {
      lines += fmt::format(
          "<tr><td>{}</td><td class=\"text\"><span class=\"{}\">{}</span></td><td>{}</td><td>{} "
          "<small>{}</small></td><td class=\"text paper\">{}</td><td class=\"text\">{}</td></tr>",
          html(manifest::text(i.at)), compare::word(i.outcome), compare::word(i.outcome),
          html(compare::numbers(v, i)), digits(i.margin), span(i.interval), html(i.paper),
          html(i.why));
    }
    if (!lines.empty())
      out += fmt::format(
          "<details{}><summary>{} place{}</summary><div "
          "class=\"scroll\"><table><tr><th>where</th><th "
          "class=\"text\">verdict</th><th>sides</th><th>margin, 95 %</th><th class=\"text\">the "
          "paper</th><th class=\"text\">why</th></tr>{}</table></div></details>",
          v.outcome == Outcome::pass && v.instances.size() > 1 ? "" : " open", v.instances.size(),
          v.instances.size() == 1 ? "" : "s", lines);
    out += "</div>";
  }
  return out;
}

/// Means along the manifest's rows and columns; the paper's number beside.
std::string pivot(const Data& data, const compare::Table& t) {
  auto asked = data.comparison.compare;
  if (const auto axes = data.comparison.places();
      asked.columns.empty() && asked.rows.empty() && axes.size() > 1)
    asked.columns = {axes.back()};
  std::vector<std::string> down = asked.rows;
  for (const auto& axis : data.comparison.places())
    if (std::find(asked.rows.begin(), asked.rows.end(), axis) == asked.rows.end() &&
        std::find(asked.columns.begin(), asked.columns.end(), axis) == asked.columns.end())
      down.push_back(axis);
  const auto key = [&](std::size_t cell, const std::vector<std::string>& axes) {
    Coordinates out;
    for (const auto& axis : axes)
      if (const auto label = compare::label_at(data.cells[cell], axis))
        out.emplace_back(axis, *label);
    return manifest::text(out);
  };
  std::vector<std::string> rows, columns;
  std::map<std::pair<std::string, std::string>, const compare::Row*> places;
  for (const auto& r : t.rows) {
    const std::string a = key(r.cell, down), b = key(r.cell, asked.columns);
    if (std::find(rows.begin(), rows.end(), a) == rows.end()) rows.push_back(a);
    if (std::find(columns.begin(), columns.end(), b) == columns.end()) columns.push_back(b);
    places[{a, b}] = &r;
  }
  std::string out = fmt::format("<div class=\"scroll\"><table><tr><th>{}</th>",
                                html(fmt::format("{}", fmt::join(down, ", "))));
  for (const auto& c : columns)
    out += fmt::format("<th>{}</th>", html(c.empty() ? t.quantity.name : c));
  out += "</tr>";
  for (const auto& row : rows) {
    out += fmt::format("<tr><td>{}</td>", html(row));
    for (const auto& column : columns) {
      const auto it = places.find({row, column});
      if (it == places.end()) {
        out += "<td></td>";
        continue;
      }
      const auto& r = *it->second;
      bool best =
          !r.values.empty() && t.quantity.goal != "none" && rows.size() > 1 && !std::isnan(r.mean);
      for (const auto& other : rows)
        if (const auto o = places.find({other, column});
            best && o != places.end() &&
            (t.quantity.goal == "min" ? o->second->mean < r.mean : o->second->mean > r.mean))
          best = false;
      out += fmt::format(
          "<td{}>{}<br><small>{}{}</small></td>", best ? " class=\"best\"" : "",
          r.values.empty() ? "-" : digits(r.mean), span(r.interval),
          r.paper ? fmt::format(" <span class=\"paper\">paper {}</span>", digits(*r.paper)) : "");
    }
    out += "</tr>";
  }
  return out + "</table></div>";
}

std::string detail(const Data& data, const compare::Table& t) {
  const auto axes = data.comparison.places();
  std::string out = "<div class=\"scroll\"><table><tr>";
  for (const auto& a : axes) out += fmt::format("<th class=\"text\">{}</th>", html(a));
  out += fmt::format(
      "<th>{}</th><th>95 %</th><th>difference</th><th>95 "
      "%</th><th>ratio</th><th>p</th><th>n</th><th>NFE</th><th>seconds</th><th>memory</th><th "
      "class=\"text\">note</th></tr>",
      html(t.quantity.name));
  for (const auto& r : t.rows) {
    out += "<tr>";
    for (const auto& a : axes)
      out += fmt::format("<td class=\"text\">{}</td>",
                         html(compare::label_at(data.cells[r.cell], a).value_or("-")));
    const auto number = [](double v) { return std::isnan(v) ? std::string("-") : digits(v); };
    const double train = compare::cost(data, r.cell, "train.seconds"),
                 sample = compare::cost(data, r.cell, "sample.seconds");
    const double peak = std::fmax(compare::cost(data, r.cell, "train.peak_memory"),
                                  compare::cost(data, r.cell, "sample.peak_memory"));
    out += fmt::format("<td>{}</td><td>{}</td>", r.values.empty() ? "-" : digits(r.mean),
                       span(r.interval));
    if (r.baseline)
      out += fmt::format("<td>{}{}</td><td>{}</td><td>{}</td><td>{}</td>",
                         r.difference > 0 ? "+" : "", number(r.difference),
                         span(r.difference_interval), number(r.ratio), number(r.p.p));
    else
      out += "<td>-</td><td></td><td></td><td></td>";
    out +=
        fmt::format("<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
                    r.values.size(), number(compare::cost(data, r.cell, "nfe")),
                    number((std::isnan(train) ? 0 : train) + (std::isnan(sample) ? 0 : sample)),
                    std::isnan(peak) ? "-" : fmt::format("{:.0f} MiB", peak / 1048576),
                    html(fmt::format("{}", fmt::join(r.notes, "; "))));
  }
  return out + "</table></div>";
}

std::string results(const Report& r) {
  std::string out = "<h2>Comparison</h2>";
  for (const auto& t : r.tables) {
    const std::string goal = compare::better(t.quantity.goal);
    out +=
        fmt::format("<h3>{}{}{}{}</h3>", html(t.quantity.name),
                    t.quantity.unit == "1" ? "" : " [" + html(t.quantity.unit) + "]",
                    goal.empty() ? "" : ", " + goal,
                    t.quantity.long_name.empty() ? "" : " &middot; " + html(t.quantity.long_name));
    out += pivot(*r.data, t);
    out += "<ul class=\"notes\">";
    for (const auto& note : t.notes) out += fmt::format("<li>{}</li>", html(note));
    out += "</ul>";
    out += fmt::format(
        "<details><summary>each cell: differences, p, cost, notes</summary>{}</details>",
        detail(*r.data, t));
  }
  for (const auto& p : r.data->comparison.papers)
    out += fmt::format("<p class=\"side\"><span class=\"paper\">paper</span>: {} (beside {})</p>",
                       html(p.cite), html(p.beside));
  return out;
}

std::string figures(const Report& r) {
  if (r.figures.empty() && r.not_drawn.empty()) return "";
  std::string out = "<h2>Figures</h2>";
  for (const auto& f : r.figures) {
    out += f.width > 0 ? fmt::format("<figure style=\"max-width:{}px\">", f.width) : "<figure>";
    if (!f.images.empty()) {
      out += "<div class=\"tiles\">";
      for (const auto& [title, file] : f.images)
        out += fmt::format("<div>{}<div class=\"side\">{}</div></div>", image(file, title),
                           html(title));
      out += "</div>";
    } else {
      out += f.raster ? image(r.folder / (f.name + ".png"), f.name)
                      : svg(r.folder / (f.name + ".svg"));
    }
    const std::string files =
        f.images.empty() ? fmt::format(" &middot; figures/{0}.svg, .png, .pdf", html(f.name)) : "";
    out += fmt::format("<figcaption>{}{}</figcaption></figure>",
                       html(f.title.empty() ? f.name : f.title), files);
  }
  for (const auto& [name, why] : r.not_drawn)
    out += fmt::format("<p class=\"side\">not drawn: {} ({})</p>", html(name), html(why));
  return out;
}

/// Values by their names, as text.
std::map<std::string, std::string> flat_of(const Json& resolved) {
  std::map<std::string, std::string> out;
  const Json flat = schema::flat(resolved);  // items() refers to it
  for (const auto& [name, value] : flat.items())
    out[name] = value.is_string() ? value.get<std::string>() : value.dump();
  return out;
}

/// The keys in which cells differ, a line a cell.
std::string differences(const Report& r) {
  std::vector<std::map<std::string, std::string>> flat(r.resolved.size());
  std::set<std::string> keys, differ;
  for (std::size_t i = 0; i < flat.size(); ++i) {
    flat[i] = flat_of(r.resolved[i]);
    for (const auto& [key, v] : flat[i]) keys.insert(key);
  }
  for (const auto& key : keys)
    for (const auto& cell : flat)
      if (cell.find(key) == cell.end() || flat[0].find(key) == flat[0].end() ||
          cell.at(key) != flat[0].at(key))
        differ.insert(key);
  std::string out = fmt::format(
      "<details><summary>how the cells differ ({} keys)</summary><div "
      "class=\"scroll\"><table><tr><th>cell</th>",
      differ.size());
  for (const auto& key : differ) out += fmt::format("<th>{}</th>", html(key));
  out += "</tr>";
  for (std::size_t i = 0; i < flat.size(); ++i) {
    out += fmt::format("<tr><td>{}</td>", html(manifest::text(r.data->cells[i])));
    for (const auto& key : differ)
      out += fmt::format("<td>{}</td>", flat[i].count(key) ? html(flat[i].at(key)) : "");
    out += "</tr>";
  }
  return out + "</table></div></details>";
}

std::string origins(const Report& r) {
  std::string out =
      fmt::format("<h2>How it was made</h2><p>{} of computing in all, by <code>{}</code>.</p>",
                  fmt::format("{:.0f} s", r.seconds), html(r.provenance.value("command", "")));
  if (r.resolved.size() > 1) out += differences(r);
  out += fmt::format("<details><summary>the manifest, {}</summary><pre>{}</pre></details>",
                     html(r.manifest_file), html(r.manifest));
  if (!r.resolved.empty()) {
    const auto flat = flat_of(r.resolved[0]);
    std::string lines;
    for (const auto& [key, v] : flat) lines += key + " = " + v + "\n";
    out += fmt::format(
        "<details><summary>every value of the first cell, defaults "
        "included</summary><pre>{}</pre></details>",
        html(lines));
  }
  out += "<details><summary>provenance</summary><div class=\"scroll\"><table>";
  for (const auto& [key, v] : r.provenance.items()) {
    if (v.is_object()) {
      for (const auto& [inner, text] : v.items())
        out += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>", html(inner),
                           html(text.is_string() ? text.get<std::string>() : text.dump()));
    } else {
      out += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>", html(key),
                         html((v.is_string() ? v.get<std::string>() : v.dump()).substr(0, 4000)));
    }
  }
  return out + "</table></div></details>";
}

}  // namespace

std::string page(const Report& r) {
  return document(r.data->comparison.name, fmt::format("{}\n{}\n{}\n{}\n{}", head(r), claims(r),
                                                       results(r), figures(r), origins(r)));
}

}  // namespace scorelab::report
