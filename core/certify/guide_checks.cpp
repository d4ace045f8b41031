#include <algorithm>

#include "certify/around.h"
#include "model/draw_data.h"
#include "model/evaluation.h"
#include "setup/generator.h"

namespace scorelab::certify {

Json check_guide(const std::string& check, const Json& request) {
  const Around a(request);
  const auto one = a.make<Guide>(request["component"]);
  Noise noise(1, "x");
  const at::Tensor x = 2 * noise.normal(at::empty({20, 2}, at::kDouble));
  const auto answer = [&](std::int64_t first, std::int64_t rows) {
    Noise draws(1, "clean", first);
    const auto context = std::make_shared<Model::Context>(a.setup.context(a.stop));
    const at::Tensor clean =
        draw_data(*a.setup.data, *a.setup.space, rows, draws, a.setup.tensors, context->condition);
    const auto call = std::make_shared<GuideRun::Call>();
    call->noise.emplace(1, "guide", first);
    call->clean = [&clean]() -> const at::Tensor& { return clean; };
    context->guides.push_back({one, call});
    return Model(a.setup.model(a.spec), context)(x.narrow(0, first, rows), 0.5).x0();
  };
  const host::KeepGenerator keep;
  const at::Tensor first = answer(0, 20);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "shape") {
    same(first.sizes() == x.sizes() && first.scalar_type() == x.scalar_type() &&
             first.isfinite().all().item<bool>(),
         "its x0 has another shape or dtype, or is not finite");
    return Json{{"detail", "kept"}};
  }
  if (check == "repeatable") {
    same(answer(0, 20).equal(first), "the same input gave another answer");
    return Json{{"detail", "to the last bit"}};
  }
  std::vector<at::Tensor> parts;
  for (int i = 0; i < 20; i += 7) parts.push_back(answer(i, std::min(7, 20 - i)));
  same(at::cat(parts).equal(first), "in chunks of 7 it answers otherwise: rows see each other");
  return {{"detail", "20 rows, by 7"}};
}

}  // namespace scorelab::certify
