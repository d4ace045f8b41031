#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "compare/table.h"
#include "params/number.h"

namespace scorelab::compare {
namespace {

std::string span(const Interval& i) {
  return std::isnan(i.low) ? "" : fmt::format("[{}, {}]", digits(i.low), digits(i.high));
}
std::string signed_digits(double v) { return (v > 0 ? "+" : "") + digits(v); }

std::string memory(double bytes) {
  return std::isnan(bytes) ? "" : fmt::format("{:.0f} MiB", bytes / 1048576);
}

/// Heads and lines of the long form.
std::vector<std::vector<std::string>> lines_of(const Data& data, const Table& t) {
  const auto axes = data.comparison.places();
  const bool paper =
      std::any_of(t.rows.begin(), t.rows.end(), [](const Row& r) { return r.paper.has_value(); });
  const bool compared = std::any_of(t.rows.begin(), t.rows.end(),
                                    [](const Row& r) { return r.baseline.has_value(); });
  std::vector<std::vector<std::string>> out(1, axes);
  auto& head = out[0];
  head.insert(head.end(), {"NFE", t.quantity.name, "95 %"});
  if (compared) head.insert(head.end(), {"difference", "95 %", "ratio", "p"});
  if (paper) head.emplace_back("paper");
  for (const auto& name : data.comparison.compare.cost) head.push_back(name);
  head.insert(head.end(), {"n", "seconds", "memory", "note"});
  for (const auto& r : t.rows) {
    std::vector<std::string> line;
    for (const auto& axis : axes) line.push_back(label_at(data.cells[r.cell], axis).value_or("-"));
    const double nfe = cost(data, r.cell, "nfe"), train = cost(data, r.cell, "train.seconds"),
                 sample = cost(data, r.cell, "sample.seconds");
    line.insert(line.end(), {std::isnan(nfe) ? "-" : digits(nfe),
                             r.values.empty() ? "-" : digits(r.mean), span(r.interval)});
    if (compared && r.baseline)
      line.insert(line.end(), {r.differences.empty() ? "-" : signed_digits(r.difference),
                               span(r.difference_interval), digits(r.ratio), digits(r.p.p)});
    else if (compared)
      line.insert(line.end(), {"-", "", "", ""});
    if (paper) line.push_back(r.paper ? digits(*r.paper) : "");
    for (const auto& name : data.comparison.compare.cost)
      line.push_back(digits(cost(data, r.cell, name)));
    const double seconds = (std::isnan(train) ? 0 : train) + (std::isnan(sample) ? 0 : sample);
    const double peak = std::fmax(cost(data, r.cell, "train.peak_memory"),
                                  cost(data, r.cell, "sample.peak_memory"));
    line.insert(line.end(), {std::to_string(r.values.size()),
                             std::isnan(train) && std::isnan(sample) ? "-" : digits(seconds),
                             memory(peak), fmt::format("{}", fmt::join(r.notes, "; "))});
    out.push_back(std::move(line));
  }
  return out;
}

std::string title_of(const Quantity& q) {
  const std::string goal = better(q.goal);
  return fmt::format("{}{}{}{}", q.name, q.unit == "1" ? "" : " in " + q.unit,
                     goal.empty() ? "" : " (" + goal + ")",
                     q.long_name.empty() || q.long_name == q.name ? "" : ": " + q.long_name);
}

/// Of UTF-8 text on a terminal.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string aligned(const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::size_t> widths;
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths.resize(std::max(widths.size(), i + 1));
      widths[i] = std::max(widths[i], width(line[i]));
    }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i)
      text += line[i] + std::string(widths[i] - width(line[i]) + 2, ' ');
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string in_pipes(const std::vector<std::vector<std::string>>& lines) {
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += "|";
    for (std::string cell : lines[i]) {
      for (std::size_t k = 0; (k = cell.find('|', k)) != cell.npos; k += 2) cell.insert(k, "\\");
      out += " " + cell + " |";
    }
    out += "\n";
    if (i > 0) continue;
    out += "|";
    for (std::size_t k = 0; k < lines[i].size(); ++k) out += " --- |";
    out += "\n";
  }
  return out;
}

}  // namespace

std::string csv_quoted(const std::string& text) {
  // A spreadsheet takes a cell that begins so for a formula; numbers may begin with a sign.
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  const bool formula =
      !text.empty() && std::string("=+-@\t\r").find(text[0]) != std::string::npos && *end != 0;
  const std::string cell = formula ? "'" + text : text;
  if (cell.find_first_of(",\"\r\n") == cell.npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string as_text(const Data& data, const Table& t, bool bold) {
  std::string out =
      bold ? "\x1b[1m" + title_of(t.quantity) + "\x1b[0m\n" : title_of(t.quantity) + "\n";
  out += aligned(lines_of(data, t));
  for (const auto& note : t.notes) out += "  " + note + "\n";
  return out;
}

std::string as_markdown(const Data& data, const Table& t) {
  std::string out =
      fmt::format("**{}**\n\n", title_of(t.quantity)) + in_pipes(lines_of(data, t)) + "\n";
  for (const auto& note : t.notes) out += "- " + note + "\n";
  return out;
}

std::string as_csv(const Data& data, const std::vector<Table>& tables) {
  const auto axes = data.comparison.places();
  std::string out = "quantity,unit,goal";
  for (const auto& axis : axes) out += "," + csv_quoted(axis);
  out +=
      ",n,mean,low,high,baseline,difference,difference_low,difference_high,ratio,p,nfe,train_"
      "seconds,sample_seconds,peak_memory,paper,values,notes\n";
  const auto number = [](double v) {
    return std::isnan(v) ? std::string("nan") : fmt::format("{}", v);
  };
  for (const auto& t : tables)
    for (const auto& r : t.rows) {
      out += fmt::format("{},{},{}", csv_quoted(t.quantity.name), csv_quoted(t.quantity.unit),
                         t.quantity.goal);
      for (const auto& axis : axes)
        out += "," + csv_quoted(label_at(data.cells[r.cell], axis).value_or(""));
      out += fmt::format(",{},{},{},{}", r.values.size(), number(r.mean), number(r.interval.low),
                         number(r.interval.high));
      if (r.baseline)
        out +=
            fmt::format(",{},{},{},{},{},{}", csv_quoted(manifest::text(data.cells[*r.baseline])),
                        number(r.difference), number(r.difference_interval.low),
                        number(r.difference_interval.high), number(r.ratio), number(r.p.p));
      else
        out += ",,,,,,";
      std::vector<std::string> values;
      for (const double v : r.values) values.push_back(number(v));
      out += fmt::format(",{},{},{},{},{},{},{}\n", number(cost(data, r.cell, "nfe")),
                         number(cost(data, r.cell, "train.seconds")),
                         number(cost(data, r.cell, "sample.seconds")),
                         number(std::fmax(cost(data, r.cell, "train.peak_memory"),
                                          cost(data, r.cell, "sample.peak_memory"))),
                         r.paper ? number(*r.paper) : "", fmt::join(values, " "),
                         csv_quoted(fmt::format("{}", fmt::join(r.notes, "; "))));
    }
  return out;
}

Json as_json(const Data& data, const Table& t) {
  const auto both = [&](const Interval& i) { return Json{json_of(i.low), json_of(i.high)}; };
  Json rows = Json::array();
  for (const auto& r : t.rows) {
    Json at = Json::object(), values = Json::array(), costs = Json::object();
    for (const auto& [axis, label] : data.cells[r.cell]) at[axis] = label;
    for (const double v : r.values) values.push_back(json_of(v));
    for (const auto& q : data.costs)
      if (const double v = cost(data, r.cell, q.name); !std::isnan(v)) costs[q.name] = v;
    Json row{{"at", at},
             {"n", r.values.size()},
             {"values", values},
             {"mean", json_of(r.mean)},
             {"interval", both(r.interval)},
             {"costs", costs},
             {"notes", r.notes}};
    if (r.baseline)
      row.update({{"baseline", manifest::text(data.cells[*r.baseline])},
                  {"difference", json_of(r.difference)},
                  {"difference_interval", both(r.difference_interval)},
                  {"ratio", json_of(r.ratio)},
                  {"p", json_of(r.p.p)},
                  {"p_exact", r.p.exact}});
    if (r.paper) row["paper"] = *r.paper;
    rows.push_back(std::move(row));
  }
  return {{"quantity", t.quantity.name},
          {"unit", t.quantity.unit},
          {"goal", t.quantity.goal},
          {"rows", rows},
          {"notes", t.notes}};
}

std::string pivot(const Data& data, const Table& t, const std::vector<std::string>& rows,
                  const std::vector<std::string>& columns, bool markdown) {
  const auto key = [&](std::size_t cell, const std::vector<std::string>& axes) {
    Coordinates out;
    for (const auto& axis : axes)
      if (const auto label = label_at(data.cells[cell], axis)) out.emplace_back(axis, *label);
    return out;
  };
  // Axes that are neither rows nor columns stand with the rows, so that no cell hides another.
  std::vector<std::string> down = rows;
  for (const auto& axis : data.comparison.places())
    if (std::find(rows.begin(), rows.end(), axis) == rows.end() &&
        std::find(columns.begin(), columns.end(), axis) == columns.end())
      down.push_back(axis);
  std::vector<Coordinates> row_keys, column_keys;
  std::map<std::pair<std::size_t, std::size_t>, const Row*> places;
  const auto index = [](std::vector<Coordinates>& all, const Coordinates& one) {
    const auto it = std::find(all.begin(), all.end(), one);
    if (it != all.end()) return static_cast<std::size_t>(it - all.begin());
    all.push_back(one);
    return all.size() - 1;
  };
  for (const auto& r : t.rows) {
    const std::size_t i = index(row_keys, key(r.cell, down)),
                      k = index(column_keys, key(r.cell, columns));
    places[{i, k}] = &r;
  }
  std::vector<std::vector<std::string>> lines(1);
  lines[0].push_back(fmt::format("{}", fmt::join(down, ", ")));
  for (const auto& c : column_keys)
    lines[0].push_back(c.empty() ? t.quantity.name : manifest::text(c));
  for (std::size_t i = 0; i < row_keys.size(); ++i) {
    lines.push_back({row_keys[i].empty() ? "-" : manifest::text(row_keys[i])});
    for (std::size_t k = 0; k < column_keys.size(); ++k) {
      const auto it = places.find({i, k});
      if (it == places.end()) {
        lines.back().emplace_back("");
        continue;
      }
      const Row& r = *it->second;
      std::string text = r.values.empty() ? "-" : digits(r.mean);
      if (!std::isnan(r.interval.low))
        text += fmt::format(" ±{:.2g}", (r.interval.high - r.interval.low) / 2);
      bool best = !r.values.empty() && t.quantity.goal != "none" && !std::isnan(r.mean);
      for (std::size_t j = 0; j < row_keys.size() && best; ++j)
        if (const auto other = places.find({j, k});
            other != places.end() && (t.quantity.goal == "min" ? other->second->mean < r.mean
                                                               : other->second->mean > r.mean))
          best = false;
      if (best && row_keys.size() > 1) text += " *";
      if (r.paper) text += fmt::format(" ({})", digits(*r.paper));
      lines.back().push_back(std::move(text));
    }
  }
  std::string out = markdown ? fmt::format("**{}**\n\n", title_of(t.quantity)) + in_pipes(lines)
                             : title_of(t.quantity) + "\n" + aligned(lines);
  out += fmt::format(
      "{}* the best of its column{}\n", markdown ? "\n" : "  ",
      std::any_of(t.rows.begin(), t.rows.end(), [](const Row& r) { return r.paper.has_value(); })
          ? "; (the paper's)"
          : "");
  return out;
}

}  // namespace scorelab::compare
