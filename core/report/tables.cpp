#include <limits>
#include <numeric>

#include "report/page.h"

namespace scorelab::report {
namespace {

using record::Array;
using record::Handle;

/// The tables' dimensions: cell, in the order of /cells, and unit, by its seed.
struct Dimensions {
  std::vector<std::int64_t> units;
  Handle cell, unit;
};

Dimensions write_dimensions(hid_t h5, const Data& data) {
  std::vector<std::int64_t> indices(data.cells.size());
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  const auto& units =
      data.by_training() ? data.comparison.seeds.train : data.comparison.seeds.sample;
  Dimensions out{
      {units.begin(), units.end()},
      record::write(h5, "cell", Array::of(indices)),
      record::write(h5, "unit", Array::of(std::vector<double>(units.begin(), units.end())))};
  record::make_scale(out.cell, "cell");
  record::make_scale(out.unit, "unit");
  return out;
}

void write_cells(hid_t h5, const Data& data, const Dimensions& dimensions) {
  const Handle cells = record::create_group(h5, "cells");
  const auto column = [&](const std::string& name, const std::vector<std::string>& values) {
    record::attach_scale(record::write(cells, name, values), dimensions.cell);
  };
  std::vector<std::string> names;
  for (const auto& at : data.cells) names.push_back(manifest::text(at));
  column("name", names);
  for (const auto& axis : data.comparison.places()) {
    std::vector<std::string> labels;
    for (const auto& at : data.cells) labels.push_back(compare::label_at(at, axis).value_or(""));
    column(axis, labels);
  }
}

/// The table of one metric or cost, where it was measured at all.
void write_table(hid_t h5, const Data& data, const Dimensions& dimensions,
                 const compare::Quantity& q) {
  std::vector<double> values, mean, low, high;
  bool any = false;
  for (std::size_t c = 0; c < data.cells.size(); ++c) {
    std::vector<double> own;
    const auto measured = data.units(c, q.name);
    for (const auto& [unit, v] : measured) own.push_back(v);
    for (const auto unit : dimensions.units) {
      const auto v = measured.find(unit);
      values.push_back(v == measured.end() ? std::numeric_limits<double>::quiet_NaN() : v->second);
    }
    any = any || !own.empty();
    const auto i = compare::interval(own);
    mean.push_back(compare::mean(own));
    low.push_back(i.low);
    high.push_back(i.high);
  }
  if (!any) return;
  const Handle group = record::create_group(h5, q.name);
  Array table = Array::of(values);
  table.shape = {static_cast<std::int64_t>(data.cells.size()),
                 static_cast<std::int64_t>(dimensions.units.size())};
  for (const auto& [name, array] : {std::pair{"values", table},
                                    {"mean", Array::of(mean)},
                                    {"low", Array::of(low)},
                                    {"high", Array::of(high)}}) {
    const Handle x = record::write(group, name, array);
    record::attach_scale(x, dimensions.cell);
    if (array.shape.size() == 2) record::attach_scale(x, dimensions.unit, 1);
    record::attribute(x, "units", q.unit);
    record::attribute(x, "goal", q.goal);
    record::attribute(x, "long_name", q.long_name.empty() ? q.name : q.long_name);
  }
}

}  // namespace

void write_tables(const std::filesystem::path& file, const Data& data) {
  record::write_hdf5(file, [&](hid_t h5) {
    record::attribute(h5, "format", std::string("scorelab-comparison"));
    record::attribute(h5, "experiment", data.comparison.name);
    record::attribute(h5, "question", data.comparison.question);
    record::attribute(h5, "n_counts", data.units_are());
    const Dimensions dimensions = write_dimensions(h5, data);
    write_cells(h5, data, dimensions);
    for (const auto& q : data.metrics) write_table(h5, data, dimensions, q);
    for (const auto& q : data.costs) write_table(h5, data, dimensions, q);
  });
}

}  // namespace scorelab::report
