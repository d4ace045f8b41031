#include <ATen/ATen.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

namespace {
using namespace scorelab;

/// Alpaydin & Kaynak's handwritten digits as scikit-learn ships them: 1,797 images, 8 x 8, 17 grey
/// levels. CSV: 64 numbers of 0 .. 16, then the class.
class Digits final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p.gives("labels");
    p.reads("digits/digits.csv.gz");
    p("split", split_, "all 1,797 images; train: the first 1,500; test: the last 297")
        .one_of({"all", "train", "test"});
  }
  void prepare(const Setting&) override {
    const auto file = find_data("digits/digits.csv.gz");
    std::stringstream lines(read_bytes(file, 16 << 20));
    std::vector<std::uint8_t> bytes;
    std::vector<std::int64_t> labels;
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::uint8_t> row;
      std::stringstream fields(line);
      for (std::string field; std::getline(fields, field, ',') && row.size() < 66;) {
        const int top = row.size() < 64 ? 16 : 9;
        double value = -1;
        const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
        if (error != std::errc() || end != field.data() + field.size() ||
            !(value >= 0 && value <= top) || value != std::floor(value))
          throw Error(file.string() + ": line " + std::to_string(labels.size() + 1) + " has `" +
                      field.substr(0, 20) + "` for number " + std::to_string(row.size() + 1) +
                      "; expected a whole number from 0 to " + std::to_string(top));
        row.push_back(static_cast<std::uint8_t>(value));
      }
      if (row.size() != 65)
        throw Error(file.string() + ": line " + std::to_string(labels.size() + 1) + " has " +
                    (row.size() > 65 ? "more than 65" : std::to_string(row.size())) +
                    " numbers; expected 65");
      bytes.insert(bytes.end(), row.begin(), row.end() - 1);
      labels.push_back(row[64]);
    }
    const auto count = static_cast<std::int64_t>(labels.size());
    const std::int64_t first = split_ == "test" ? std::min<std::int64_t>(1500, count) : 0,
                       last = split_ == "train" ? std::min<std::int64_t>(1500, count) : count;
    if (first >= last)
      throw Error(file.string() + " holds no images of the split `" + split_ + "`: it has " +
                  std::to_string(count) + " lines");
    const at::Tensor all =
        at::tensor(at::ArrayRef<std::uint8_t>(bytes), at::kByte).view({count, 1, 8, 8});
    store(all.narrow(0, first, last - first).clone(),
          {labels.begin() + first, labels.begin() + last}, 16);
  }

 private:
  std::string split_ = "all";
};
}  // namespace
SCORELAB_PLUGIN(Digits, dataset, "digits", "1.0.0", "1,797 handwritten digits, 8 x 8")
