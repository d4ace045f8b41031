#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// Images in LeCun's IDX format, plain or gzip: MNIST, Fashion-MNIST. Big-endian header: 2051,
/// count, rows, columns. Labels are read where their file is there.
class Idx final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p("set", set_, "the folder in the data path: mnist, fashion-mnist, or your own");
    p("split", split_, "train: train-images-idx3-ubyte; test: t10k-images-idx3-ubyte")
        .one_of({"train", "test"});
    for (const auto& [split, stem] : {std::pair{"train", "train"}, {"test", "t10k"}}) {
      p.reads(std::string("{set}/") + stem + "-images-idx3-ubyte").when("split", {split});
      p.reads(std::string("{set}/") + stem + "-labels-idx1-ubyte")
          .optional()
          .when("split", {split});
    }
  }
  void prepare(const Setting&) override {
    const std::string stem = set_ + "/" + (split_ == "train" ? "train" : "t10k");
    const auto file = found(stem + "-images-idx3-ubyte");
    const std::string head = read_head(*file, 16);
    const std::uint64_t n = word(head, 4), rows = word(head, 8), columns = word(head, 12);
    if (head.size() < 16 || word(head, 0) != 2051)
      throw Error(
          file->string() +
          " is not an IDX file of images: expected 16 bytes of header that begin with 2051, got " +
          std::to_string(head.size()) + " that begin with " + std::to_string(word(head, 0)));
    if (n == 0 || rows == 0 || columns == 0)
      throw Error(file->string() + " holds no images: its header says " + std::to_string(n) +
                  " images of " + std::to_string(rows) + " x " + std::to_string(columns));
    const std::string images = body(*file, 16, {n, rows, columns});
    const auto signed_ = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    at::Tensor bytes = at::empty({signed_(n), 1, signed_(rows), signed_(columns)}, at::kByte);
    std::memcpy(bytes.data_ptr(), images.data() + 16, images.size() - 16);
    store(bytes, labels_of(stem + "-labels-idx1-ubyte", n), 255);
  }

 private:
  /// None where there is no such file: images are of use without.
  static std::vector<std::int64_t> labels_of(const std::string& name, std::uint64_t images) {
    const auto file = found(name, false);
    if (!file) return {};
    const std::string head = read_head(*file, 8);
    if (head.size() < 8 || word(head, 0) != 2049 || word(head, 4) != images)
      throw Error(file->string() + " does not hold the labels of these images: expected 2049 and " +
                  std::to_string(images) + " labels in its header, got " +
                  std::to_string(word(head, 0)) + " and " + std::to_string(word(head, 4)));
    const std::string all = body(*file, 8, {images});
    std::vector<std::int64_t> out;
    for (std::size_t i = 8; i < all.size(); ++i) out.push_back(static_cast<unsigned char>(all[i]));
    return out;
  }
  /// The whole file, which holds as many bytes behind its header as that says, and no more are
  /// unpacked.
  static std::string body(const std::filesystem::path& file, std::uint64_t header,
                          const std::vector<std::uint64_t>& counts) {
    // gzip packs to a thousandth at best
    const std::uint64_t on_disk = std::filesystem::file_size(file), most = 1100 * on_disk;
    std::uint64_t bytes = 1;
    std::string product;
    for (const std::uint64_t count : counts) {
      product += (product.empty() ? "" : " x ") + std::to_string(count);
      bytes = count != 0 && bytes > most / count ? most : bytes * count;
    }
    const std::string what = file.string() + " is not the IDX file that its header describes: " +
                             std::to_string(header) + " + " + product + " bytes are expected";
    if (bytes >= most)
      throw Error(what + ", and it has " + std::to_string(on_disk) + ", packed or not");
    std::string out = read_bytes(file, header + bytes);
    if (out.size() != header + bytes)
      throw Error(what + ", and there are " + std::to_string(out.size()));
    return out;
  }
  /// Packed or plain; empty where it is not there and need not be.
  static std::optional<std::filesystem::path> found(const std::string& name, bool needed = true) {
    for (const char* suffix : {".gz", ""}) try {
        return find_data(name + suffix);
      } catch (const Error&) {
        if (needed && !*suffix) throw;
      }
    return {};
  }
  /// Big-endian; 0 where the bytes end before.
  static std::uint64_t word(const std::string& s, std::size_t at) {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < 4 && s.size() >= at + 4; ++i)
      out = out << 8 | static_cast<unsigned char>(s[at + i]);
    return out;
  }

  std::string set_ = "mnist", split_ = "train";
};
}  // namespace
SCORELAB_PLUGIN(Idx, dataset, "idx", "1.0.0", "MNIST and Fashion-MNIST files (IDX)")
