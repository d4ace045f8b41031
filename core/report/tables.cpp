#include <limits>

#include "report/page.h"

namespace scorelab::report {

void write_tables(const std::filesystem::path& file, const Data& data) {
  using record::Array;
  record::write_hdf5(file, [&](hid_t h5) {
    record::attribute(h5, "format", std::string("scorelab-comparison"));
    record::attribute(h5, "experiment", data.comparison.name);
    record::attribute(h5, "question", data.comparison.question);
    record::attribute(h5, "n_counts", data.units_are());
    const record::Handle cells = record::create_group(h5, "cells");
    const auto axes = data.comparison.places();
    std::vector<std::string> names;
    for (const auto& cell : data.cells) names.push_back(manifest::text(cell));
    record::write(cells, "name", names);
    for (const auto& axis : axes) {
      std::vector<std::string> labels;
      for (const auto& cell : data.cells)
        labels.push_back(compare::label_at(cell, axis).value_or(""));
      record::write(cells, axis, labels);
    }
    std::vector<compare::Quantity> all = data.metrics;
    all.insert(all.end(), data.costs.begin(), data.costs.end());
    const auto& units =
        data.by_training() ? data.comparison.seeds.train : data.comparison.seeds.sample;
    const std::size_t n = units.size();
    Array seeds = Array::of(std::vector<double>(units.begin(), units.end()));
    record::write(h5, "unit", seeds);
    for (const auto& q : all) {
      std::vector<double> values, mean, low, high;
      bool any = false;
      for (std::size_t c = 0; c < data.cells.size(); ++c) {
        std::vector<double> own, row;
        const auto measured = data.units(c, q.name);
        for (const auto& [unit, v] : measured) own.push_back(v);
        for (const auto unit : units) {
          const auto v = measured.find(unit);
          row.push_back(v == measured.end() ? std::numeric_limits<double>::quiet_NaN() : v->second);
        }
        any = any || !own.empty();
        const auto i = compare::interval(own);
        mean.push_back(compare::mean(own));
        low.push_back(i.low);
        high.push_back(i.high);
        values.insert(values.end(), row.begin(), row.end());
      }
      if (!any) continue;
      const record::Handle group = record::create_group(h5, q.name);
      Array table = Array::of(values);
      table.shape = {static_cast<std::int64_t>(data.cells.size()), static_cast<std::int64_t>(n)};
      for (const auto& [name, array] : {std::pair{"values", table},
                                        {"mean", Array::of(mean)},
                                        {"low", Array::of(low)},
                                        {"high", Array::of(high)}}) {
        const record::Handle x = record::write(group, name, array);
        record::attribute(x, "units", q.unit);
        record::attribute(x, "goal", q.goal);
        record::attribute(x, "long_name", q.long_name.empty() ? q.name : q.long_name);
      }
    }
  });
}

}  // namespace scorelab::report
