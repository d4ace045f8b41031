#include "holdout.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace scorelab {

Subset::Subset(std::shared_ptr<DataSet> whole, std::vector<std::int64_t> items)
    : whole_(std::move(whole)), items_(std::move(items)) {}

at::Tensor Subset::get(const std::vector<std::int64_t>& index, Noise& noise,
                       Condition& condition) const {
  std::vector<std::int64_t> own;
  own.reserve(index.size());
  for (const auto i : index) own.push_back(items_.at(static_cast<std::size_t>(i)));
  return whole_->get(own, noise, condition);
}

std::pair<std::shared_ptr<DataSet>, std::shared_ptr<DataSet>> hold_out(
    const std::shared_ptr<DataSet>& whole, double share) {
  const std::int64_t size = whole->size();
  if (size == 0)
    throw Error(
        "`holdout` is a share of finitely many items, and this set draws afresh for ever: each "
        "draw is unseen");
  const auto held = static_cast<std::int64_t>(std::llround(share * static_cast<double>(size)));
  if (held < 1 || held >= size)
    throw Error(
        fmt::format("`holdout` = {} of {} items is {}; expected one at least, and one that is left",
                    share, size, held));
  Noise order(0, "holdout");
  const at::Tensor keys = order.uniform(at::empty({1, size}, at::kDouble)).squeeze(0);
  std::vector<std::int64_t> items(static_cast<std::size_t>(size));
  std::iota(items.begin(), items.end(), 0);
  std::stable_sort(
      items.begin(), items.end(),
      [k = keys.const_data_ptr<double>()](std::int64_t a, std::int64_t b) { return k[a] < k[b]; });
  const auto cut = items.begin() + held;
  std::sort(items.begin(), cut);
  std::sort(cut, items.end());
  return {std::make_shared<Subset>(whole, std::vector<std::int64_t>(cut, items.end())),
          std::make_shared<Subset>(whole, std::vector<std::int64_t>(items.begin(), cut))};
}

}  // namespace scorelab
