#include <scorelab/initial.h>
#include <scorelab/plugin.h>

namespace {
using namespace scorelab;

/// Where a sampler starts: the prior, wider or narrower.
class Template final : public Initial {
 public:
  void params(Params& p) override {
    p("width", width_, "multiplies the prior's standard deviation").range(0.01, 100);
  }
  at::Tensor draw(const Start& start, Noise& noise) const override {
    return (width_ * start.scheduler.prior_std()) * noise.normal(start.like);
  }

 private:
  double width_ = 1;
};
}  // namespace
SCORELAB_PLUGIN(Template, initial, "template", "0.1.0", "a scaled prior; write what it is")
