#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/initial.h>
#include <scorelab/metric.h>
#include <zlib.h>

#include <algorithm>

namespace scorelab {

DataSet::~DataSet() = default;
Initial::~Initial() = default;
std::optional<Moments> Initial::moments(const Start&) const { return std::nullopt; }
std::optional<Law> DataSet::exact() const { return {}; }
Affine DataSet::to_model() const { return {}; }
std::int64_t DataSet::classes() const { return 0; }
Grey DataSet::grey() const { return {}; }
Metric::~Metric() = default;
std::int64_t Metric::needs_samples(const std::vector<std::int64_t>&) const { return 1; }

void OnModel::params(Params& p) {
  p("weights", weights_, "which average of the weights is measured; 0: the weights themselves").range(0, 0.9999999);
  p("count", count_, "fresh draws of the data at which it is measured").range(1, 1e9);
  p.gives("on-model");
}

void FeatureSpace::params(Params& p) {
  p("features", features_, "a classifier of the manifest's models, in whose last hidden layer distances are taken; none: in the values");
}

at::Tensor FeatureSpace::operator()(const at::Tensor& x, const Affine& to_model) const {
  if (!features_) return x.flatten(1).to(at::kDouble);
  const at::Tensor in = (x * to_model.scale + to_model.shift).to(options_);
  return features_->classify(in, features_->scheduler().t_min()).features.to(at::kCPU, at::kDouble);
}

Images::~Images() = default;

void Images::params(Params& p) {
  p("range", range_, "what black and white are for the model; samples and metrics are in data units, [0, 1]");
  p("flip", flip_, "mirrors half of the training images left to right");
  p("dequantise", dequantise_, "adds uniform noise of one grey level: (byte + u)/levels");
  p.gives("bounds");
  p.gives("images");
  p.gives("items");
}

std::int64_t Images::classes() const { return labels_.empty() ? 0 : 1 + *std::max_element(labels_.begin(), labels_.end()); }

void Images::check() const {
  if (range_.size() != 2 || !(range_[0] < range_[1])) throw Error("`range` takes two increasing numbers, such as [-1.0, 1.0]");
}

void Images::store(at::Tensor bytes, std::vector<std::int64_t> labels, std::int64_t top) {
  if (bytes.dim() != 4 || bytes.numel() == 0) throw Error(c10::str("there are no images in it: their shape is ", bytes.sizes()));
  if (!labels.empty() && static_cast<std::int64_t>(labels.size()) != bytes.size(0))
    throw Error(c10::str("it has ", labels.size(), " labels for ", bytes.size(0), " images"));
  bytes_ = std::move(bytes);
  labels_ = std::move(labels);
  top_ = top;
}

at::Tensor Images::get(const std::vector<std::int64_t>& index, Noise& noise, Condition& condition) const {
  const at::Tensor rows = at::tensor(index, at::kLong);
  at::Tensor x = bytes_.index_select(0, rows).to(at::kFloat);
  if (dequantise_) {
    x = (x + noise.uniform(x)) / static_cast<double>(top_ + 1);
  } else {
    x = x / static_cast<double>(top_);
  }
  if (flip_) x = at::where(noise.sign(x.flatten(1).narrow(1, 0, 1)).view({-1, 1, 1, 1}) > 0, x, x.flip({3}));
  if (!labels_.empty()) condition["label"] = at::tensor(labels_, at::kLong).index_select(0, rows);
  return x;
}

namespace {

/// Up to `count` bytes, decompressed.
std::string read_up_to(const std::filesystem::path& file, std::uint64_t count) {
  gzFile in = std::filesystem::is_directory(file) ? nullptr : gzopen(file.c_str(), "rb");
  if (!in) throw Error("cannot open " + file.string());
  std::string out;
  char buffer[1 << 16];
  int n = 0;
  while (out.size() < count &&
         (n = gzread(in, buffer, static_cast<unsigned>(std::min<std::uint64_t>(sizeof buffer, count - out.size())))) > 0)
    out.append(buffer, static_cast<std::size_t>(n));
  const bool reached = n == 0 && gzeof(in);
  const int closed = gzclose(in);  // a stream that is cut short ends like a whole one, and only closing it says so
  const bool ok = out.size() == count || (reached && closed == Z_OK);
  if (!ok) throw Error(file.string() + " is damaged: it does not decompress to its end");
  return out;
}

}  // namespace

std::string read_bytes(const std::filesystem::path& file, std::uint64_t limit) {
  std::string out = read_up_to(file, limit + 1);
  if (out.size() > limit)
    throw Error(file.string() + " holds more than " + std::to_string(limit) + " bytes" +
                (std::filesystem::file_size(file) <= limit ? ", unpacked" : "") + ": it is not what its format allows");
  return out;
}

std::string read_head(const std::filesystem::path& file, std::size_t count) { return read_up_to(file, count); }

}  // namespace scorelab
