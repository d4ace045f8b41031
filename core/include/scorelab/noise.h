#pragma once
#include <scorelab/times.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace scorelab {

/// The only source of randomness. The n-th draw of a row in a stream is a function of (seed,
/// stream, sample, n) alone, whatever the batch, the neighbours or the device: Philox 4x32-10
/// (Salmon et al. 2011), key = hash(seed, stream path), counter = (element/4, n, sample).
/// Move-only; made by the host for one call.
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

  /// W(t) - W(s) of a standard Brownian motion of each row, W(0) = 0, in like's shape: a function
  /// of (seed, stream, sample, s, t) alone, so that asking again gives the same and adjoining
  /// intervals add up. By bisection to 2^-30 of an interval: some 60 normals an element.
  at::Tensor brownian(const at::Tensor& like, const Times& s, const Times& t) const;
  /// This stream for one step from t down to s: normal() is the increment of a Brownian path over
  /// sqrt(t - s), another path for each draw of the step, so that runs with other step counts
  /// follow the same paths. Rows with t = s draw as usual.
  Noise along(const Times& t, const Times& s) const;

  /// An independent stream; opening the same (name, index) twice throws. Its rows are the samples
  /// first, first + 1, .., where `first` is given: for draws that several samples share. Scripted
  /// noise, which is of its samples, throws then.
  Noise stream(std::string_view name, std::int64_t index = 0,
               std::optional<std::int64_t> first = std::nullopt) const;
  /// This stream for the rows that are not 0: the others draw 0 and keep their count. Counts are
  /// shared with this one.
  Noise rows(const PerRow& active) const;

  /// Draws that are given instead: `script(like, law, path, n)` is the n-th draw of the stream
  /// `path`. For replaying recorded noise, and for probing what a sampler does with its draws.
  enum class Law { normal, uniform, sign };
  using Script = std::function<at::Tensor(const at::Tensor& like, Law law, std::string_view path,
                                          std::int64_t n)>;
  static Noise scripted(Script script);

 private:
  friend class Run;  // a slot's stream is drawn from for the rows of the run that steps
  struct State;
  struct Along;
  Noise(std::shared_ptr<State> state, PerRow active);
  at::Tensor draw(const at::Tensor& like, Law law);
  at::Tensor path_at(const at::Tensor& like, const PerRow& path, const Times& t) const;
  at::Tensor path_between(const at::Tensor& like, const PerRow& path, const Times& s,
                          const Times& t) const;

  std::shared_ptr<State> state_;
  PerRow active_ = 1;
  std::shared_ptr<Along> along_;
};

}  // namespace scorelab
