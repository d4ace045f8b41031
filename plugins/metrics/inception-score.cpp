#include <ATen/ATen.h>
#include <scorelab/metric.h>
#include <scorelab/network.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cmath>

namespace {
using namespace scorelab;

/// exp(E KL(p(y | x) || p(y))) of a classifier's classes (Salimans et al. 2016): high where each
/// sample is clearly of one class, and all classes occur. It does not look at the data. With
/// Inception as the classifier this is the published score; with another it has that one's scale,
/// at most its number of classes. The mean over `splits` parts, each with a p(y) of its own.
class InceptionScore final : public Metric {
 public:
  void params(Params& p) override {
    p("classifier", classifier_, "a classifier in [models]").required();
    p("splits", splits_, "parts of the samples; the paper's 10 are of 5,000 each").range(1, 1000);
  }
  void prepare(const Setting& setting) override { options_ = setting.options; }
  std::int64_t needs_samples(const std::vector<std::int64_t>&) const override {
    return 100 * splits_;
  }
  std::vector<Measurement> measure(const Measured& m) const override {
    std::vector<at::Tensor> parts;
    m.samples.in_batches([&](const at::Tensor& x) { parts.push_back(log_probabilities(x)); });
    if (parts.empty()) throw Error("there are no samples to measure");
    const at::Tensor all = at::cat(parts);
    if (all.size(0) < splits_)
      throw Error("there are " + std::to_string(all.size(0)) + " samples for " +
                  std::to_string(splits_) + " splits");
    double sum = 0;
    for (std::int64_t i = 0; i < splits_; ++i) {
      const std::int64_t begin = i * all.size(0) / splits_, end = (i + 1) * all.size(0) / splits_;
      const at::Tensor own = all.narrow(0, begin, end - begin);
      const at::Tensor mean = at::logsumexp(own, 0) - std::log(static_cast<double>(end - begin));
      // xlogy's convention: a class of probability 0 adds nothing
      const at::Tensor p = own.exp(), terms = at::where(p > 0, p * (own - mean), 0 * p);
      sum += std::exp(terms.sum(1).mean().item<double>());
    }
    return {{"", sum / static_cast<double>(splits_), "1", "max",
             "exponential of the mean divergence of a sample's classes from all samples'"}};
  }

 private:
  at::Tensor log_probabilities(const at::Tensor& x) const {
    Model model = classifier_.alone();
    const at::Tensor in = model.space().encode(x, nullptr).to(options_);
    return model.classify(in, model.scheduler().t_min())
        .logits.to(at::kCPU, at::kDouble)
        .log_softmax(1);
  }

  ModelRef classifier_{"classifies"};
  std::int64_t splits_ = 10;
  at::TensorOptions options_;
};
}  // namespace
SCORELAB_PLUGIN(InceptionScore, metric, "inception-score", "1.0.0",
                "inception score, of a classifier in [models]")
