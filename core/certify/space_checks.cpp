#include <fmt/format.h>

#include "certify/around.h"
#include "evaluate/evaluation.h"
#include "setup/generator.h"

namespace scorelab::certify {
namespace {

/// That encode and decode do in parts (`encoded` of 7 rows and 193) what they do at once, z and
/// `back`. Matrix products of other sizes may round otherwise.
Json check_chunks(const Space& one, const at::Tensor& z, const at::Tensor& encoded,
                  const at::Tensor& back) {
  const double rounding = z.scalar_type() == at::kDouble ? 1e-9 : 1e-4;
  const auto off = [](const at::Tensor& parts, const at::Tensor& whole) {
    return (parts - whole).abs().max().item<double>() / (1 + whole.abs().max().item<double>());
  };
  same(off(encoded, z) <= rounding, "rows see each other, or draws are not the noise's");
  const at::Tensor decoded =
      at::cat({one.decode(z.narrow(0, 0, 7)), one.decode(z.narrow(0, 7, 193))})
          .to(at::kCPU, at::kDouble);
  same(off(decoded, back) <= rounding, "rows see each other in decode");
  return {{"detail", "7 and 193 of 200"}};
}

/// That encode(x) = z is the map stated, and decode(z) = back undoes it.
Json check_affine(const Space& one, const at::Tensor& x, const at::Tensor& z,
                  const at::Tensor& back) {
  const auto map = one.affine();
  if (!map) throw Skipped("it states none");
  const double off = (z - (x * map->scale + map->shift)).abs().max().item<double>(),
               undone = (back - x).abs().max().item<double>();
  same(off <= 1e-9 * (1 + z.abs().max().item<double>()) &&
           undone <= 1e-9 * (1 + x.abs().max().item<double>()),
       "encode is another map than affine() states, or decode does not undo it");
  return {{"detail", fmt::format("{:.4g} x + {:.4g}", map->scale, map->shift)}};
}

}  // namespace

Json check_space(const std::string& check, const Json& request) {
  Around a(request, {{"dataset", own(request, "dataset", "digits")},
                     {"network", own(request, "network", "mlp")}});
  a.spec["space"] = request["component"];
  host::check_all(request["component"]);
  const host::Setup setup(a.spec, at::kCPU, false);
  const Space& one = *setup.space;
  const at::Tensor x = reference_of(*setup.data, 200, 1).all();
  const auto encode = [&](std::int64_t first, std::int64_t rows) {
    Noise noise(1, "encode", first);
    return one.encode(x.narrow(0, first, rows), &noise);
  };
  const host::KeepGenerator keep;
  const at::Tensor z = encode(0, 200);
  same(z.dim() > 0 && z.size(0) == 200 && z.sizes().slice(1) == at::IntArrayRef(one.shape()) &&
           z.is_floating_point(),
       "encoded items have another shape than it states, or are no floats");
  const at::Tensor back = one.decode(z).to(at::kCPU, at::kDouble);
  if (check == "generators") {
    same(!keep.changed(), drew);
    return Json{{"detail", "untouched"}};
  }
  if (check == "shape") {
    same(back.sizes() == x.sizes(), "decoded items have another shape than the data");
    same(z.isfinite().all().item<bool>() && back.isfinite().all().item<bool>(),
         "it is not finite on the data");
    same(one.encode(x, nullptr).sizes() == z.sizes(),
         "without noise, which metrics do not give, it encodes to another shape");
    same(one.decode(z.to(at::kFloat)).sizes() == x.sizes(), "decoded float32 has another shape");
    return {{"detail", c10::str(x.sizes().slice(1), " to ", z.sizes().slice(1))}};
  }
  if (check == "repeatable") {
    same(encode(0, 200).equal(z), "the same seed encodes otherwise");
    return Json{{"detail", "to the last bit"}};
  }
  if (check == "chunks") return check_chunks(one, z, at::cat({encode(0, 7), encode(7, 193)}), back);
  if (check == "affine") {
    same(
        one.affine().has_value() == has(schema::from_json(request["schema"]).gives, "affine-space"),
        "affine() and p.gives(\"affine-space\") must say the same");
    return check_affine(one, x, z, back);
  }
  const double lost =
      (back - x).square().mean().item<double>() / (x - x.mean(0)).square().mean().item<double>();
  same(lost < 1,
       fmt::format(
           "decode(encode(x)) is further from x than the data's mean: {:.3g} of its squared error",
           lost)
           .c_str());
  return {{"detail", fmt::format("loses {:.2g} of the variance", lost)}};
}

}  // namespace scorelab::certify
