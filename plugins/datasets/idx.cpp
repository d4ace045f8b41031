#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// Images in LeCun's IDX format, plain or gzip: MNIST, Fashion-MNIST. Big-endian header: 2051, count, rows, columns.
class Idx final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p("set", set_, "the folder in the data path: mnist, fashion-mnist, or your own");
    p("split", split_, "train: train-images-idx3-ubyte; test: t10k-images-idx3-ubyte").one_of({"train", "test"});
    for (const auto& [split, stem] : {std::pair{"train", "train"}, {"test", "t10k"}}) {
      p.reads(std::string("{set}/") + stem + "-images-idx3-ubyte").when("split", {split});
      p.reads(std::string("{set}/") + stem + "-labels-idx1-ubyte").optional().when("split", {split});
    }
  }
  void prepare(const Setting&) override {
    const std::string stem = set_ + "/" + (split_ == "train" ? "train" : "t10k");
    const std::string images = read(stem + "-images-idx3-ubyte"), labels = read(stem + "-labels-idx1-ubyte");
    const auto n = word(images, 4), rows = word(images, 8), columns = word(images, 12);
    if (word(images, 0) != 2051 || static_cast<std::int64_t>(images.size()) != 16 + n * rows * columns)
      throw Error(stem + "-images-idx3-ubyte is not an IDX file of images: expected magic 2051 and " +
                  std::to_string(16 + n * rows * columns) + " bytes, got " + std::to_string(word(images, 0)) + " and " +
                  std::to_string(images.size()));
    if (word(labels, 0) != 2049 || static_cast<std::int64_t>(labels.size()) != 8 + n)
      throw Error(stem + "-labels-idx1-ubyte does not hold the labels of these images");
    at::Tensor bytes = at::empty({n, 1, rows, columns}, at::kByte);
    std::memcpy(bytes.data_ptr(), images.data() + 16, images.size() - 16);
    std::vector<std::int64_t> classes;
    for (std::size_t i = 8; i < labels.size(); ++i) classes.push_back(static_cast<unsigned char>(labels[i]));
    store(bytes, classes, 255);
  }

 private:
  static std::string read(const std::string& name) {
    try {
      return read_bytes(find_data(name + ".gz"));
    } catch (const Error&) {
      return read_bytes(find_data(name));
    }
  }
  static std::int64_t word(const std::string& s, std::size_t at) {
    if (s.size() < at + 4) return -1;
    std::int64_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<unsigned char>(s[at + i]);
    return out;
  }

  std::string set_ = "mnist", split_ = "train";
};
}  // namespace
SCORELAB_PLUGIN(Idx, dataset, "idx", "1.0.0", "MNIST and Fashion-MNIST files (IDX)")
