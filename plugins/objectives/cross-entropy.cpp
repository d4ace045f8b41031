#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/objective.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// The negative log-likelihood, in nats, of a sample's class. With `noise` of x_t at every t, for
/// guiding (Dhariwal & Nichol 2021, section 4); without, of the clean sample, for features.
class CrossEntropy final : public Objective {
 public:
  void params(Params& p) override {
    p("noise", noise_, "whether the classifier is shown x_t at every t, or the clean sample");
    const std::size_t own = p.specs.size();
    times.params(p);
    for (std::size_t i = own; i < p.specs.size(); ++i) p.specs[i]->when("noise", {"true"});
    p.needs("classifies", "it teaches a classifier");
    p.needs("labels", "it teaches the labels of the data");
  }
  void prepare(const Setting& setting) override {
    if (setting.data && classes_of(setting.data->conditions()) == 0)
      throw Error(
          "it teaches labels, but these data have none (of images: is the file of labels there?)");
  }
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const Classified said =
        noise_ ? run.model.classify(b.x, b.t) : run.model.classify(b.x0, run.scheduler.t_min());
    return -said.logits.log_softmax(1).gather(1, b.condition.at("label").unsqueeze(1)).squeeze(1);
  }

 private:
  bool noise_ = true;
};
}  // namespace
SCORELAB_PLUGIN(CrossEntropy, objective, "cross-entropy", "1.0.0",
                "teaches a classifier the labels of the data")
