#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/metric.h>
#include <scorelab/plugin.h>

#include <numeric>

namespace {
using namespace scorelab;

/// Whether samples are copies of training data. A sample counts as memorised where its nearest item
/// is closer than a third of the distance to the next (Yoon et al. 2023). Beside it the mean
/// distance to the nearest item, over that of the items among themselves: 1 for fresh data, 0 for
/// copies. Items are as the data set gives them: with `flip` or `dequantise` each is one draw of
/// what it may be.
class NearestNeighbour final : public Metric {
 public:
  void params(Params& p) override {
    space_.params(p);
    p("ratio", ratio_,
      "memorised: nearest item closer than this share of the distance to the second nearest")
        .range(0, 1);
    p.needs("items", "it looks for the nearest of finitely many items");
  }
  void prepare(const Setting& setting) override {
    space_.prepare(setting);
    data_ = setting.data;
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    std::vector<std::int64_t> all(static_cast<std::size_t>(data_->size()));
    if (all.size() < 2) throw Error("the data set has fewer than two items");
    std::iota(all.begin(), all.end(), 0);
    Noise noise = m.noise.stream("items");
    Condition condition;
    const at::Tensor items = space_(data_->get(all, noise, condition));
    // [rows, k], by parts: a whole matrix may not fit
    const auto nearest = [&items](const at::Tensor& x, std::int64_t k) {
      std::vector<at::Tensor> parts;
      for (const auto& part : x.split(1000))
        parts.push_back(std::get<0>(at::cdist(part, items).topk(k, 1, false)));
      return at::cat(parts);
    };
    const at::Tensor own = nearest(space_(m.samples), 2), among = nearest(items, 2).select(1, 1);
    return {{"", (own.select(1, 0).mean() / among.mean()).item<double>(), "1", "none",
             "distance to the nearest item, over that among the items"},
            {"memorised",
             (own.select(1, 0) < ratio_ * own.select(1, 1)).to(at::kDouble).mean().item<double>(),
             "1", "none", "share of the samples that are near copies of one item"}};
  }

 private:
  FeatureSpace space_;
  double ratio_ = 1 / 3.;
  const DataSet* data_ = nullptr;
};
}  // namespace
SCORELAB_PLUGIN(NearestNeighbour, metric, "nearest-neighbour", "1.0.0",
                "whether samples are copies of training data")
