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

/// Alpaydin & Kaynak's handwritten digits as scikit-learn ships them: 1,797 images, 8 x 8, 17 grey levels. CSV: 64 numbers of 0 .. 16, then
/// the class.
class Digits final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p.reads("digits/digits.csv.gz");
    p("split", split_, "all 1,797 images; train: the first 1,500; test: the last 297").one_of({"all", "train", "test"});
  }
  void prepare(const Setting&) override {
    const auto file = find_data("digits/digits.csv.gz");
    std::stringstream lines(read_bytes(file));
    std::vector<std::uint8_t> bytes;
    std::vector<std::int64_t> labels;
    for (std::string line; std::getline(lines, line);) {
      std::stringstream fields(line);
      std::vector<int> row;
      for (std::string field; std::getline(fields, field, ',');) row.push_back(static_cast<int>(std::stod(field)));
      if (row.size() != 65)
        throw Error(file.string() + ": line " + std::to_string(labels.size() + 1) + " has " + std::to_string(row.size()) +
                    " numbers; expected 65");
      bytes.insert(bytes.end(), row.begin(), row.end() - 1);
      labels.push_back(row[64]);
    }
    const auto count = static_cast<std::int64_t>(labels.size());
    const std::int64_t first = split_ == "test" ? std::min<std::int64_t>(1500, count) : 0,
                       last = split_ == "train" ? std::min<std::int64_t>(1500, count) : count;
    const at::Tensor all = at::tensor(at::ArrayRef<std::uint8_t>(bytes), at::kByte).view({count, 1, 8, 8});
    store(all.narrow(0, first, last - first).clone(), {labels.begin() + first, labels.begin() + last}, 16);
  }

 private:
  std::string split_ = "all";
};
}  // namespace
SCORELAB_PLUGIN(Digits, dataset, "digits", "1.0.0", "1,797 handwritten digits, 8 x 8")
