#include "view.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "params/walk.h"
#include "record/hdf5.h"
#include "record/journal.h"
#include "record/picture.h"
#include "record/samples.h"

namespace scorelab::record {
namespace {

void write_config(hid_t file, const View& v) {
  const Handle config = create_group(file, "config");
  attribute(config, "source", v.manifest);
  attribute(config, "resolved", v.resolved.dump(1));
  const Handle flat = create_group(config, "flat");
  schema::for_each_value(v.resolved, "", [&](const std::string& key, const Json& value) {
    attribute(flat, key, value);
  });
}

void write_provenance(hid_t file, const View& v) {
  const Handle group = create_group(file, "provenance");
  for (const auto& [name, value] : v.provenance.items()) attribute(group, name, value);
}

void write_stream(hid_t metrics, const std::string& name, const Stream& s) {
  const Handle group = create_group(metrics, name);
  const Handle step = write(group, "step", Array::of(s.steps));
  make_scale(step, "step");
  attribute(step, "units", std::string("1"));
  attribute(step, "long_name",
            std::string(name.ends_with("train") || name == "evaluate" ? "optimiser step"
                        : name == "sample"                            ? "samples drawn"
                                                                      : "step"));
  const auto column = [&](const Column& c, const std::vector<double>& values) {
    const Handle data = write(group, c.name, Array::of(values));
    attach_scale(data, step);
    attribute(data, "units", c.unit);
    attribute(data, "long_name", c.long_name.empty() ? c.name : c.long_name);
    attribute(data, "goal", c.goal);
  };
  column({"wall", "s", "none", "seconds since the stage began"}, s.wall);
  for (const auto& c : s.columns) column(c, s.values.at(c.name));
}

void write_moments(hid_t file, const Json& moments) {
  const Handle group = create_group(file, "samples");
  for (const auto& [name, unit] : {std::pair{"mean", "data"}, {"variance", "data^2"}}) {
    const Handle x = write(group, name, Array::of(moments.at(name).get<std::vector<double>>()));
    attribute(x, "units", std::string(unit));
    attribute(x, "long_name", fmt::format("exact {} of the samples, one number an element", name));
  }
}

/// The dimensions of a group's arrays, each with its indices as coordinates.
class Dimensions {
 public:
  explicit Dimensions(hid_t group) : group_(group) {}
  void name(hid_t data, const std::vector<std::int64_t>& shape,
            const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < shape.size() && i < names.size(); ++i) {
      if (!scales_.contains(names[i])) {
        if (exists(group_, names[i])) continue;  // a condition of this name
        std::vector<std::int64_t> indices(static_cast<std::size_t>(shape[i]));
        std::iota(indices.begin(), indices.end(), std::int64_t{0});
        make_scale(scales_[names[i]] = write(group_, names[i], Array::of(indices)), names[i]);
      }
      attach_scale(data, scales_.at(names[i]), static_cast<unsigned>(i));
    }
  }

 private:
  hid_t group_;
  std::map<std::string, Handle> scales_;
};

/// What the dimensions of items are called, after `first`: images of any number of channels have
/// three.
std::vector<std::string> dimensions_of(const Array& x, std::vector<std::string> first) {
  const std::size_t own = x.shape.size() - first.size();
  if (own == 1) first.emplace_back("element");
  if (own == 3) first.insert(first.end(), {"channel", "height", "width"});
  return first;
}

void write_trace(hid_t file, const fs::path& folder, std::int64_t count) {
  if (count == 0 || traced(folder) == 0) return;
  const Trace trace = load_trace(folder, count);
  const Handle group = create_group(
      exists(file, "arrays") ? open_group(file, "arrays") : create_group(file, "arrays"), "trace");
  const Handle t = write(group, "t", trace.t), x = write(group, "x", trace.x);
  Dimensions dimensions(group);
  dimensions.name(t, trace.t.shape, {"step", "path"});
  dimensions.name(x, trace.x.shape, dimensions_of(trace.x, {"step", "path"}));
  attribute(t, "units", std::string("1"));
  attribute(t, "long_name", std::string("time of each sample, from the start to the last step"));
  attribute(x, "units", std::string("data"));
  attribute(x, "long_name", std::string("paths of the first samples, in data units"));
}

Json done_of(const View& v, const View::Source& s) {
  const Json sample = v.resolved.value("sample", Json::object());  // none without a sampler
  return read_done(stage_folder(v.results, s.key), sample.value("count", std::int64_t{0}),
                   sample.value("trace", std::int64_t{0}));
}

/// What metrics measured along a coordinate: /arrays/NAME/{COORDINATE, value}.
void write_measured_arrays(hid_t file, const View& v, const View::Source& s) {
  const Json done = relabelled(done_of(v, s), s.what);
  if (!done.contains("arrays")) return;
  const Handle arrays =
      exists(file, "arrays") ? open_group(file, "arrays") : create_group(file, "arrays");
  for (const auto& a : done["arrays"]) {
    std::vector<double> values;
    for (const auto& v : a["values"]) values.push_back(number_of(v));
    const Handle group = create_group(arrays, a["name"]);
    const Handle at = write(group, a["along"], Array::of(a["at"].get<std::vector<double>>())),
                 value = write(group, "value", Array::of(values));
    make_scale(at, a["along"]);
    attach_scale(value, at);
    attribute(value, "units", a["unit"]);
    attribute(value, "long_name", a["long_name"]);
    attribute(value, "goal", a["goal"]);
  }
}

void write_samples(hid_t file, const View& v, const View::Source& s) {
  const fs::path folder = stage_folder(v.results, s.key);
  if (const Json done = done_of(v, s); done.contains("moments"))
    return write_moments(file, done["moments"]);
  write_trace(file, folder, v.resolved["sample"]["trace"]);
  const SampleChunk all = load_samples(folder / "samples", v.resolved["sample"]["count"]);
  const Handle group = create_group(file, "samples");
  const Handle x = write(group, "x", all.x);
  attribute(x, "units", std::string("data"));
  attribute(x, "long_name", std::string("samples, in data units"));
  if (is_images(all.x.shape)) {
    attribute(x, "layout", std::string("NCHW"));
    attribute(x, "range", Json{0.0, 1.0});
  }
  const Handle nfe = write(group, "nfe", Array::of(all.nfe));
  attribute(nfe, "units", std::string("1"));
  attribute(nfe, "long_name", std::string("network evaluations of each sample"));
  std::map<std::string, Handle> beside_it;
  for (const auto& [name, array] : all.beside) {
    const Handle& beside = beside_it[name] = write(group, name, array);
    attribute(beside, "long_name",
              name == "label" ? std::string("class that the model was told, -1 for none")
              : name == "clean"
                  ? std::string("draws of the data that guides observed, in data units")
                  : fmt::format("the condition `{}` that the model was told", name));
  }
  Dimensions dimensions(group);
  dimensions.name(x, all.x.shape, dimensions_of(all.x, {"sample"}));
  dimensions.name(nfe, {all.x.shape[0]}, {"sample"});
  for (const auto& [name, array] : all.beside)
    dimensions.name(
        beside_it.at(name), array.shape,
        name == "clean" ? dimensions_of(array, {"sample"}) : std::vector<std::string>{"sample"});
  if (!is_images(all.x.shape)) return;
  // HDF5 names no dimensions of an image: it has a group of its own
  write_image(create_group(file, "pictures"), "grid", grid_of(all.x));
  write_grid(v.folder / "grid.png", all.x);
}

void write_previews(const View& v, const View::Source& s) {
  const fs::path folder = stage_folder(v.results, s.key) / "previews";
  if (!fs::exists(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path picture = v.folder / "previews" / (entry.path().filename().string() + ".png");
    if (fs::exists(picture) || !fs::exists(entry.path() / "00000000.h5")) continue;
    const Array x = load_chunk(entry.path(), 0).x;
    if (is_images(x.shape)) write_grid(picture, x);
  }
}

void write_events(hid_t file, const Events& e) {
  const Handle group = create_group(file, "events");
  Dimensions dimensions(group);
  const auto column = [&](const std::string& name, const auto& values) {
    dimensions.name(write(group, name, values), {static_cast<std::int64_t>(e.time.size())},
                    {"line"});
  };
  column("time", e.time);
  column("event", e.name);
  column("message", e.message);
  column("step", Array::of(e.step));
}

void write_summary(hid_t file, const View& v, const std::map<std::string, Stream>& streams) {
  const Handle group = create_group(file, "summary");
  for (const auto& [name, s] : streams) {
    for (const auto& c : s.columns) {
      const auto& values = s.values.at(c.name);
      if (values.empty()) continue;
      attribute(group, fmt::format("{}.{}.last", name, c.name), values.back());
      if (c.goal == "none" || values.size() < 2) continue;
      std::ptrdiff_t best = -1;  // values that are not numbers are never the best
      for (std::size_t k = 0; k < values.size(); ++k) {
        if (std::isnan(values[k])) continue;
        if (best < 0 || (c.goal == "min" ? values[k] < values[static_cast<std::size_t>(best)]
                                         : values[k] > values[static_cast<std::size_t>(best)]))
          best = static_cast<std::ptrdiff_t>(k);
      }
      if (best < 0) continue;
      attribute(group, fmt::format("{}.{}.best", name, c.name),
                values[static_cast<std::size_t>(best)]);
      attribute(group, fmt::format("{}.{}.best_step", name, c.name),
                s.steps[static_cast<std::size_t>(best)]);
    }
  }
  for (const auto& s : v.sources) {
    const Json done = done_of(v, s);
    if (done.is_null()) continue;
    for (const char* field : {"seconds", "peak_memory", "nfe", "steps", "parameters", "count"})
      if (done.contains(field)) attribute(group, fmt::format("{}.{}", s.what, field), done[field]);
  }
}

Json under_label(const Json& line, const std::string& from, const std::string& to) {
  Json out = Json::object();
  for (const auto& [name, value] : line.items())
    out[relabelled(name, from, to)] =
        name == "column" ? Json(relabelled(value.get<std::string>(), from, to)) : value;
  return out;
}

void relabel(Story& story, const std::string& from, const std::string& to) {
  for (auto& [name, stream] : story.streams) {
    for (auto& column : stream.columns) column.name = relabelled(column.name, from, to);
    std::map<std::string, std::vector<double>> values;
    for (auto& [column, own] : stream.values) values[relabelled(column, from, to)] = std::move(own);
    stream.values = std::move(values);
  }
}

}  // namespace

bool is_current(const View& v) try {
  const fs::path file = v.folder / "run.h5";
  if (!fs::exists(file) || !fs::exists(v.folder / "run.jsonl")) return false;
  const auto written = fs::last_write_time(file);
  const auto newer = [&](const fs::path& source) {
    return fs::exists(source) && fs::last_write_time(source) >= written;
  };
  if (newer(v.results / v.experiment / "experiment.json")) return false;
  for (const auto& s : v.sources)
    for (const char* name : {"stage.json", "journal.jsonl", "failure.json"})
      if (newer(stage_folder(v.results, s.key) / name)) return false;
  return read_text(open_group(open_file(file), "status"), "state") == v.state;
} catch (const std::exception&) {
  return false;
}

namespace {
void write_current(const View& v);
}

void write_view(const View& v) try { write_current(v); } catch (const Damaged& e) {
  for (const auto& s : v.sources) {  // what is damaged is not done: the next run makes it again
    const fs::path folder = stage_folder(v.results, s.key);
    if (s.done && std::string(e.what()).find(folder.string()) != std::string::npos) reopen(folder);
  }
  throw;
}

namespace {

/// Adds the streams and events of one stage. Several metrics are one stream of one row.
void join(Story& story, Story one, const View::Source& s) {
  for (auto& [own, stream] : one.streams) {
    // what: `train NAME`
    const std::string name =
        s.kind == "model" ? fmt::format("models.{}.{}", s.what.substr(6), own) : own;
    if (!story.streams.contains(name)) {
      story.streams[name] = std::move(stream);
      continue;
    }
    Stream& all = story.streams[name];
    for (const auto& c : stream.columns) {
      all.columns.push_back(c);
      all.values[c.name] = stream.values[c.name];
    }
    for (const auto& c : all.columns)
      all.values[c.name].resize(all.steps.size(), std::numeric_limits<double>::quiet_NaN());
  }
  for (std::size_t i = 0; i < one.events.name.size(); ++i) {
    story.events.time.push_back(one.events.time[i]);
    story.events.name.push_back(one.events.name[i]);
    story.events.message.push_back(one.events.message[i]);
    story.events.step.push_back(one.events.step[i]);
  }
}

/// Where the weights are that the run samples with: the file, seen from run.h5, and the group in
/// it.
void write_checkpoint(hid_t file, const View& v) {
  const auto trained = std::find_if(v.sources.begin(), v.sources.end(),
                                    [](const auto& s) { return s.kind == "train"; });
  if (trained == v.sources.end()) return;
  const Json sample = v.resolved.value("sample", Json::object());
  fs::path folder = stage_folder(v.results, trained->key);
  if (const auto step = sample.value("step", std::int64_t{0}); step > 0)
    folder = folder / "kept" / std::to_string(step);
  const double ema = sample.value("ema", 0.0);
  attribute(file, "checkpoint",
            (folder / "checkpoint.h5").lexically_relative(v.folder).generic_string());
  attribute(file, "checkpoint_step",
            folder.parent_path().filename() == "kept"
                ? sample["step"].get<std::int64_t>()
                : v.resolved["train"]["steps"].get<std::int64_t>());
  attribute(file, "weights", ema > 0 ? fmt::format("ema/{}", ema) : std::string("parameters"));
}

void write_current(const View& v) {
  make_folder(v.folder);
  remove_stale(v.folder);
  Story story;
  std::string lines;
  for (const auto& s : v.sources) {
    const fs::path journal = stage_folder(v.results, s.key) / "journal.jsonl";
    if (s.done && !fs::exists(journal)) throw Damaged(journal, "it is gone");
    std::string from, to;  // a metric that was measured under another label
    if (s.kind == "evaluate" && s.done) {
      const Json done = done_of(v, s);
      from = done.value("measured_as", "");
      to = s.what.substr(std::string("evaluate ").size());
    }
    for (Json& j : read_lines(journal).lines) {
      j["stage"] = s.label;
      lines += (from == to ? j : under_label(j, from, to)).dump() + "\n";
    }
    Story one = read_journal(journal);
    if (from != to) relabel(one, from, to);
    join(story, std::move(one), s);
  }
  write_whole(v.folder / "run.jsonl", lines);
  write_hdf5(v.folder / "run.h5", [&](hid_t file) {
    attribute(file, "format", std::string("scorelab-run"));
    attribute(file, "format_version", std::string("1.0"));
    attribute(file, "experiment", v.experiment);
    attribute(file, "seed", v.seed);
    attribute(file, "train_seed", v.train_seed);
    write_checkpoint(file, v);
    write_config(file, v);
    write_provenance(file, v);
    const Handle metrics = create_group(file, "metrics");
    for (const auto& [name, stream] : story.streams)
      if (!stream.steps.empty()) write_stream(metrics, name, stream);
    for (const auto& s : v.sources) {
      if (s.kind == "sample" && s.done) write_samples(file, v, s);
      if (s.kind == "train") write_previews(v, s);
      if (s.kind == "evaluate" && s.done) write_measured_arrays(file, v, s);
    }
    write_events(file, story.events);
    write_summary(file, v, story.streams);
    const Handle status = create_group(file, "status");
    attribute(status, "state", v.state);
    attribute(status, "written", now());
  });
}

}  // namespace

}  // namespace scorelab::record
