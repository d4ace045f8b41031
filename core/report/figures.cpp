#include "report/figures.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "compare/statistics.h"
#include "compare/table.h"
#include "record/picture.h"
#include "report/figure_keys.h"

namespace scorelab::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool log_scale(const Figure& f, char axis) {
  const std::string both = word(f, "scale"), own = word(f, axis == 'x' ? "xscale" : "yscale");
  return own == "log" || both == "log-log" || both == (axis == 'x' ? "log-linear" : "linear-log");
}

std::string label_text(const Json& v) {
  return v.is_string() ? manifest::canonical_label(v.get<std::string>())
                       : manifest::canonical_label(v.dump());
}

/// Whether a cell is among those that `at` names.
bool chosen(const Figure& f, const Coordinates& cell) {
  if (!f.options.contains("at")) return true;
  for (const auto& [axis, labels] : f.options["at"].items()) {
    const auto own = compare::label_at(cell, axis);
    if (!own) continue;
    bool in = false;
    for (const auto& label : labels.is_array() ? labels : Json::array({labels}))
      in = in || label_text(label) == *own;
    if (!in) return false;
  }
  return true;
}

Coordinates part(const Coordinates& at, const std::vector<std::string>& axes, bool those) {
  Coordinates out;
  for (const auto& place : at)
    if ((std::find(axes.begin(), axes.end(), place.first) != axes.end()) == those)
      out.push_back(place);
  return out;
}

Panel& panel_of(std::vector<Panel>& panels, const std::string& title) {
  for (auto& p : panels)
    if (p.title == title) return p;
  panels.push_back({title, {}, {}});
  return panels.back();
}

Series& series_of(Panel& panel, const std::string& name) {
  for (auto& s : panel.series)
    if (s.name == name) return s;
  panel.series.push_back({name, {}, {}, {}, {}});
  return panel.series.back();
}

std::string axis_title(const Data& data, const std::string& name) {
  const auto* q = data.quantity(name);
  return q && q->unit != "1" ? fmt::format("{} [{}]", name, q->unit) : name;
}

void sort_by_x(Series& s) {
  std::vector<std::size_t> order(s.x.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return s.x[a] < s.x[b]; });
  Series out{s.name, {}, {}, {}, {}};
  for (const auto i : order) {
    out.x.push_back(s.x[i]);
    out.y.push_back(s.y[i]);
    out.low.push_back(s.low[i]);
    out.high.push_back(s.high[i]);
  }
  s = std::move(out);
}

std::vector<double> unit_values(const Data& data, std::size_t cell, const std::string& name) {
  std::vector<double> out;
  for (const auto& [unit, v] : data.units(cell, name)) out.push_back(v);
  return out;
}

Plot line(const Data& data, const Figure& f) {
  const std::string x = word(f, "x"), y = word(f, "y"),
                    color = word(f, "color", data.comparison.variants.empty() ? "" : "variant");
  const auto panels = words(f, "panels");
  Plot plot;
  plot.log_x = log_scale(f, 'x');
  plot.log_y = log_scale(f, 'y');
  plot.x_label = axis_title(data, x);
  plot.y_label = axis_title(data, y);
  auto taken = panels;
  taken.push_back(x);
  for (std::size_t i = 0; i < data.cells.size(); ++i) {
    if (!chosen(f, data.cells[i])) continue;
    const auto values = unit_values(data, i, y);
    const auto label = compare::label_at(data.cells[i], x);
    const double at = label ? number_of_label(*label) : compare::cost(data, i, x);
    if (values.empty() || std::isnan(at)) continue;
    Coordinates rest = part(data.cells[i], taken, false);
    if (!label) {  // against a quantity a line runs along an axis of numbers: the last written
      const auto along = std::find_if(rest.rbegin(), rest.rend(), [&](const auto& p) {
        return p.first != color && !std::isnan(number_of_label(p.second));
      });
      if (along != rest.rend()) rest.erase(std::next(along).base());
    }
    if (const auto own = compare::label_at(rest, color); own && rest.size() == 1)
      rest = {{"variant", *own}};
    Series& s = series_of(panel_of(plot.panels, manifest::text(part(data.cells[i], panels, true))),
                          manifest::text(rest));
    const auto band = compare::interval(values);
    double low = band.low;
    const double mean = compare::mean(values);
    if (plot.log_y && low <= 0) low = mean / 1000;  // below the axis
    s.x.push_back(at);
    s.y.push_back(mean);
    s.low.push_back(low);
    s.high.push_back(band.high);
  }
  for (auto& p : plot.panels) {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& s : p.series)
      for (const double v : s.y)
        if (v > 0) least = std::min(least, v);
    for (auto& s : p.series) {
      sort_by_x(s);
      if (plot.log_y)
        for (double& v : s.low) v = std::max(v, least / 5);
    }
  }
  return plot;
}

Plot bars(const Data& data, const Figure& f) {
  const std::string y = word(f, "y");
  Plot plot;
  plot.kind = Plot::Kind::bars;
  plot.log_y = log_scale(f, 'y');
  plot.y_label = axis_title(data, y);
  const auto panels = words(f, "panels");
  for (std::size_t i = 0; i < data.cells.size(); ++i) {
    const auto values = unit_values(data, i, y);
    if (!chosen(f, data.cells[i]) || values.empty()) continue;
    const std::string name = manifest::text(part(data.cells[i], panels, false));
    auto at = std::find(plot.categories.begin(), plot.categories.end(), name);
    if (at == plot.categories.end()) at = plot.categories.insert(at, name);
    const auto band = compare::interval(values);
    Series& s =
        series_of(panel_of(plot.panels, manifest::text(part(data.cells[i], panels, true))), "");
    const double mean = compare::mean(values);
    s.x.push_back(static_cast<double>(at - plot.categories.begin()));
    s.y.push_back(mean);
    s.low.push_back(std::isnan(band.low) ? mean : band.low);
    s.high.push_back(std::isnan(band.high) ? mean : band.high);
  }
  return plot;
}

/// The first done observation of each cell that the figure shows, at most `most` of them.
std::vector<std::size_t> first_of_cells(const Data& data, const Figure& f, std::size_t most) {
  std::vector<std::size_t> out;
  std::vector<std::size_t> seen;
  for (std::size_t i = 0; i < data.observations.size() && out.size() < most; ++i) {
    const auto cell = data.observations[i].cell;
    if (!chosen(f, data.cells[cell]) || std::find(seen.begin(), seen.end(), cell) != seen.end())
      continue;
    seen.push_back(cell);
    out.push_back(i);
  }
  return out;
}

std::vector<double> doubles(const record::Array& a) {
  std::vector<double> out(static_cast<std::size_t>(a.count()));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = a.type == record::Array::Type::f32 ? static_cast<double>(a.as<float>()[i])
                                                : a.as<double>()[i];
  return out;
}

std::pair<double, double> spread(std::vector<double> v) {
  std::erase_if(v, [](double x) { return !std::isfinite(x); });
  if (v.empty()) return {-1, 1};
  std::sort(v.begin(), v.end());
  const double low = v[v.size() / 500], high = v[v.size() - 1 - v.size() / 500],
               room = 0.08 * (high - low) + 1e-9;
  return {low - room, high + room};
}

void ranges(Plot& plot, const Figure& f, const std::vector<double>& x,
            const std::vector<double>& y) {
  if (f.options.contains("range")) {
    const Json& r = f.options["range"];
    plot.x_range = {r[0][0], r[0][1]};
    plot.y_range = {r[1][0], r[1][1]};
  } else {
    plot.x_range = spread(x);
    plot.y_range = spread(y);
  }
}

/// The first two dimensions of a batch; nothing where there are fewer.
std::optional<Series> cloud(const std::optional<record::Array>& x, std::size_t most) {
  if (!x || x->shape.size() != 2 || x->shape[1] < 2) return {};
  const auto values = doubles(*x);
  const auto n = static_cast<std::size_t>(x->shape[0]), d = static_cast<std::size_t>(x->shape[1]);
  Series out{"", {}, {}, {}, {}};
  for (std::size_t r = 0; r < std::min(n, most); ++r) {
    out.x.push_back(values[r * d]);
    out.y.push_back(values[r * d + 1]);
  }
  return out;
}

Heat histogram(const Series& s, const Plot& plot) {
  const auto cells =
      static_cast<std::size_t>(std::clamp(std::sqrt(static_cast<double>(s.x.size())), 24.0, 72.0));
  Heat h{cells,
         std::vector<double>(cells * cells, 0),
         plot.x_range->first,
         plot.x_range->second,
         plot.y_range->first,
         plot.y_range->second};
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    const double u = (s.x[i] - h.x_low) / (h.x_high - h.x_low) * static_cast<double>(cells),
                 v = (s.y[i] - h.y_low) / (h.y_high - h.y_low) * static_cast<double>(cells);
    if (u >= 0 && v >= 0 && u < static_cast<double>(cells) && v < static_cast<double>(cells))
      ++h.values[static_cast<std::size_t>(v) * cells + static_cast<std::size_t>(u)];
  }
  return h;
}

Plot clouds(const Data& data, const Figure& f, const Sources& sources, bool density) {
  Plot plot;
  plot.kind = density ? Plot::Kind::heat : Plot::Kind::points;
  std::vector<double> all_x, all_y;
  const std::size_t most = density ? std::numeric_limits<std::size_t>::max() : 2000;
  const auto shown = first_of_cells(data, f, 16);
  const auto add = [&](const std::string& title, std::optional<Series> s) {
    if (!s) return;
    all_x.insert(all_x.end(), s->x.begin(), s->x.end());
    all_y.insert(all_y.end(), s->y.begin(), s->y.end());
    plot.panels.push_back({title, {std::move(*s)}, {}});
  };
  for (const auto& extra : words(f, "with"))
    if (extra == "data" && !shown.empty()) add("data", cloud(sources.data(shown.front()), most));
  const std::size_t of_data = plot.panels.size();
  for (const auto i : shown)
    add(manifest::text(data.cells[data.observations[i].cell]), cloud(sources.samples(i), most));
  if (plot.panels.size() == of_data) throw Error("there are no two-dimensional samples to show");
  ranges(plot, f, all_x, all_y);
  if (!density) return plot;
  for (auto& p : plot.panels) {
    p.heat = histogram(p.series[0], plot);
    p.series.clear();
  }
  return plot;
}

Plot trajectories(const Data& data, const Figure& f, const Sources& sources) {
  Plot plot;
  plot.kind = Plot::Kind::paths;
  std::vector<double> all_x, all_y;
  const std::size_t most = f.options.contains("count") ? f.options["count"].get<std::size_t>() : 24;
  const auto add = [&](const std::string& title, const std::optional<record::Trace>& trace) {
    if (!trace || trace->x.shape.size() != 3 || trace->x.shape[2] < 2) return;
    const auto values = doubles(trace->x);
    const auto steps = static_cast<std::size_t>(trace->x.shape[0]),
               k = static_cast<std::size_t>(trace->x.shape[1]),
               d = static_cast<std::size_t>(trace->x.shape[2]);
    Series paths{"", {}, {}, {}, {}};
    for (std::size_t j = 0; j < std::min(k, most); ++j) {
      for (std::size_t s = 0; s < steps; ++s) {
        paths.x.push_back(values[(s * k + j) * d]);
        paths.y.push_back(values[(s * k + j) * d + 1]);
      }
      all_x.insert(all_x.end(), paths.x.end() - static_cast<std::ptrdiff_t>(steps), paths.x.end());
      all_y.insert(all_y.end(), paths.y.end() - static_cast<std::ptrdiff_t>(steps), paths.y.end());
      paths.x.push_back(nan);
      paths.y.push_back(nan);
    }
    plot.panels.push_back({title, {std::move(paths)}, {}});
  };
  const auto shown = first_of_cells(data, f, 12);
  for (const auto& extra : words(f, "with"))
    if (extra == "exact" && !shown.empty())
      add("exact", sources.exact_trace(shown.front(), static_cast<std::int64_t>(most)));
  for (const auto i : shown)
    add(manifest::text(data.cells[data.observations[i].cell]), sources.trace(i));
  if (plot.panels.empty())
    throw Error("there are no paths to show: ask for them with sample.trace");
  ranges(plot, f, all_x, all_y);
  if (word(f, "over") == "density")
    if (const auto draws = cloud(sources.data(first_of_cells(data, f, 1).front()), 1000000))
      for (auto& p : plot.panels) p.heat = histogram(*draws, plot);
  return plot;
}

/// Arrows of one length scale in all panels: the exact score first, then each cell's.
Plot scores(const Data& data, const Figure& f, const Sources& sources) {
  Plot plot;
  plot.kind = Plot::Kind::arrows;
  const auto shown = first_of_cells(data, f, 12);
  if (shown.empty()) throw Error("there is nothing to draw yet");
  const auto draws = cloud(sources.data(shown.front()), 4000);
  if (!draws) throw Error("a score field needs data of two dimensions");
  ranges(plot, f, draws->x, draws->y);
  constexpr int n = 19;
  std::vector<std::pair<double, double>> points;
  const auto at = [](const std::pair<double, double>& range, int i) {
    return range.first + (range.second - range.first) * (i + 0.5) / n;
  };
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < n; ++k) points.emplace_back(at(*plot.x_range, i), at(*plot.y_range, k));
  const double t = f.options.contains("t") ? f.options["t"].get<double>() : 0;
  std::vector<std::pair<std::string, std::vector<std::pair<double, double>>>> fields;
  double largest = 1e-300, time = t;
  for (const auto i : shown) {
    const auto field = sources.field(i, t, points);
    if (!field) continue;
    time = field->t;
    if (fields.empty() && !field->exact.empty()) fields.emplace_back("exact", field->exact);
    fields.emplace_back(manifest::text(data.cells[data.observations[i].cell]), field->model);
  }
  if (fields.empty())
    throw Error("a score field is that of a sampling's model, and nothing is sampled");
  for (const auto& [title, field] : fields)
    for (const auto& [u, v] : field) largest = std::max(largest, std::hypot(u, v));
  const double length = 1.6 * (plot.x_range->second - plot.x_range->first) / n;
  for (const auto& [title, field] : fields) {
    Series s{"", {}, {}, {}, {}};
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double size = std::hypot(field[i].first, field[i].second),
                   scale = size > 0 ? length * std::sqrt(size / largest) / size : 0;
      s.x.push_back(points[i].first);
      s.y.push_back(points[i].second);
      s.low.push_back(field[i].first * scale);
      s.high.push_back(field[i].second * scale);
    }
    plot.panels.push_back({title.empty() ? "model" : title, {std::move(s)}, {}});
  }
  plot.x_label = fmt::format("score at t = {:.3g}", time);
  return plot;
}

Plot curves(const Data& data, const Figure& f, const Sources& sources) {
  Plot plot;
  const std::string y = word(f, "y", "train.loss");
  plot.x_label = "step";
  plot.y_label = y;
  plot.log_x = log_scale(f, 'x');
  plot.log_y = log_scale(f, 'y');
  const auto panels = words(f, "panels");
  std::vector<std::vector<double>> seen;
  for (const auto i : first_of_cells(data, f, 64)) {
    const auto curve = sources.curve(i, y);
    if (!curve || curve->step.empty() ||
        std::find(seen.begin(), seen.end(), curve->value) != seen.end())
      continue;  // cells may share a training
    seen.push_back(curve->value);
    const auto& at = data.cells[data.observations[i].cell];
    panel_of(plot.panels, manifest::text(part(at, panels, true)))
        .series.push_back(
            {manifest::text(part(at, panels, false)), curve->step, curve->value, {}, {}});
  }
  if (plot.panels.empty()) throw Error(fmt::format("no run has the column `{}`", y));
  return plot;
}

/// Mean and 95 % interval over the units, coordinate by coordinate.
Plot arrays(const Data& data, const Figure& f, const Sources& sources) {
  Plot plot;
  const std::string y = word(f, "y");
  plot.log_x = log_scale(f, 'x');
  plot.log_y = log_scale(f, 'y');
  plot.y_label = y;
  const auto panels = words(f, "panels");
  for (std::size_t c = 0; c < data.cells.size(); ++c) {
    if (!chosen(f, data.cells[c])) continue;
    std::map<double, std::vector<double>> values;
    for (std::size_t i = 0; i < data.observations.size(); ++i) {
      if (data.observations[i].cell != c) continue;
      const auto own = sources.array(i, y);
      if (!own) continue;
      plot.x_label = own->along;
      plot.y_label = own->unit == "1" ? y : fmt::format("{} [{}]", y, own->unit);
      for (std::size_t k = 0; k < own->at.size(); ++k) values[own->at[k]].push_back(own->values[k]);
    }
    if (values.empty()) continue;
    Series s{manifest::text(part(data.cells[c], panels, false)), {}, {}, {}, {}};
    for (const auto& [at, all] : values) {
      const auto band = compare::interval(all);
      const double mean = compare::mean(all);
      s.x.push_back(at);
      s.y.push_back(mean);
      s.low.push_back(plot.log_y && band.low <= 0 ? mean / 1000 : band.low);
      s.high.push_back(band.high);
    }
    panel_of(plot.panels, manifest::text(part(data.cells[c], panels, true)))
        .series.push_back(std::move(s));
  }
  if (plot.panels.empty()) throw Error(fmt::format("no run has measured an array `{}`", y));
  return plot;
}

Drawn grids(const Data& data, const Figure& f, const Sources& sources,
            const std::filesystem::path& folder) {
  Drawn out{f.name, word(f, "says"), true, 0, {}};
  const std::int64_t most = f.options.value<std::int64_t>("count", 36),
                     columns = f.options.value<std::int64_t>("columns", 0);
  const std::size_t cells = first_of_cells(data, f, data.observations.size()).size();
  if (cells > 24)
    out.title = fmt::format("{}. The first 24 of {} cells; `at` chooses.",
                            out.title.empty() ? f.name : out.title, cells);
  for (const auto i : first_of_cells(data, f, 24)) {
    const auto x = sources.samples(i);
    if (!x || !record::is_images(x->shape)) continue;
    const std::string title = manifest::text(data.cells[data.observations[i].cell]);
    const auto file = folder / fmt::format("{}-{}.png", f.name, out.images.size());
    std::filesystem::create_directories(folder);
    record::write_grid(file, *x, most, columns);
    out.images.emplace_back(title, file.string());
  }
  if (out.images.empty()) throw Error("there are no images to show");
  // What a report before has left behind.
  for (std::size_t k = out.images.size();
       std::filesystem::remove(folder / fmt::format("{}-{}.png", f.name, k)); ++k)
    continue;
  return out;
}

}  // namespace

namespace {

Plot plotted(const std::string& kind, const Data& data, const Figure& f, const Sources& sources) {
  if (kind == "line") return line(data, f);
  if (kind == "bars") return bars(data, f);
  if (kind == "curve") return curves(data, f, sources);
  if (kind == "array") return arrays(data, f, sources);
  if (kind == "trajectories") return trajectories(data, f, sources);
  if (kind == "score") return scores(data, f, sources);
  return clouds(data, f, sources, kind == "density");
}

}  // namespace

Drawn draw(const Data& data, const Figure& f, const Sources& sources,
           const std::filesystem::path& folder) {
  const std::string kind = word(f, "kind");
  if (kind == "grid") return grids(data, f, sources, folder);
  Plot plot = plotted(kind, data, f, sources);
  if (plot.panels.empty()) throw Error("there is nothing to draw yet");
  plot.name = f.name;
  const int width = draw(plot, folder);
  return {f.name,
          word(f, "says"),
          kind == "samples" || kind == "density" || kind == "trajectories",
          width,
          {}};
}

}  // namespace scorelab::report
