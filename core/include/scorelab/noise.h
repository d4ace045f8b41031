#pragma once
#include <scorelab/times.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace scorelab {

/// The only source of randomness. The n-th draw of a row in a stream is a function of (seed, stream, sample, n) alone, whatever the
/// batch, the neighbours or the device: Philox 4x32-10 (Salmon et al. 2011), key = hash(seed, stream path), counter =
/// (element/4, n, sample). Move-only; made by the host for one call.
class Noise {
 public:
  /// Rows of later draws are the samples first, first + 1, ..
  Noise(std::uint64_t seed, std::string_view path, std::int64_t first = 0);
  Noise(Noise&&) noexcept;
  Noise& operator=(Noise&&) noexcept;
  ~Noise();

  // The next draw of this stream for each (active) row, in the shape, dtype and device of `like`.
  at::Tensor normal(const at::Tensor& like);   ///< standard normal
  at::Tensor uniform(const at::Tensor& like);  ///< in (0, 1)
  at::Tensor sign(const at::Tensor& like);     ///< -1 or 1, equally likely

  /// An independent stream; opening the same (name, index) twice throws.
  Noise stream(std::string_view name, std::int64_t index = 0) const;
  /// This stream for the rows that are not 0: the others draw 0 and keep their count. Counts are shared with this one.
  Noise rows(const PerRow& active) const;

 private:
  struct State;
  enum class Law { normal, uniform, sign };
  Noise(std::shared_ptr<State> state, PerRow active);
  at::Tensor draw(const at::Tensor& like, Law law);

  std::shared_ptr<State> state_;
  PerRow active_ = 1;
};

}  // namespace scorelab
