#include "report/plot.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "process/process.h"
#include "record/files.h"

namespace scorelab::report {
namespace {

/// Okabe & Ito's palette: told apart by the colour-blind too.
constexpr const char* colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                   "#E69F00", "#56B4E9", "#000000", "#999933"};

const char* colour(std::size_t i) { return colours[i % std::size(colours)]; }

/// gnuplot takes a string in single quotes as it is: in double quotes it would run what stands
/// between backticks.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\''                            ? std::string("''")
           : static_cast<unsigned char>(c) < 32 ? std::string(" ")
                                                : std::string(1, c);
  return out + "'";
}

std::string number(double v) { return std::isfinite(v) ? fmt::format("{:.8g}", v) : "NaN"; }

void data(std::string& out, const std::string& name, const Series& s) {
  out += fmt::format("${} << EOD\n", name);
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    const bool band = !s.low.empty() && std::isfinite(s.low[i]);
    if (std::isnan(s.x[i])) {
      out += "\n";  // a gap between paths
      continue;
    }
    out += fmt::format("{} {} {} {}\n", number(s.x[i]), number(s.y[i]),
                       number(band ? s.low[i] : s.y[i]), number(band ? s.high[i] : s.y[i]));
  }
  out += "EOD\n";
}

std::string lines_of(const Plot& plot, std::size_t p, bool key) {
  const Panel& panel = plot.panels[p];
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < panel.series.size(); ++i) {
    const Series& s = panel.series[i];
    const std::string block = fmt::format("$d{}_{}", p, i),
                      title = key && !s.name.empty() ? "title " + quoted(s.name) : "notitle";
    if (plot.kind == Plot::Kind::points) {
      parts.push_back(fmt::format("{} using 1:2 with points pt 7 ps {} lc rgb \"{}{}\" {}", block,
                                  s.x.size() > 500 ? 0.25 : 0.5, s.x.size() > 500 ? "#60" : "#",
                                  std::string(colour(i)).substr(1), title));
    } else if (plot.kind == Plot::Kind::paths) {
      parts.push_back(
          fmt::format("{} using 1:2 with lines lw 1 lc rgb \"{}\" {}", block, colour(i), title));
    } else if (plot.kind == Plot::Kind::arrows) {
      parts.push_back(fmt::format(
          "{} using 1:2:3:4 with vectors head size graph 0.012,25 filled lw 1 lc rgb \"{}\" {}",
          block, colour(i), title));
    } else if (plot.kind == Plot::Kind::bars) {
      parts.push_back(
          fmt::format("{} using 1:2:3:4 with yerrorbars pt 7 ps 0.9 lw 1.6 lc rgb \"{}\" {}", block,
                      colour(i), title));
    } else {
      if (!s.low.empty())
        parts.push_back(
            fmt::format("{} using 1:3:4 with filledcurves fs transparent solid 0.18 noborder lc "
                        "rgb \"{}\" notitle",
                        block, colour(i)));
      const bool many = s.x.size() > 40;
      parts.push_back(fmt::format("{} using 1:2 with {} {} lw 1.8 lc rgb \"{}\" {}", block,
                                  many ? "lines" : "linespoints", many ? "" : "pt 7 ps 0.6",
                                  colour(i), title));
    }
  }
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

/// About four ticks over a range, at a round distance.
double tick(double low, double high) {
  const double rough = (high - low) / 4, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double step : {1.0, 2.0, 5.0})
    if (rough <= step * power) return step * power;
  return 10 * power;
}

/// Ranges of a logarithmic axis close around what is drawn, and ticks at few x.
std::string log_ranges(const Plot& plot) {
  std::string out;
  std::set<double> x;
  double low = INFINITY, high = 0;
  for (const auto& panel : plot.panels)
    for (const auto& s : panel.series)
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (s.x[i] > 0) x.insert(s.x[i]);
        for (const double y :
             {s.y[i], s.low.empty() ? s.y[i] : s.low[i], s.high.empty() ? s.y[i] : s.high[i]})
          if (y > 0 && std::isfinite(y)) {
            low = std::min(low, y);
            high = std::max(high, y);
          }
      }
  if (plot.log_x && !x.empty()) {
    out += fmt::format("set xrange [{}:{}]\n", number(*x.begin() / 1.2), number(*x.rbegin() * 1.2));
    if (x.size() <= 10) {
      out += "set xtics (";
      for (const double v : x)
        out += fmt::format("{}\"{:.5g}\" {}", v == *x.begin() ? "" : ", ", v, number(v));
      out += ")\n";
    }
  }
  if (plot.log_y && high > 0 && plot.kind == Plot::Kind::lines)
    out += fmt::format("set yrange [{}:{}]\n", number(low / 1.25), number(high * 1.25));
  return out;
}

std::string ranges(const Plot& plot) {
  std::string out;
  if (plot.x_range && plot.y_range)
    out += fmt::format("set xtics {}\nset ytics {}\n",
                       number(tick(plot.x_range->first, plot.x_range->second)),
                       number(tick(plot.y_range->first, plot.y_range->second)));
  if (plot.x_range)
    out += fmt::format("set xrange [{}:{}]\n", number(plot.x_range->first),
                       number(plot.x_range->second));
  if (plot.y_range)
    out += fmt::format("set yrange [{}:{}]\n", number(plot.y_range->first),
                       number(plot.y_range->second));
  if (plot.kind == Plot::Kind::bars) {
    out += fmt::format("set xrange [-0.6:{}]\nset xtics rotate by -35 noenhanced (",
                       static_cast<double>(plot.categories.size()) - 0.4);
    for (std::size_t i = 0; i < plot.categories.size(); ++i)
      out += fmt::format("{}{} {}", i ? ", " : "", quoted(plot.categories[i]), i);
    out += ")\n";
  }
  return out;
}

void data(std::string& out, const std::string& name, const Heat& heat) {
  out += fmt::format("${} << EOD\n", name);
  const std::size_t rows = heat.values.size() / heat.columns;
  const auto middle = [](double low, double high, std::size_t i, std::size_t n) {
    return number(low + (high - low) * (static_cast<double>(i) + 0.5) / static_cast<double>(n));
  };
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < heat.columns; ++c)
      out += fmt::format("{} {} {}\n", middle(heat.x_low, heat.x_high, c, heat.columns),
                         middle(heat.y_low, heat.y_high, r, rows),
                         number(heat.values[r * heat.columns + c]));
  out += "EOD\n";
}

std::string body(const Plot& plot, std::size_t columns, std::size_t rows) {
  std::string out;
  for (std::size_t p = 0; p < plot.panels.size(); ++p) {
    for (std::size_t i = 0; i < plot.panels[p].series.size(); ++i)
      data(out, fmt::format("d{}_{}", p, i), plot.panels[p].series[i]);
    if (const auto& heat = plot.panels[p].heat) data(out, fmt::format("h{}", p), *heat);
  }
  out +=
      "set border 3 lc rgb \"#666666\"\nset tics nomirror out scale 0.5 textcolor rgb "
      "\"#333333\"\nset grid lc rgb \"#e4e4e4\" lw 0.6\n";
  out += "set key top right samplen 1.5 spacing 1.1 noenhanced\nset datafile missing \"NaN\"\n";
  if (plot.log_x) out += "set logscale x\n";
  if (plot.log_y) out += "set logscale y\nset format y \"%.3g\"\n";
  out += log_ranges(plot);
  out += ranges(plot);
  if (plot.kind == Plot::Kind::points || plot.kind == Plot::Kind::paths ||
      plot.kind == Plot::Kind::heat || plot.kind == Plot::Kind::arrows)
    out += "set size ratio -1\n";
  if (std::any_of(plot.panels.begin(), plot.panels.end(),
                  [](const Panel& p) { return p.heat.has_value(); }))
    out +=
        "set palette defined (0 \"#ffffff\", 0.15 \"#d0e4f2\", 0.4 \"#5a9bc7\", 0.75 \"#0a4f86\", "
        "1 \"#04213d\")\nunset colorbox\nunset grid\n";
  if (plot.panels.size() > 1) out += fmt::format("set multiplot layout {},{}\n", rows, columns);
  for (std::size_t p = 0; p < plot.panels.size(); ++p) {
    const std::string title = !plot.panels[p].title.empty() ? plot.panels[p].title
                              : plot.panels.size() == 1     ? plot.title
                                                            : "";
    out +=
        title.empty() ? "unset title\n" : fmt::format("set title {} noenhanced\n", quoted(title));
    out += fmt::format("set xlabel {} noenhanced\nset ylabel {} noenhanced\n", quoted(plot.x_label),
                       quoted(p % columns == 0 ? plot.y_label : ""));
    out += "plot ";
    if (plot.panels[p].heat)
      out += fmt::format("$h{} using 1:2:3 with image notitle{}", p,
                         plot.panels[p].series.empty() ? "" : ", ");
    out += lines_of(plot, p, p == 0) + "\n";
  }
  if (plot.panels.size() > 1) out += "unset multiplot\n";
  return out + "unset output\n";
}

}  // namespace

int draw(const Plot& plot, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::size_t n = std::max<std::size_t>(1, plot.panels.size());
  std::size_t columns = 4;
  while (columns > 1 && n <= (columns - 1) * (columns - 1)) --columns;
  const std::size_t rows = (n + columns - 1) / columns;
  const bool square = plot.kind == Plot::Kind::points || plot.kind == Plot::Kind::paths ||
                      plot.kind == Plot::Kind::heat || plot.kind == Plot::Kind::arrows;
  const double width =
      n == 1 ? (square ? 420 : 560) : (square ? 260.0 : 380.0) * static_cast<double>(columns);
  const double height =
      n == 1 ? (square ? 420 : 360) : (square ? 270.0 : 280.0) * static_cast<double>(rows);
  const auto file = [&](const char* kind) { return folder / (plot.name + "." + kind); };
  // Names of ours, as gnuplot sees no other, which nobody can foresee: a link under one would be
  // written through.
  std::random_device random;
  const auto drawn = [own = random()](const char* kind) {
    return fmt::format(".figure.{:08x}.{}", own, kind);
  };
  const std::string drawing = body(plot, columns, rows);
  std::string identifier = plot.name;  // gnuplot takes letters, digits and _ alone
  for (char& c : identifier)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  const std::string script =
      fmt::format(
          "set terminal svg size {0:.0f},{1:.0f} dynamic font \"DejaVu Sans,11\" background "
          "\"white\" name \"{2}\"\n",
          width, height, identifier) +
      fmt::format("set output '{}'\n{}reset\n", drawn("svg"), drawing) +
      fmt::format(
          "set terminal pngcairo size {:.0f},{:.0f} font \"DejaVu Sans,20\" linewidth 2 pointscale "
          "2\nset output '{}'\n",
          2 * width, 2 * height, drawn("png")) +
      drawing + "reset\n" +
      fmt::format(
          "set terminal pdfcairo size {:.2f}in,{:.2f}in font \"DejaVu Sans,9\"\nset output '{}'\n",
          width / 90, height / 90, drawn("pdf")) +
      drawing;
  // -d: no ~/.gnuplot
  const Ended ended = run_program({{"gnuplot", "-d", "-"}, script, folder, {}, true});
  if (ended.code == 127)
    throw Error("figures need gnuplot, which is not there; apt-get install gnuplot-nox");
  for (const char* kind : {"svg", "png", "pdf"}) {
    std::error_code failed;
    if (ended.code == 0)
      std::filesystem::rename(folder / drawn(kind), file(kind), failed);
    else
      std::filesystem::remove(folder / drawn(kind), failed);
    if (ended.code == 0 && failed)
      throw Error(fmt::format("cannot write {}: {}", file(kind).string(), failed.message()));
  }
  if (ended.code == 0) return static_cast<int>(width);
  record::write_whole(file("gp"), script);
  throw Error(fmt::format("gnuplot refused the figure `{}`: {}; its script is {}", plot.name,
                          ended.output.substr(0, 300), file("gp").string()));
}

}  // namespace scorelab::report
