#include "compare/data.h"

#include <algorithm>

namespace scorelab::compare {

std::optional<std::string> label_at(const Coordinates& at, const std::string& axis) {
  for (const auto& [name, label] : at)
    if (name == axis) return label;
  return {};
}

std::optional<std::size_t> Data::find(const Coordinates& at) const {
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (std::all_of(cells[i].begin(), cells[i].end(),
                    [&](const auto& place) { return label_at(at, place.first) == place.second; }))
      return i;
  return {};
}

const Quantity* Data::quantity(const std::string& name) const {
  for (const auto* list : {&metrics, &costs})
    for (const auto& q : *list)
      if (q.name == name) return &q;
  return nullptr;
}

bool Data::by_training() const {
  return trained && comparison.seeds.apart && comparison.seeds.train.size() > 1;
}

std::map<std::int64_t, double> Data::units(std::size_t cell, const std::string& name) const {
  const auto& seeds = comparison.seeds;
  std::map<std::int64_t, std::pair<double, std::size_t>> sums;
  for (const auto& o : observations) {
    const auto value = o.values.find(name);
    if (o.cell != cell || value == o.values.end()) continue;
    auto& [sum, n] = sums[by_training() ? o.train_seed : o.sample_seed];
    sum += value->second;
    ++n;
  }
  std::map<std::int64_t, double> out;
  for (const auto& [unit, sum] : sums)
    if (!by_training() || sum.second == seeds.sample.size())
      out[unit] = sum.first / static_cast<double>(sum.second);
  return out;
}

std::size_t Data::units_planned() const {
  return by_training() ? comparison.seeds.train.size() : comparison.seeds.sample.size();
}

std::string Data::units_are() const {
  const auto& seeds = comparison.seeds;
  if (!trained) return "samplings";
  return seeds.apart && seeds.train.size() == 1 && seeds.sample.size() > 1
             ? "samplings of one training"
             : "trainings";
}

std::optional<double> paper_value(const manifest::Paper& paper, const Comparison& c,
                                  const Coordinates& at) {
  const Json* here = &paper.values;
  for (const auto& axis : paper.over) {
    if (here->is_number()) break;
    const auto label = label_at(at, axis);
    if (!label) return {};
    if (here->is_object()) {
      const Json* next = nullptr;
      for (const auto& [key, inner] : here->items())
        if (manifest::canonical_label(key) == *label) next = &inner;
      if (!next) return {};
      here = next;
    } else if (here->is_array()) {
      const auto labels = c.labels(axis);
      const auto i = static_cast<std::size_t>(std::find(labels.begin(), labels.end(), *label) -
                                              labels.begin());
      if (i >= here->size()) return {};
      here = &(*here)[i];
    } else {
      return {};
    }
  }
  return here->is_number() ? std::optional(here->get<double>()) : std::nullopt;
}

const std::vector<Quantity>& known_costs() {
  static const std::vector<Quantity> all{
      {"nfe", "1", "min", "network evaluations of a sample"},
      {"sample.seconds", "s", "min", "time of sampling"},
      {"sample.peak_memory", "B", "min", "largest memory while sampling"},
      {"train.seconds", "s", "min", "time of training"},
      {"train.steps", "1", "none", "optimiser steps"},
      {"train.loss", "1", "min", "loss of training, mean over the last tenth of its steps"},
      {"train.loss_spread", "1", "none", "standard deviation of the loss over these steps"},
      {"train.first_loss", "1", "none", "loss before the first update"},
      {"train.parameters", "1", "none", "parameters of the network"},
      {"train.peak_memory", "B", "min", "largest memory while training"},
      {"train.evaluations", "1", "min", "network evaluations of training, one a row"},
      {"train.vjps", "1", "min", "vector-Jacobian products of training, one a row"},
      {"train.jvps", "1", "min", "Jacobian-vector products of training, one a row"}};
  return all;
}

}  // namespace scorelab::compare
