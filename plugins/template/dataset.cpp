#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <vector>

namespace {
using namespace scorelab;

/// Images of one white bar each: class 0 lies, class 1 stands. An `Images` stores bytes, and has
/// the parameters range, flip, dequantise and limit. Data that are no images, or that are drawn
/// afresh, derive from DataSet, which asks for size, shape and get.
class Template final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p("side", side_, "pixels a side").range(2, 1024);
    // of your own: p("file", file_, "the images").file().required(), which read_bytes reads
  }
  /// Called once, before anything else is asked for: reads and checks what is stored.
  void prepare(const Setting&) override {
    at::Tensor bytes = at::zeros({2 * side_, 1, side_, side_}, at::kByte);
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < side_; ++i) {
      bytes[2 * i].select(1, i).fill_(255);
      bytes[2 * i + 1].select(2, i).fill_(255);
      labels.insert(labels.end(), {0, 1});
    }
    store(bytes, labels, 255);
  }

 private:
  std::int64_t side_ = 8;
};
}  // namespace
SCORELAB_PLUGIN(Template, dataset, "template", "0.1.0", "bars; write what it is")
