#pragma once
#include <ATen/ATen.h>

#include <cstddef>
#include <type_traits>
#include <vector>

namespace scorelab {

/// One double, or one double for each row of a batch, on the host: times, coefficients and step
/// sizes. A shared value combines with any number of rows; two lists must have the same length.
class PerRow {
 public:
  PerRow(double value = 0) : values_{value} {}  // NOLINT: a double is a PerRow
  explicit PerRow(std::vector<double> rows);
  /// From a tensor with one element a row, such as Run::rms gives; waits for the device.
  static PerRow from(const at::Tensor& column);

  bool shared() const { return shared_; }
  /// The shared value; throws if the rows have their own.
  double one() const;
  double operator[](std::size_t row) const { return shared_ ? values_[0] : values_[row]; }
  std::size_t rows() const { return values_.size(); }
  /// Whether any row is not zero.
  bool any() const;
  double max_value() const;
  /// The values as [B, 1, .., 1] on like's device in like's dtype, B = like.size(0).
  at::Tensor column(const at::Tensor& like) const;
  /// The values as [B] of the given options.
  at::Tensor vector(std::int64_t rows, const at::TensorOptions& options) const;
  /// The same function of every value.
  template <class F>
  PerRow map(F&& f) const {
    PerRow out = *this;
    for (double& v : out.values_) v = f(v);
    return out;
  }
  template <class F>
  static PerRow zip(const PerRow& a, const PerRow& b, F&& f) {
    if (a.shared_) return b.map([&](double y) { return f(a.values_[0], y); });
    if (b.shared_) return a.map([&](double x) { return f(x, b.values_[0]); });
    a.same_length(b);
    PerRow out = a;
    for (std::size_t i = 0; i < out.values_.size(); ++i)
      out.values_[i] = f(a.values_[i], b.values_[i]);
    return out;
  }

  friend PerRow operator+(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return x + y; });
  }
  friend PerRow operator-(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return x - y; });
  }
  friend PerRow operator*(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return x * y; });
  }
  friend PerRow operator/(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return x / y; });
  }
  friend PerRow operator-(const PerRow& a) {
    return a.map([](double x) { return -x; });
  }
  /// Comparisons give 1 or 0.
  friend PerRow operator>(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return double(x > y); });
  }
  friend PerRow operator<(const PerRow& a, const PerRow& b) { return b > a; }
  friend PerRow operator<=(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return double(x <= y); });
  }
  friend PerRow operator>=(const PerRow& a, const PerRow& b) { return b <= a; }

  friend PerRow min(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return y < x ? y : x; });
  }
  friend PerRow max(const PerRow& a, const PerRow& b) {
    return zip(a, b, [](double x, double y) { return y > x ? y : x; });
  }
  friend PerRow pow(const PerRow& a, double exponent);
  friend PerRow sqrt(const PerRow& a);
  friend PerRow square(const PerRow& a) { return a * a; }
  friend PerRow exp(const PerRow& a);
  friend PerRow log(const PerRow& a);
  friend PerRow expm1(const PerRow& a);
  /// a + (b - a) c, and exactly b at c = 1.
  friend PerRow lerp(const PerRow& a, const PerRow& b, double c) {
    return zip(a, b, [c](double x, double y) { return c == 1 ? y : x + (y - x) * c; });
  }
  friend PerRow where(const PerRow& test, const PerRow& a, const PerRow& b);
  /// Row by row; both tensors have one shape.
  friend at::Tensor where(const PerRow& test, const at::Tensor& a, const at::Tensor& b);

  /// Products with each row of a tensor. A quotient is the product with the double reciprocal: one
  /// rounding everywhere.
  friend at::Tensor operator*(const PerRow& a, const at::Tensor& x) { return a.times(x); }
  friend at::Tensor operator*(const at::Tensor& x, const PerRow& a) { return a.times(x); }
  friend at::Tensor operator/(const at::Tensor& x, const PerRow& a) {
    return a.map([](double v) { return 1 / v; }).times(x);
  }
  /// a x + b y, the same bits; both coefficients reach the device in one transfer.
  friend at::Tensor combine(const PerRow& a, const at::Tensor& x, const PerRow& b,
                            const at::Tensor& y);

 private:
  at::Tensor times(const at::Tensor& x) const;
  void same_length(const PerRow& other) const;

  std::vector<double> values_;
  bool shared_ = true;
};

using Times = PerRow;

/// The inner product of each sample, over all its dimensions: [B]. Its bits do not depend on the
/// batch.
at::Tensor row_dot(const at::Tensor& a, const at::Tensor& b);

}  // namespace scorelab
