#include <fmt/format.h>

#include <cmath>

#include "certify/around.h"
#include "setup/generator.h"

namespace scorelab::certify {

Json check_initial(const std::string& check, const Json& request) {
  const Around a(request);
  const auto one = a.make<Initial>(request["component"]);
  const auto& q = *a.setup.scheduler;
  double t = q.t_max();
  const auto draw = [&](std::int64_t first, std::int64_t rows) {
    Noise noise(1, "initial", first);
    const at::Tensor like = at::empty({rows, 2}, at::kDouble);
    const auto clean = [&](Noise& own) {
      Condition condition;
      return a.setup.data->get(std::vector<std::int64_t>(rows, 0), own, condition);
    };
    return one->draw({q, t, first, like, clean, *a.setup.space}, noise);
  };
  const host::KeepGenerator keep;
  const at::Tensor x = draw(0, 20);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "shape") {
    same(x.sizes() == at::IntArrayRef({20, 2}) && x.scalar_type() == at::kDouble &&
             x.isfinite().all().item<bool>(),
         "it has another shape or dtype, or is not finite");
    return Json{{"detail", "kept"}};
  }
  if (check == "repeatable") {
    same(draw(0, 20).equal(x), "the same seed gave another start");
    return Json{{"detail", "to the last bit"}};
  }
  if (check == "chunks") {
    same(at::cat({draw(0, 7), draw(7, 13)}).equal(x),
         "rows see each other, or draws are not the noise's");
    return Json{{"detail", "7 and 13 of 20"}};
  }
  const at::Tensor like = at::empty({1, 2}, at::kDouble);
  t = (q.t_min() + q.t_max()) / 2;  // as of a sampler that starts below t_max
  const auto stated = one->moments({q, t, 0, like, nullptr, *a.setup.space});
  if (!stated) throw Skipped("it states none");
  const at::Tensor many = draw(0, 20000);
  const double n = 20000;
  const at::Tensor least = 1e-9 * (1 + stated->mean.abs()),
                   std = stated->variance.sqrt().maximum(least), z = (many - stated->mean) / std;
  const double mean = (z.mean(0).abs() * std::sqrt(n)).max().item<double>(),
               var = ((z.var(0) - 1).abs() * std::sqrt(n / 2)).max().item<double>();
  const bool point = stated->variance.max().item<double>() == 0;
  same(point ? z.abs().max().item<double>() <= 1 : mean < 5 && var < 5,
       "20,000 draws are more than 5 standard errors from the stated moments");
  const double together = (z.select(1, 0) * z.select(1, 1)).mean().item<double>() * std::sqrt(n);
  same(point || std::abs(together) < 5,
       "its moments state independent elements, and those of its draws are correlated");
  return {{"detail", fmt::format("{:.1f} and {:.1f} standard errors", mean, var)}};
}

}  // namespace scorelab::certify
