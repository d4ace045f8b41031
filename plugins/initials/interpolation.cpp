#include <ATen/ATen.h>
#include <scorelab/initial.h>
#include <scorelab/plugin.h>

#include <string>

namespace {
using namespace scorelab;

/// Rows of samples between two ends: sample k is point k mod `points` of its row. The ends are two
/// draws of the data, each diffused by its own noise to where the sampler starts (Ho, Jain & Abbeel
/// 2020, section 4.3, who go straight from one to the other), or two draws of the prior (Song, Meng
/// & Ermon 2021, appendix D.5, who go along the sphere; straight where the ends are parallel, as
/// two numbers are).
class Interpolation final : public Initial {
 public:
  void params(Params& p) override {
    p("between", between_,
      "the ends: draws of the data, diffused to where the sampler starts; or of the prior")
        .one_of({"data", "prior"});
    p("path", path_,
      "(1 - u) x + u y; or (sin((1 - u) a) x + sin(u a) y)/sin a, where a is the angle of x and y")
        .one_of({"linear", "spherical"});
    p("points", points_, "samples of a row, its ends among them").range(2, 1e4);
  }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    const std::int64_t rows = start.like.size(0), pair = start.first / points_;
    const at::Tensor sample = at::arange(start.first, start.first + rows,
                                         at::TensorOptions(at::kLong).device(start.like.device()));
    const at::Tensor of = sample.div(points_, "floor") - pair;
    const auto end = [&](const char* name) {
      Noise own = noise.stream(name, 0, pair);
      return one(start, own).index_select(0, of);
    };
    const at::Tensor x = end("one"), y = end("other");
    std::vector<std::int64_t> shape(start.like.dim(), 1);
    shape[0] = rows;
    const at::Tensor u =
        (sample.remainder(points_).to(at::kDouble) / static_cast<double>(points_ - 1)).view(shape);
    if (path_ == "linear") return ((1 - u) * x + u * y).to(start.like.scalar_type());
    const at::Tensor p = x.to(at::kDouble), q = y.to(at::kDouble),
                     norms = (row_dot(p, p) * row_dot(q, q)).sqrt();
    const at::Tensor a = (row_dot(p, q) / norms).clamp(-1, 1).acos().view(shape), sine = a.sin();
    const auto weight = [&](const at::Tensor& v) {
      return at::where(sine > 1e-6, (v * a).sin() / sine, v);
    };
    return (weight(1 - u) * p + weight(u) * q).to(start.like.scalar_type());
  }

 private:
  at::Tensor one(const Start& start, Noise& noise) const {
    if (between_ == "prior") return start.scheduler.prior_std() * noise.normal(start.like);
    const at::Tensor x0 = start.clean(noise);
    Noise eps = noise.stream("eps");
    return start.scheduler.alpha(start.t) * x0 + start.scheduler.sigma(start.t) * eps.normal(x0);
  }

  std::string between_ = "data", path_ = "linear";
  std::int64_t points_ = 9;
};
}  // namespace
SCORELAB_PLUGIN(Interpolation, initial, "interpolation", "1.0.0",
                "points between two draws of the data, diffused, or of the prior")
