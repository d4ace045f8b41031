#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cmath>
#include <vector>

namespace {
using namespace scorelab;

/// Uniform on the black fields of a board of `fields` x `fields` squares over [-`side`/2,
/// `side`/2]^2.
class Checkerboard final : public DataSet {
 public:
  void params(Params& p) override {
    p("fields", fields_, "squares a side; even").range(2, 1000);
    p("side", side_, "length of the board").range(1e-9, 1e9);
  }
  void check() const override {
    if (fields_ % 2)
      throw Error("`fields` must be even: as many black fields as white ones in each row");
  }
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    const at::Tensor like = at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble);
    const double n = static_cast<double>(fields_);
    const at::Tensor u = noise.uniform(like), pick = noise.uniform(like);
    const at::Tensor row = (pick.select(1, 0) * n).floor(),
                     pair = (pick.select(1, 1) * (n / 2)).floor();
    const at::Tensor column = 2 * pair + row.remainder(2);
    return (at::stack({column, row}, 1) + u) * (side_ / n) - side_ / 2;
  }

 private:
  std::int64_t fields_ = 4;
  double side_ = 4;
};
}  // namespace
SCORELAB_PLUGIN(Checkerboard, dataset, "checkerboard", "1.0.0", "the black fields of a chess board")
