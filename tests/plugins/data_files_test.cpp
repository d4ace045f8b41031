#include "data_files.h"

#include "model/condition.h"

namespace scorelab::test {
namespace {

std::string words(const std::vector<std::uint32_t>& numbers) {
  std::string out;
  for (const auto n : numbers)
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(n >> shift & 255);
  return out;
}

const Json own{{"set", "own"}};
const std::string images = "own/train-images-idx3-ubyte", labels = "own/train-labels-idx1-ubyte";
std::string three_images() { return words({2051, 3, 2, 2}) + std::string("abcdefghijkl"); }

TEST_F(DataFiles, IdxReadsImagesAndTheirLabels) {
  write(images, three_images());
  write_gzip(labels + ".gz", words({2049, 3}) + std::string("\2\0\1", 3));
  const auto read = set("idx", own);
  EXPECT_EQ(read->size(), 3);
  EXPECT_EQ(read->shape(), (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(classes_of(read->conditions()), 3);
}

TEST_F(DataFiles, IdxImagesNeedNoLabels) {
  write(images, three_images());
  const auto read = set("idx", own);
  EXPECT_EQ(read->size(), 3);
  EXPECT_EQ(classes_of(read->conditions()), 0);
  Noise noise(1, "data");
  Condition condition;
  EXPECT_EQ(read->get({0, 2}, noise, condition).size(0), 2);
  EXPECT_TRUE(condition.empty());
}

TEST_F(DataFiles, IdxWithoutImagesSaysSo) {
  for (const auto& [header, what] : std::vector<std::pair<std::vector<std::uint32_t>, const char*>>{
           {{2051, 0, 28, 28}, "0 images"},
           {{2051, 3, 0, 28}, "0 x 28"},
           {{2051, 3, 28, 0}, "28 x 0"}}) {
    write(images, words(header));
    EXPECT_THAT(refused("idx", own), HasSubstr(what));
    EXPECT_THAT(refused("idx", own), HasSubstr(images)) << "which file";
  }
}

TEST_F(DataFiles, IdxThatIsNotWhatItsHeaderSaysIsRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("abc"), words({2051, 3, 2}),
        words({2052, 3, 2, 2}) + "abcdefghijkl", words({2051, 3, 2, 2}) + "abcdefghijk",
        words({2051, 3, 2, 2}) + "abcdefghijklm"}) {
    write(images, bytes);
    EXPECT_THAT(refused("idx", own), HasSubstr(images)) << bytes.size();
  }
  write(images, three_images());
  for (const std::string& bytes :
       {words({2049, 2}) + "ab", words({2049, 3}) + "ab", words({2049, 3}) + "abcd",
        words({2048, 3}) + "abc", words({2049, 4}) + "abcd", std::string()}) {
    write(labels, bytes);
    EXPECT_THAT(refused("idx", own), HasSubstr(labels)) << bytes.size();
  }
}

/// 2^32 - 1 images of such sides: their product wraps around to a small number, or asks for more
/// than there is memory.
TEST_F(DataFiles, IdxHeadersThatAskForMoreThanTheFileHoldsAllocateNothing) {
  for (const auto& header :
       std::vector<std::vector<std::uint32_t>>{{2051, 0xffffffff, 0xffffffff, 0xffffffff},
                                               {2051, 0x80000000, 0x80000000, 4},
                                               {2051, 0x10000, 0x10000, 0x80000000},
                                               {2051, 2000000000, 1, 1},
                                               {2051, 60000, 1 << 15, 1 << 15}}) {
    write(images, words(header) + std::string(100, 'a'));
    EXPECT_THAT(refused("idx", own), HasSubstr("116")) << "what is there";
    fs::remove(root_ / images);
    write_gzip(images + ".gz", words(header) + std::string(100, 'a'));
    EXPECT_THAT(refused("idx", own), HasSubstr(images)) << header[1];
    fs::remove(root_ / (images + ".gz"));
  }
}

TEST_F(DataFiles, WhatUnpacksToMoreThanItsHeaderSaysIsNotUnpacked) {
  write_gzip(images + ".gz", three_images(), std::int64_t{1} << 28);
  EXPECT_THAT(refused("idx", own), HasSubstr("more than 28 bytes"));
  write_gzip(images + ".gz", three_images());
  write_gzip(labels + ".gz", words({2049, 3}) + "abc", std::int64_t{1} << 28);
  EXPECT_THAT(refused("idx", own), HasSubstr("more than 11 bytes"));
  write_gzip("digits/digits.csv.gz", "", std::int64_t{1} << 28);
  EXPECT_THAT(refused("digits"), HasSubstr("more than"));
  write_gzip("cifar10/data_batch_1.bin", "", std::int64_t{1} << 28);
  EXPECT_THAT(refused("cifar10"), HasSubstr("more than"));
}

TEST_F(DataFiles, ReadBytesStopsAtItsLimit) {
  write_gzip("bomb.gz", "", std::int64_t{1} << 24);
  EXPECT_EQ(read_bytes(root_ / "bomb.gz").size(), std::size_t{1} << 24);
  EXPECT_EQ(read_bytes(root_ / "bomb.gz", 1 << 24).size(), std::size_t{1} << 24);
  EXPECT_THROW(read_bytes(root_ / "bomb.gz", (1 << 24) - 1), Error);
  write("plain", "0123456789");
  EXPECT_EQ(read_bytes(root_ / "plain", 10), "0123456789");
  EXPECT_THROW(read_bytes(root_ / "plain", 9), Error);
  EXPECT_EQ(read_head(root_ / "plain", 4), "0123");
  EXPECT_EQ(read_head(root_ / "plain", 40), "0123456789");
  EXPECT_EQ(read_head(root_ / "bomb.gz", 3), std::string(3, '\0'));
  EXPECT_THROW(read_bytes(root_), Error) << "a folder";
}

TEST_F(DataFiles, CompressedFilesThatAreCutShortAreRefused) {
  write_gzip("whole.gz", std::string(1 << 20, 'a') + std::string(1 << 20, 'b'));
  std::ifstream in(root_ / "whole.gz", std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(in), {}};
  for (const std::size_t kept :
       {packed.size() / 2, packed.size() - 9, packed.size() - 4, packed.size() - 1}) {
    write("cut.gz", packed.substr(0, kept));
    EXPECT_THROW(read_bytes(root_ / "cut.gz"), Error)
        << kept << " of " << packed.size() << " bytes";
  }
}

std::string digit_lines(const std::string& last, int before = 3) {
  std::string line, out;
  for (int i = 0; i < 64; ++i) line += std::to_string(i % 17) + ",";
  for (int i = 0; i < before; ++i) out += line + std::to_string(i) + "\n";
  return out + last;
}

TEST_F(DataFiles, DigitsAreWholeNumbersInTheirRanges) {
  write_gzip("digits/digits.csv.gz", digit_lines(""));
  EXPECT_EQ(set("digits")->size(), 3);
  std::string good = digit_lines("", 1);
  good.pop_back();
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{",5,", ",17,"},
                                                                                 {",5,", ",-1,"},
                                                                                 {",5,", ",1e300,"},
                                                                                 {",5,", ",nan,"},
                                                                                 {",5,", ",five,"},
                                                                                 {",5,", ",5x,"},
                                                                                 {",5,", ",,"},
                                                                                 {",5,", ",5.5,"},
                                                                                 {",5,", ",5,5,"},
                                                                                 {",5,", ","}}) {
    std::string bad = good;
    write_gzip("digits/digits.csv.gz", digit_lines(bad.replace(bad.find(from), from.size(), to)));
    EXPECT_THAT(refused("digits"), HasSubstr("line 4")) << to;
    EXPECT_THAT(refused("digits"), HasSubstr("digits.csv.gz")) << to;
  }
  for (const char* label : {"10", "-1", "1e12", "x", ""}) {
    write_gzip("digits/digits.csv.gz", digit_lines(good.substr(0, good.size() - 1) + label));
    EXPECT_THAT(refused("digits"), HasSubstr("line 4")) << label;
  }
  write_gzip("digits/digits.csv.gz", "");
  EXPECT_THAT(refused("digits"), HasSubstr("no images"));
  write_gzip("digits/digits.csv.gz", digit_lines(""));
  EXPECT_THAT(refused("digits", {{"split", "test"}}), HasSubstr("no images"));
}

TEST_F(DataFiles, CifarRecordsAreWholeAndOfTenClasses) {
  write("cifar10/data_batch_1.bin", std::string(2 * 3073, '\3'));
  EXPECT_EQ(set("cifar10")->size(), 2);
  std::string wrong(2 * 3073, '\3');
  wrong[3073] = '\12';
  write("cifar10/data_batch_1.bin", wrong);
  EXPECT_THAT(refused("cifar10"), HasSubstr("class 10"));
  write("cifar10/data_batch_1.bin", std::string(3072, '\3'));
  EXPECT_THAT(refused("cifar10"), HasSubstr("3072"));
  fs::remove(root_ / "cifar10/data_batch_1.bin");
  EXPECT_THAT(refused("cifar10"), HasSubstr("data_batch"));
}

/// A file that comes into the folder when the plan is made is in no key.
TEST_F(DataFiles, CifarReadsTheFilesThatWerePlanned) {
  write("cifar10/data_batch_1.bin", std::string(2 * 3073, '\3'));
  write("cifar10/data_batch_2.bin", std::string(3 * 3073, '\3'));
  EXPECT_EQ(set("cifar10", Json::object(), {"cifar10/data_batch_1.bin"})->size(), 2);
}

/// The folder that has what is wanted is taken, though another before it has a part of the set.
TEST_F(DataFiles, AFolderThatLacksWhatIsDeclaredIsPassedOver) {
  write("first/own/t10k-images-idx3-ubyte", three_images());
  write("first/" + images, "not what was planned");
  write("second/" + images, three_images());
  setenv("SCORELAB_DATA", ((root_ / "first").string() + ":" + (root_ / "second").string()).c_str(),
         1);
  EXPECT_EQ(set("idx", own, {"second/" + images})->size(), 3);
}

TEST_F(DataFiles, WhatAsksForLabelsSaysThatThereAreNone) {
  write(images, three_images());
  const auto data = set("idx", own);
  const Json config = plugin("objective", "cross-entropy");
  const auto of = host::make_as<Objective>(config);
  const World w = world(plugin("scheduler", "vp"), nullptr, {1, 2, 2});
  Setting setting = w.setting();
  setting.data = data.get();
  EXPECT_THROW(host::prepare(of, config, setting), host::PluginError);
  const Json classifier = plugin("network", "mlp-classifier");
  EXPECT_THROW(host::prepare(host::make_as<Network>(classifier), classifier, setting),
               host::PluginError);
  for (const Json& conditional :
       {plugin("network", "mlp", {{"classes", 3}}),
        plugin("network", "ddpm-unet", {{"classes", 3}, {"multipliers", {1}}})}) {
    const auto network = host::make_as<Network>(conditional);
    host::prepare(network, conditional, setting);
    ASSERT_EQ(network->conditions().size(), 1u);
    EXPECT_THROW(expect_given(data->conditions(), network->conditions()[0], true), Error);
  }
}

}  // namespace
}  // namespace scorelab::test
