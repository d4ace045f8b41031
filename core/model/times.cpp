#include <ATen/ATen.h>
#include <scorelab/error.h>
#include <scorelab/times.h>

#include <algorithm>
#include <cmath>

namespace scorelab {

PerRow::PerRow(std::vector<double> rows) : values_(std::move(rows)), shared_(false) {
  if (values_.empty()) throw Error("a PerRow needs at least one row");
}

PerRow PerRow::from(const at::Tensor& column) {
  const at::Tensor host = column.detach().to(at::kCPU, at::kDouble).contiguous().view(-1);
  const double* data = host.const_data_ptr<double>();
  return PerRow(std::vector<double>(data, data + host.numel()));
}

double PerRow::one() const {
  if (!shared_) throw Error("one value was asked for, but each row has its own");
  return values_[0];
}

bool PerRow::any() const {
  return std::any_of(values_.begin(), values_.end(), [](double v) { return v != 0; });
}

double PerRow::max_value() const { return *std::max_element(values_.begin(), values_.end()); }

at::Tensor PerRow::vector(std::int64_t rows, const at::TensorOptions& options) const {
  if (shared_) return at::full({rows}, values_[0], options);
  TORCH_CHECK(static_cast<std::int64_t>(values_.size()) == rows, "a PerRow of ", values_.size(),
              " rows meets a batch of ", rows);
  return at::from_blob(const_cast<double*>(values_.data()), {rows}, at::kDouble)
      .to(options, false, true);
}

at::Tensor PerRow::column(const at::Tensor& like) const {
  std::vector<std::int64_t> shape(like.dim(), 1);
  shape[0] = like.size(0);
  return vector(like.size(0), like.options().requires_grad(false)).view(shape);
}

at::Tensor PerRow::times(const at::Tensor& x) const {
  return shared_ ? x * values_[0] : x * column(x);
}

void PerRow::same_length(const PerRow& other) const {
  if (values_.size() != other.values_.size())
    throw Error("two PerRow values have " + std::to_string(values_.size()) + " and " +
                std::to_string(other.values_.size()) + " rows");
}

PerRow pow(const PerRow& a, double exponent) {
  return a.map([exponent](double x) { return std::pow(x, exponent); });
}
PerRow sqrt(const PerRow& a) {
  return a.map([](double x) { return std::sqrt(x); });
}
PerRow exp(const PerRow& a) {
  return a.map([](double x) { return std::exp(x); });
}
PerRow log(const PerRow& a) {
  return a.map([](double x) { return std::log(x); });
}
PerRow expm1(const PerRow& a) {
  return a.map([](double x) { return std::expm1(x); });
}

PerRow where(const PerRow& test, const PerRow& a, const PerRow& b) {
  const PerRow left = PerRow::zip(test, a, [](double t, double x) { return t != 0 ? x : 0.0; });
  const PerRow right = PerRow::zip(test, b, [](double t, double x) { return t != 0 ? 0.0 : x; });
  return PerRow::zip(left, right,
                     [](double x, double y) { return x == 0 ? y : (y == 0 ? x : x + y); });
}

at::Tensor where(const PerRow& test, const at::Tensor& a, const at::Tensor& b) {
  if (test.shared()) return test.one() != 0 ? a : b;
  return at::where(test.column(a) != 0, a, b);
}

at::Tensor combine(const PerRow& a, const at::Tensor& x, const PerRow& b, const at::Tensor& y) {
  if (a.shared() || b.shared()) return a * x + b * y;
  a.same_length(b);
  std::vector<double> both = a.values_;
  both.insert(both.end(), b.values_.begin(), b.values_.end());
  const PerRow all(std::move(both));
  std::vector<std::int64_t> shape(x.dim(), 1);
  shape[0] = x.size(0);
  const at::Tensor columns = all.vector(2 * x.size(0), x.options().requires_grad(false));
  return x * columns.narrow(0, 0, x.size(0)).view(shape) +
         y * columns.narrow(0, x.size(0), x.size(0)).view(shape);
}

at::Tensor row_dot(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor product = (a * b).flatten(1);
  // Two threads split a single row otherwise, and its sum has other bits than the same row in a
  // batch.
  if (product.size(0) == 1) return at::cat({product, product}).sum(1).narrow(0, 0, 1);
  return product.sum(1);
}

}  // namespace scorelab
