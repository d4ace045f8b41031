#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <memory>

namespace scorelab {

DataSet::~DataSet() = default;
std::optional<Law> DataSet::exact() const { return {}; }
Affine DataSet::to_model() const { return {}; }
std::vector<ConditionType> DataSet::conditions() const { return {}; }
void DataSet::state(State&) {}
Grey DataSet::grey() const { return {}; }

Images::~Images() = default;

void Images::params(Params& p) {
  p("range", range_,
    "what black and white are for the model; samples and metrics are in data units, [0, 1]");
  p("flip", flip_, "mirrors half of the training images left to right");
  p("dequantise", dequantise_, "adds uniform noise of one grey level: (byte + u)/levels");
  p("limit", limit_, "so many of the images, evenly spread over all; 0: all of them").range(0, 1e9);
  p.gives("bounds");
  p.gives("images");
  p.gives("items");
}

std::vector<ConditionType> Images::conditions() const {
  if (labels_.empty()) return {};
  return {class_label(1 + *std::max_element(labels_.begin(), labels_.end()))};
}

void Images::check() const {
  if (range_.size() != 2 || !(range_[0] < range_[1]))
    throw Error("`range` takes two increasing numbers, such as [-1.0, 1.0]");
}

void Images::store(at::Tensor bytes, std::vector<std::int64_t> labels, std::int64_t top) {
  if (bytes.dim() != 4 || bytes.numel() == 0)
    throw Error(c10::str("there are no images in it: their shape is ", bytes.sizes()));
  if (!labels.empty() && static_cast<std::int64_t>(labels.size()) != bytes.size(0))
    throw Error(c10::str("it has ", labels.size(), " labels for ", bytes.size(0), " images"));
  bytes_ = std::move(bytes);
  labels_ = std::move(labels);
  top_ = top;
}

std::int64_t Images::size() const {
  return limit_ > 0 ? std::min(limit_, bytes_.size(0)) : bytes_.size(0);
}

at::Tensor Images::get(const std::vector<std::int64_t>& index, Noise& noise,
                       Condition& condition) const {
  at::Tensor rows = at::tensor(index, at::kLong);
  if (size() < bytes_.size(0)) rows = at::div(rows * bytes_.size(0), size(), "floor");
  at::Tensor x = bytes_.index_select(0, rows).to(at::kFloat);
  if (dequantise_) {
    x = (x + noise.uniform(x)) / static_cast<double>(top_ + 1);
  } else {
    x = x / static_cast<double>(top_);
  }
  if (flip_)
    x = at::where(noise.sign(x.flatten(1).narrow(1, 0, 1)).view({-1, 1, 1, 1}) > 0, x, x.flip({3}));
  if (!labels_.empty()) {
    // a view: copying a million labels for each batch would take longer than the batch
    const at::Tensor all = at::from_blob(const_cast<std::int64_t*>(labels_.data()),
                                         {static_cast<std::int64_t>(labels_.size())}, at::kLong);
    condition["label"] = all.index_select(0, rows);
  }
  return x;
}

namespace {

/// Reads a file, decompressed where it is gzip (one member after another), up to `count` bytes.
/// zlib's own gzread takes a stream that is cut short for a whole one where its data end with a
/// block.
std::string read_up_to(const std::filesystem::path& file, std::uint64_t count) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) throw Error("cannot open " + file.string());
  const auto damaged = [&](const std::string& why) {
    return Error(file.string() + " is damaged: " + why);
  };
  std::string out;
  std::vector<char> packed(1 << 16), unpacked(1 << 16);
  const auto next = [&] {
    in.read(packed.data(), static_cast<std::streamsize>(packed.size()));
    if (in.bad()) throw Error("cannot read " + file.string());
    return static_cast<std::size_t>(in.gcount());
  };
  std::size_t n = next();
  if (n < 2 || packed[0] != '\x1f' || packed[1] != '\x8b') {
    for (; n > 0 && out.size() < count; n = next())
      out.append(packed.data(), std::min<std::uint64_t>(n, count - out.size()));
    return out;
  }
  z_stream z{};
  if (inflateInit2(&z, 15 + 16) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&z, inflateEnd);
  bool whole = false;  // the member that is being read
  for (; n > 0 && out.size() < count; n = next()) {
    z.next_in = reinterpret_cast<Bytef*>(packed.data());
    z.avail_in = static_cast<uInt>(n);
    while (out.size() < count) {
      if (whole && z.avail_in == 0) break;
      if (whole) {
        inflateReset(&z);
        whole = false;
      }
      z.next_out = reinterpret_cast<Bytef*>(unpacked.data());
      z.avail_out = static_cast<uInt>(std::min<std::uint64_t>(unpacked.size(), count - out.size()));
      const uInt room = z.avail_out;
      const int status = inflate(&z, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        throw damaged("it does not decompress");
      out.append(unpacked.data(), room - z.avail_out);
      whole = status == Z_STREAM_END;
      if (!whole && z.avail_in == 0 && z.avail_out > 0) break;  // it wants more of the file
    }
  }
  if (out.size() < count && !whole)
    throw damaged("it is cut short, and does not decompress to its end");
  return out;
}

}  // namespace

std::string read_bytes(const std::filesystem::path& file, std::uint64_t limit) {
  std::string out = read_up_to(file, limit + 1);
  if (out.size() > limit)
    throw Error(file.string() + " holds more than " + std::to_string(limit) + " bytes" +
                (std::filesystem::file_size(file) <= limit ? ", unpacked" : "") +
                ": it is not what its format allows");
  return out;
}

std::string read_head(const std::filesystem::path& file, std::size_t count) {
  return read_up_to(file, count);
}

}  // namespace scorelab
