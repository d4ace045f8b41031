#pragma once
#include <scorelab/condition.h>
#include <scorelab/data_path.h>
#include <scorelab/law.h>
#include <scorelab/noise.h>
#include <scorelab/space.h>
#include <scorelab/state.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace scorelab {

/// What is known of the values of images: byte/(levels - 1), or (byte + u)/levels where they are
/// dequantised.
struct Grey {
  std::int64_t levels = 0;  ///< 0: the values are no grey levels
  bool dequantised = false;
};

/// Where samples come from. Values are in data units (images: [0, 1]); the experiment's space maps
/// them to the model's.
class DataSet : public Component {
 public:
  static constexpr const char* kind = "dataset";
  ~DataSet() override;
  /// The number of items; 0: drawn afresh for ever.
  virtual std::int64_t size() const = 0;
  /// The shape of one item: [D] or [C, H, W].
  virtual std::vector<std::int64_t> shape() const = 0;
  /// The items of these indices (not used where size() is 0) as [B, ..], float64 or float32, on the
  /// CPU. `noise` has a row for each: for drawing, dequantising, flipping. What conditions() says
  /// goes into `condition`, by name: each [B, ..its shape], on the CPU. In memory of their own:
  /// what was returned is read while the next items are got. In training this may be called from a
  /// thread of its own, before the step that the items are for.
  virtual at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                         Condition& condition) const = 0;
  /// The law, where it is a Gaussian mixture.
  virtual std::optional<Law> exact() const;
  /// The map to what the model sees, in experiments that name no space.
  virtual Affine to_model() const;
  /// What items come with beside their values, from prepare on; by default nothing. With `label` it
  /// gives "labels".
  virtual std::vector<ConditionType> conditions() const;
  virtual Grey grey() const;
  /// What it carries from one training step to the next; by default nothing. With a state, which
  /// must be named from the first visit on, items are got in their own step.
  virtual void state(State& s);
};

/// A data set of stored images, with its parameters range, flip, dequantise and limit. One of its
/// own adds parameters in params(), which calls this one's, and stores its images in prepare().
class Images : public DataSet {
 public:
  ~Images() override;
  void params(Params& p) override;
  void check() const override;
  /// bytes: [N, C, H, W] of 0 .. top, not empty. labels: one an image, or none at all.
  void store(at::Tensor bytes, std::vector<std::int64_t> labels, std::int64_t top);
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise,
                 Condition& condition) const override;
  std::int64_t size() const override;
  std::vector<std::int64_t> shape() const override { return bytes_.sizes().slice(1).vec(); }
  /// `label`: one class more than the largest one
  std::vector<ConditionType> conditions() const override;
  Affine to_model() const override { return {range_[1] - range_[0], range_[0]}; }
  Grey grey() const override { return {top_ + 1, dequantise_}; }

 private:
  std::vector<double> range_{-1, 1};
  bool flip_ = false, dequantise_ = false;
  std::int64_t limit_ = 0;
  at::Tensor bytes_;
  std::vector<std::int64_t> labels_;
  std::int64_t top_ = 255;
};

/// Bytes, of this shape, that are made of files once and lie in scorelab's cache from then on: they
/// are mapped, so that they need not fit into memory, and are not to be written. The key is the
/// contents of `files`, as find_files gave them, `settings`, which says all else that `fill`
/// depends on, and the shape. Throws Error where the cache cannot be written.
at::Tensor cached_bytes(const std::vector<std::filesystem::path>& files,
                        const std::string& settings, const std::vector<std::int64_t>& shape,
                        const std::function<void(at::Tensor& bytes)>& fill);

/// The bytes of a file, decompressed if it is gzip. More than `limit` of them, by default 8 GiB,
/// are refused with Error once so many were read: say what the format's header asks for, so that a
/// small file cannot unpack to all of the memory.
std::string read_bytes(const std::filesystem::path& file,
                       std::uint64_t limit = std::uint64_t{1} << 33);
/// The first `count` bytes, fewer where there are no more.
std::string read_head(const std::filesystem::path& file, std::size_t count);

}  // namespace scorelab
