#include <fmt/format.h>

#include <cmath>

#include "certify/around.h"
#include "setup/generator.h"

namespace scorelab::certify {

Json check_dataset(const std::string& check, const Json& request) {
  Around a(request);
  a.spec["dataset"] = request["component"];
  host::check_all(request["component"]);
  const host::Setup setup(a.spec, at::kCPU, false);
  const auto size = setup.data->size();
  const auto get = [&](std::int64_t first, std::int64_t rows) {
    std::vector<std::int64_t> index(rows);
    for (std::int64_t i = 0; i < rows; ++i) index[i] = size > 0 ? (first + i) % size : 0;
    Noise noise(1, "data", first);
    Condition condition;
    return setup.data->get(index, noise, condition);
  };
  const host::KeepGenerator keep;
  const at::Tensor x = get(0, 20);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "shape") {
    same(x.sizes().slice(1) == at::IntArrayRef(setup.data->shape()) && x.size(0) == 20,
         "its items have another shape than it states");
    same(x.isfinite().all().item<bool>() && x.is_floating_point(),
         "its items are not finite floats");
    return {{"detail", c10::str(x.sizes().slice(1))}};
  }
  if (check == "repeatable") {
    const at::Tensor before = x.clone();
    const at::Tensor other = get(20, 20);
    same(x.equal(before), "items that were returned changed when others were got: its buffer");
    same(get(0, 20).equal(before), "the same seed gave other items");
    return Json{{"detail", "to the last bit"}};
  }
  if (check == "chunks") {
    same(at::cat({get(0, 7), get(7, 13)}).equal(x),
         "items see each other, or draws are not the noise's");
    return Json{{"detail", "7 and 13 of 20"}};
  }
  if (!setup.law) throw Skipped("it states no law");
  const at::Tensor many = get(0, 20000).flatten(1).to(at::kDouble),
                   w = setup.law->weights.unsqueeze(1), mean = (w * setup.law->means).sum(0);
  const double z =
      ((many.mean(0) - mean).abs() / (many.std(0) / std::sqrt(20000.0)).clamp_min(1e-12))
          .max()
          .item<double>();
  same(z < 5, "the mean of 20,000 items is more than 5 standard errors from the law's");
  const at::Tensor one = at::ones({20000}, at::kDouble);
  // E score = 0 and E x score = -1: a wrong width or weight shows
  if (setup.law->variances.min().item<double>() > 0) {
    const at::Tensor score = setup.law->score(many, one, 0 * one),
                     product = ((many - mean) * score).sum(1) + static_cast<double>(many.size(1));
    const double y = std::abs(product.mean().item<double>()) /
                     (product.std().item<double>() / std::sqrt(20000.0));
    same(y < 5, "the stated law's score does not fit the draws (Stein's identity)");
    return {{"detail", fmt::format("{:.1f} and {:.1f} standard errors", z, y)}};
  }
  return {{"detail", fmt::format("{:.1f} standard errors", z)}};
}

}  // namespace scorelab::certify
