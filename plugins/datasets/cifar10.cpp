#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <cstring>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// CIFAR-10 in its binary version: records of one label byte and 3 x 32 x 32 bytes. Reads every
/// data_batch_*.bin (the whole set, or parts of it) or test_batch.bin.
class Cifar10 final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p("split", split_, "train: every data_batch_*.bin in the folder cifar10; test: test_batch.bin")
        .one_of({"train", "test"});
    p.reads("cifar10/data_batch_*.bin").when("split", {"train"});
    p.reads("cifar10/test_batch.bin").when("split", {"test"});
  }
  void prepare(const Setting&) override {
    std::string all;
    for (const auto& file :
         find_files(split_ == "train" ? "cifar10/data_batch_*.bin" : "cifar10/test_batch.bin")) {
      const std::string bytes = read_bytes(file, 60000 * 3073);  // the whole set in one file
      if (bytes.empty() || bytes.size() % 3073)
        throw Error(file.string() + " has " + std::to_string(bytes.size()) +
                    " bytes: not a whole number of 3,073-byte records");
      all += bytes;
    }
    const auto n = static_cast<std::int64_t>(all.size() / 3073);
    at::Tensor records = at::empty({n, 3073}, at::kByte);
    std::memcpy(records.data_ptr(), all.data(), all.size());
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n; ++i) {
      labels.push_back(static_cast<unsigned char>(all[static_cast<std::size_t>(i) * 3073]));
      if (labels.back() > 9)
        throw Error("record " + std::to_string(i + 1) + " of the folder cifar10 is of class " +
                    std::to_string(labels.back()) +
                    "; expected 0 to 9: these are no CIFAR-10 records");
    }
    store(records.narrow(1, 1, 3072).reshape({n, 3, 32, 32}).contiguous(), labels, 255);
  }

 private:
  std::string split_ = "train";
};
}  // namespace
SCORELAB_PLUGIN(Cifar10, dataset, "cifar10", "1.0.0", "CIFAR-10, binary version")
