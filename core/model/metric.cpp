#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/metric.h>
#include <scorelab/network.h>

#include <algorithm>

namespace scorelab {

Metric::~Metric() = default;
std::int64_t Metric::needs_samples(const std::vector<std::int64_t>&) const { return 1; }

Items::Items(at::Tensor all) {
  if (!all.defined()) return;
  size_ = all.size(0);
  shape_ = all.sizes().slice(1).vec();
  read_ = [all = std::move(all)](std::int64_t first, std::int64_t count) {
    return all.narrow(0, first, count);
  };
}

Items::Items(std::int64_t size, std::vector<std::int64_t> shape, Read read)
    : size_(size), shape_(std::move(shape)), read_(std::move(read)) {}

at::Tensor Items::rows(std::int64_t first, std::int64_t count) const {
  if (first < 0 || count < 0 || first + count > size_)
    throw Error(fmt::format("it asks for the items {} to {}, and there are {}", first,
                            first + count - 1, size_));
  return read_ ? read_(first, count) : at::Tensor();
}

Items Items::head(std::int64_t count) const {
  Items out = *this;
  out.size_ = std::min(size_, count);
  return out;
}

void Items::in_batches(const std::function<void(const at::Tensor&)>& f) const {
  constexpr std::int64_t bytes = std::int64_t{64} << 20;
  const std::int64_t batch = std::max<std::int64_t>(
      1, bytes / std::max<std::int64_t>(1, 8 * c10::multiply_integers(shape_)));
  for (std::int64_t first = 0; first < size_; first += batch)
    f(rows(first, std::min(batch, size_ - first)));
}

void RunningMoments::add(const at::Tensor& x) {
  const at::Tensor mean = x.mean(0), centred = x - mean, scatter = centred.t().matmul(centred);
  const std::int64_t before = count_;
  count_ += x.size(0);
  if (before == 0) {
    mean_ = mean;
    scatter_ = scatter;
    return;
  }
  const at::Tensor off = mean - mean_;
  const double share = static_cast<double>(x.size(0)) / static_cast<double>(count_);
  mean_ = mean_ + off * share;
  scatter_ = (scatter_ + scatter).addr_(off, off, 1, static_cast<double>(before) * share);
}

at::Tensor RunningMoments::covariance() const {
  if (count_ < 2) throw Error("a covariance takes two samples at least");
  return scatter_ / static_cast<double>(count_ - 1);
}

void OnModel::params(Params& p) {
  p("weights", weights_, "which average of the weights is measured; 0: the weights themselves")
      .range(0, 0.9999999);
  p("count", count_, "fresh draws of the data at which it is measured").range(1, 1e9);
  p.gives("on-model");
}

void FeatureSpace::params(Params& p) {
  p("features", features_,
    "a classifier in [models] whose last hidden layer gives the features to compare; none: the "
    "samples' own values");
}

at::Tensor FeatureSpace::operator()(const at::Tensor& x) const {
  if (!features_) return x.flatten(1).to(at::kDouble);
  const at::Tensor in = features_.alone().space().encode(x, nullptr).to(options_);
  return features_.alone()
      .classify(in, features_.alone().scheduler().t_min())
      .features.to(at::kCPU, at::kDouble);
}

at::Tensor FeatureSpace::operator()(const Items& items) const {
  std::vector<at::Tensor> parts;
  items.in_batches([&](const at::Tensor& batch) { parts.push_back((*this)(batch)); });
  if (parts.empty()) throw Error("there are no items to measure");
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

std::int64_t FeatureSpace::dimensions(const std::vector<std::int64_t>& shape) const {
  std::vector<std::int64_t> one{1};
  one.insert(one.end(), shape.begin(), shape.end());
  return (*this)(at::zeros(one, at::kDouble)).size(1);
}

RunningMoments FeatureSpace::moments(const Items& items) const {
  RunningMoments out;
  items.in_batches([&](const at::Tensor& batch) { out.add((*this)(batch)); });
  if (out.count() < 2) throw Error("a covariance takes two samples at least");
  return out;
}

}  // namespace scorelab
