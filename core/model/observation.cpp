#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/observation.h>

#include <cmath>

namespace scorelab {

void Observation::params(Params& p) {
  p("observe", observe_,
    "what is known of a clean sample. first: its first elements, of an image the upper rows; left: "
    "the left part of an image; outside: all but a box in the middle; random: pixels chosen once; "
    "grey: the mean of the channels; blocks: means of square blocks")
      .one_of({"first", "left", "outside", "random", "grey", "blocks"});
  p("share", share_, "of the sample that is known")
      .range(0, 1)
      .when("observe", {"first", "left", "outside", "random"});
  p("factor", factor_, "pixels a side of a block").range(1, 4096).when("observe", {"blocks"});
  p("values", values_,
    "the clean sample that is observed, all its elements in data units; empty: another draw of the "
    "data for each sample");
  p("noise", noise_, "standard deviation of the observation's noise, in the model's units")
      .range(0, 1e9);
  p.needs("images", "it is observed by rows, columns and channels")
      .when("observe", {"left", "outside", "grey", "blocks"});
}

void Observation::prepare(const Setting& setting) {
  shape_ = setting.shape;
  if (observe_ == "blocks" && (shape_[1] % factor_ != 0 || shape_[2] % factor_ != 0))
    throw Error("`factor` = " + std::to_string(factor_) + " does not divide the image of " +
                std::to_string(shape_[1]) + " x " + std::to_string(shape_[2]));
  if (observe_ != "grey" && observe_ != "blocks") mask_ = mask().to(setting.options).unsqueeze(0);
  if (values_.empty()) return;
  if (!setting.space) throw Error("`values` are in data units, and the space is not known here");
  // an affine map keeps the shape
  const auto item = setting.space->affine() ? shape_ : setting.data->shape();
  std::vector<std::int64_t> one{1};
  std::int64_t size = 1;
  for (const auto n : item) {
    one.push_back(n);
    size *= n;
  }
  if (static_cast<std::int64_t>(values_.size()) != size)
    throw Error("`values` holds " + std::to_string(values_.size()) + " numbers; a sample has " +
                std::to_string(size));
  given_ = setting.space->encode(at::tensor(values_, at::kDouble).view(one), nullptr)
               .to(setting.options);
}

/// 1 where the clean sample is known, in its shape.
at::Tensor Observation::mask() const {
  const auto part = [](double share, std::int64_t of) {
    return std::llround(share * static_cast<double>(of));
  };
  at::Tensor out = at::zeros(shape_, at::kDouble);
  if (observe_ == "first" && shape_.size() == 3) {
    out.narrow(1, 0, part(share_, shape_[1])).fill_(1);
  } else if (observe_ == "first") {
    out.view(-1).narrow(0, 0, part(share_, out.numel())).fill_(1);
  } else if (observe_ == "left") {
    out.narrow(2, 0, part(share_, shape_[2])).fill_(1);
  } else if (observe_ == "outside") {
    const double side = std::sqrt(1 - share_);
    const std::int64_t h = part(side, shape_[1]), w = part(side, shape_[2]);
    out.fill_(1).narrow(1, (shape_[1] - h) / 2, h).narrow(2, (shape_[2] - w) / 2, w).fill_(0);
  } else {
    std::vector<std::int64_t> pixels = shape_;
    if (pixels.size() == 3) pixels[0] = 1;
    Noise chosen(0, "observation");
    out = (chosen.uniform(at::empty(pixels, at::kDouble).unsqueeze(0)).squeeze(0) < share_)
              .to(at::kDouble)
              .expand(shape_)
              .contiguous();
  }
  return out;
}

/// Means as sums over slices, element by element: their bits do not depend on the batch.
at::Tensor Observation::project(const at::Tensor& x) const {
  if (mask_.defined()) return mask_ * x;
  at::Tensor sum = at::zeros_like(x.narrow(1, 0, 1));
  if (observe_ == "grey") {
    for (std::int64_t c = 0; c < x.size(1); ++c) sum = sum + x.narrow(1, c, 1);
    return (sum / static_cast<double>(x.size(1))).expand_as(x);
  }
  const std::int64_t f = factor_, h = x.size(2) / f, w = x.size(3) / f;
  const at::Tensor blocks = x.view({x.size(0), x.size(1), h, f, w, f});
  sum = at::zeros_like(blocks.select(5, 0).select(3, 0));
  for (std::int64_t i = 0; i < f; ++i)
    for (std::int64_t j = 0; j < f; ++j) sum = sum + blocks.select(5, j).select(3, i);
  return (sum / static_cast<double>(f * f)).repeat_interleave(f, 2).repeat_interleave(f, 3);
}

const at::Tensor& Observation::of(GuideRun& run, const at::Tensor& like) const {
  struct Known {
    at::Tensor y;
  };
  at::Tensor& y = run.memory<Known>().y;
  if (!y.defined()) {
    y = project(given_.defined() ? given_.expand_as(like) : run.clean());
    if (noise_ > 0) {
      Noise draws = run.noise.stream("observation");  // of every row, on or off
      y = y + noise_ * project(draws.normal(like));
    }
  }
  return y;
}

}  // namespace scorelab
