#include <scorelab/dataset.h>
#include <scorelab/network.h>
#include <scorelab/plugin.h>
#include <scorelab/scheduler.h>

#include <algorithm>
#include <cmath>
#include <variant>
#include <vector>

namespace {
using namespace scorelab;

/// NCSN's ladder: Song & Ermon 2019; L noise levels in geometric progression. Level i stands at t =
/// i/L, 1 the cleanest: the paper's sigma_1 is ours at i = L. Between levels log sigma is linear.
class NcsnLadder final : public Scheduler {
 public:
  void params(Params& p) override {
    p("L", L_, "number of levels").range(1, 1e6).when("overlap", {"0.0"});
    p("overlap", overlap_,
      "NCSNv2's technique 2 chooses L instead: the share of samples of a level, seen as distances "
      "from the origin in so many dimensions, that lies within three standard deviations of the "
      "level above; they take 0.5. 0: L says")
        .range(0, 0.99);
    p("sigma_max", sigma_max_,
      "the largest level, the prior's standard deviation; data: NCSNv2's technique 1, the largest "
      "distance between two items of the data (of 2,000 spread evenly over it, where it has more)")
        .one_of({"data"})
        .range(1e-9, 1e9);
    p.needs("items", "technique 1 takes the largest distance between two of them")
        .when("sigma_max", {"data"});
    p("sigma_min", sigma_min_, "the smallest level").range(1e-9, 1e9).above("L", 1);
    p.gives("levels");
    p.gives("noise");
    p.gives("path").above("L", 1);
    p.gives("finite-snr");
    p.gives("finite-velocity");
    p.gives("one-level").when("L", {"1"});
  }
  void check() const override {
    const double* given = std::get_if<double>(&sigma_max_);
    if (given && L_ > 1 && *given <= sigma_min_)
      throw Error("`sigma_max` must be above `sigma_min`");
  }
  void prepare(const Setting& setting) override {
    const double* given = std::get_if<double>(&sigma_max_);
    top_ = given ? *given : largest_distance(*setting.data, *setting.space);
    if (L_ > 1 && top_ <= sigma_min_)
      throw Error("the largest distance of two items, " + std::to_string(top_) +
                  ", is not above `sigma_min`");
    if (overlap_ > 0) choose_levels(setting);
  }
  Marginal at(Dual t) const override {
    if (L_ == 1) return {1, top_};
    const Dual level = t * static_cast<double>(L_);
    return {1, sigma_min_ *
                   exp((level - 1.0) / static_cast<double>(L_ - 1) * std::log(top_ / sigma_min_))};
  }
  std::int64_t levels() const override { return L_; }
  double t_min() const override { return 1 / static_cast<double>(L_); }
  double prior_std() const override { return top_; }
  double conditioning(double t) const override { return std::log(at(t).sigma.value); }

 private:
  /// Song & Ermon 2020, technique 1; in the model's units.
  static double largest_distance(const DataSet& data, const Space& space) {
    const std::int64_t size = data.size(), count = std::min<std::int64_t>(size, 2000);
    std::vector<std::int64_t> index(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) index[static_cast<std::size_t>(i)] = i * size / count;
    Noise noise(0, "technique 1");
    Condition labels;
    const at::Tensor items = data.get(index, noise, labels).to(at::kDouble);
    const auto map = space.affine();
    const at::Tensor x =
        (map ? items : space.encode(items, nullptr).to(at::kCPU, at::kDouble)).flatten(1);
    return at::cdist(x, x).max().item<double>() * (map ? map->scale : 1);
  }
  /// Technique 2.
  void choose_levels(const Setting& setting) {
    double dim = 1;
    for (const auto n : setting.shape) dim *= static_cast<double>(n);
    double low = 1, high = 100;  // the ratio of neighbours: the overlap falls as it grows
    for (int i = 0; i < 200; ++i)
      ((overlap(0.5 * (low + high), dim) > overlap_) ? low : high) = 0.5 * (low + high);
    L_ = 1 + std::max<std::int64_t>(1, std::llround(std::log(top_ / sigma_min_) / std::log(low)));
  }
  static double overlap(double ratio, double dim) {
    const auto normal = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
    const double shift = std::sqrt(2 * dim) * (ratio - 1);
    return normal(shift + 3 * ratio) - normal(shift - 3 * ratio);
  }

  std::int64_t L_ = 10;
  double overlap_ = 0;
  double sigma_min_ = 0.01, top_ = 1;
  NumberOrWord sigma_max_ = 1.0;
};
}  // namespace
SCORELAB_PLUGIN(NcsnLadder, scheduler, "ncsn-ladder", "1.0.0",
                "noise levels in geometric progression")
