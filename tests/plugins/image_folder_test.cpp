#include <png.h>
#include <turbojpeg.h>

#include "data_files.h"

namespace scorelab::test {
namespace {

/// Folders of images, and a cache of one's own.
class ImageFolder : public DataFiles {
 protected:
  void SetUp() override {
    DataFiles::SetUp();
    setenv("SCORELAB_CACHE", (root_ / "cache").c_str(), 1);
  }
  void TearDown() override {
    unsetenv("SCORELAB_CACHE");
    DataFiles::TearDown();
  }
  /// `pixels`: [height, width, channels] bytes; 1, 3 or 4 channels.
  void write_png(const std::string& file, const at::Tensor& pixels) const {
    fs::create_directories((root_ / file).parent_path());
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.height = static_cast<png_uint_32>(pixels.size(0));
    image.width = static_cast<png_uint_32>(pixels.size(1));
    image.format = pixels.size(2) == 1   ? PNG_FORMAT_GRAY
                   : pixels.size(2) == 3 ? PNG_FORMAT_RGB
                                         : PNG_FORMAT_RGBA;
    ASSERT_NE(png_image_write_to_file(&image, (root_ / file).c_str(), 0,
                                      pixels.contiguous().data_ptr(), 0, nullptr),
              0);
  }
  std::string jpeg(const at::Tensor& pixels) const {
    const tjhandle handle = tjInitCompress();
    unsigned char* out = nullptr;
    unsigned long size = 0;
    EXPECT_EQ(tjCompress2(handle, pixels.contiguous().data_ptr<std::uint8_t>(),
                          static_cast<int>(pixels.size(1)), 0, static_cast<int>(pixels.size(0)),
                          TJPF_RGB, &out, &size, TJSAMP_444, 100, 0),
              0);
    std::string bytes(reinterpret_cast<char*>(out), size);
    tjFree(out);
    tjDestroy(handle);
    return bytes;
  }
  /// A row of grey pixels of 16 bits, written chunk by chunk; `gamma`: with a gAMA of 1.
  static std::string deep_png(const std::vector<int>& pixels, bool gamma = false) {
    const auto number = [](std::uint64_t n) {
      std::string out;
      for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(n >> shift & 255);
      return out;
    };
    const auto chunk = [&](const std::string& name, const std::string& data) {
      const std::string body = name + data;
      return number(data.size()) + body +
             number(crc32(0, reinterpret_cast<const Bytef*>(body.data()),
                          static_cast<uInt>(body.size())));
    };
    std::string row(1, '\0');  // no filter
    for (const int p : pixels) row += number(static_cast<std::uint64_t>(p)).substr(2);
    uLongf size = compressBound(row.size());
    std::string packed(size, '\0');
    compress(reinterpret_cast<Bytef*>(packed.data()), &size,
             reinterpret_cast<const Bytef*>(row.data()), row.size());
    packed.resize(size);
    std::string head = number(pixels.size()) + number(1);
    head += std::string("\x10\0\0\0\0", 5);
    return std::string("\x89PNG\r\n\x1a\n") + chunk("IHDR", head) +
           (gamma ? chunk("gAMA", number(100000)) : "") + chunk("IDAT", packed) + chunk("IEND", "");
  }
  /// Item i as bytes, [channels, height, width].
  static at::Tensor item(const DataSet& set, std::int64_t i, Condition* condition = nullptr) {
    Noise noise(1, "x");
    Condition own;
    const at::Tensor x = set.get({i}, noise, condition ? *condition : own);
    return (x[0] * 255).round().to(at::kByte);
  }
  /// Every byte another one.
  static at::Tensor counted(std::int64_t height, std::int64_t width, std::int64_t channels) {
    return (at::arange(height * width * channels, at::kLong) * 7 % 256)
        .view({height, width, channels})
        .to(at::kByte);
  }
  std::int64_t cached() const {
    std::int64_t out = 0;
    if (fs::exists(root_ / "cache/bytes"))
      for (const auto& file : fs::directory_iterator(root_ / "cache/bytes")) {
        EXPECT_NE(file.path().extension(), ".tmp");
        out += file.path().extension() == ".bytes" ? 1 : 0;
      }
    return out;
  }
};

TEST_F(ImageFolder, GivesThePixelsOfItsFilesByName) {
  const at::Tensor a = counted(3, 5, 3), b = 255 - a;
  write_png("own/b.png", b);
  write_png("own/deep/er/a.PNG", a);
  write("own/notes.txt", "no image");
  const auto set = this->set("image-folder", {{"set", "own"}});
  EXPECT_EQ(set->size(), 2);
  EXPECT_EQ(set->shape(), (std::vector<std::int64_t>{3, 3, 5}));
  EXPECT_TRUE(at::equal(item(*set, 0), b.permute({2, 0, 1})));
  EXPECT_TRUE(at::equal(item(*set, 1), a.permute({2, 0, 1})));
  EXPECT_TRUE(set->conditions().empty());
}

TEST_F(ImageFolder, IsDecodedOnceForTheSameContents) {
  const at::Tensor a = counted(4, 4, 3);
  write_png("own/a.png", a);
  const Json params{{"set", "own"}};
  set("image-folder", params, {"own/a.png"});
  EXPECT_EQ(cached(), 1);
  const auto kept = set("image-folder", params);
  EXPECT_EQ(cached(), 1);
  set("image-folder", {{"set", "own"}, {"flip", true}});
  EXPECT_EQ(cached(), 1) << "what is done later needs no other bytes";
  write_png("own/a.png", 255 - a);
  const auto changed = set("image-folder", params);
  EXPECT_EQ(cached(), 2);
  EXPECT_TRUE(at::equal(item(*kept, 0), a.permute({2, 0, 1})));
  EXPECT_TRUE(at::equal(item(*changed, 0), (255 - a).permute({2, 0, 1})));
}

TEST_F(ImageFolder, MakesACachedFileAgainThatIsNotAsItWasMade) {
  const at::Tensor a = counted(4, 4, 3);
  write_png("own/a.png", a);
  set("image-folder", {{"set", "own"}});
  const auto cached = [&] {
    for (const auto& file : fs::directory_iterator(root_ / "cache/bytes"))
      if (file.path().extension() == ".bytes") return file.path();
    return fs::path();
  };
  std::ofstream(cached(), std::ios::binary) << std::string(48, '\xff');  // the right size
  EXPECT_TRUE(at::equal(item(*set("image-folder", {{"set", "own"}}), 0), a.permute({2, 0, 1})));
  fs::resize_file(cached(), 7);
  EXPECT_TRUE(at::equal(item(*set("image-folder", {{"set", "own"}}), 0), a.permute({2, 0, 1})));
}

TEST_F(ImageFolder, HasTheClassesOfItsFolders) {
  for (const char* file : {"own/cat/2.png", "own/ant/1.png", "own/cat/deep/3.png", "own/dog/1.png"})
    write_png(file, counted(2, 2, 3));
  const auto set = this->set("image-folder", {{"set", "own"}, {"labels", true}});
  ASSERT_EQ(set->conditions().size(), 1u);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    Condition condition;
    item(*set, i, &condition);
    labels.push_back(condition.at("label").item<std::int64_t>());
  }
  EXPECT_EQ(labels, (std::vector<std::int64_t>{0, 1, 1, 2}));
  write_png("own/astray.png", counted(2, 2, 3));
  EXPECT_THAT(refused("image-folder", {{"set", "own"}, {"labels", true}}),
              HasSubstr("astray.png is in the folder of no class"));
}

TEST_F(ImageFolder, ResizesTheMiddleSquare) {
  // a ramp stays one wherever the filter sees no edge, whose slope is as much larger
  const at::Tensor ramp = (2 * at::arange(64, at::kLong)).view({1, 64, 1}).expand({32, 64, 3});
  write_png("own/a.png", ramp.to(at::kByte));
  const auto set = this->set("image-folder", {{"set", "own"}, {"size", 16}});
  const at::Tensor x = item(*set, 0).to(at::kLong);
  ASSERT_EQ(x.sizes(), (std::vector<std::int64_t>{3, 16, 16}));
  for (std::int64_t i = 3; i < 13; ++i)  // pixel i has the middle of columns 16 + 2 i and the next
    EXPECT_NEAR(x[1][8][i].item<std::int64_t>(), 2 * (16 + 2 * i) + 1, 1);
}

TEST_F(ImageFolder, ReadsColoursGreyAndWhatIsTransparent) {
  write_png("grey/a.png", counted(4, 4, 1));
  const at::Tensor grey = item(*set("image-folder", {{"set", "grey"}}), 0);
  EXPECT_TRUE(at::equal(grey[0], counted(4, 4, 1).squeeze(2)));
  EXPECT_TRUE(at::equal(grey[0], grey[2]));
  EXPECT_TRUE(at::equal(item(*set("image-folder", {{"set", "grey"}, {"grey", true}}), 0),
                        counted(4, 4, 1).permute({2, 0, 1})));
  at::Tensor clear = counted(4, 4, 4);
  clear.select(2, 3).fill_(255);
  clear[1][2][3] = 0;
  write_png("clear/a.png", clear);
  const at::Tensor seen = item(*set("image-folder", {{"set", "clear"}}), 0);
  EXPECT_TRUE(at::equal(seen.select(1, 0), clear[0].narrow(1, 0, 3).transpose(0, 1)));
  EXPECT_EQ(seen.select(1, 1).select(1, 2).max().item<std::int64_t>(), 0);
}

TEST_F(ImageFolder, TakesBytesAsTheyAreStored) {
  // ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B
  const at::Tensor colour = at::tensor({200, 30, 90}, at::kByte).expand({8, 8, 3});
  write_png("png/a.png", colour);
  write("jpeg/a.jpg", jpeg(colour));
  for (const auto& [name, near] : {std::pair{"png", 0.5}, {"jpeg", 2.0}}) {
    const auto set = this->set("image-folder", {{"set", name}, {"grey", true}});
    EXPECT_NEAR(item(*set, 0)[0][3][3].item<double>(), 0.299 * 200 + 0.587 * 30 + 0.114 * 90, near);
  }
  // half transparent over black, not in linear light
  at::Tensor half = at::full({2, 2, 4}, 255, at::kLong).to(at::kByte);
  half.select(2, 3).fill_(128);
  write_png("half/a.png", half);
  EXPECT_EQ(item(*set("image-folder", {{"set", "half"}}), 0)[0][0][0].item<std::int64_t>(), 128);
  write("deep/a.png", deep_png({1000, 32768, 65535}));
  const at::Tensor x = item(*set("image-folder", {{"set", "deep"}}), 0).to(at::kLong);
  for (const auto& [i, value] : {std::pair{0, 1000}, {1, 32768}, {2, 65535}})
    EXPECT_NEAR(x[0][0][i].item<double>(), value / 257.0, 0.51) << "16 bits are no linear light";
  write("gamma/a.png", deep_png({1000, 32768, 65535}, true));
  EXPECT_TRUE(at::equal(item(*set("image-folder", {{"set", "gamma"}}), 0).to(at::kLong), x));
}

TEST_F(ImageFolder, FollowsLinksAndLeavesOutWhatIsHidden) {
  write_png("own/cat/a.png", counted(2, 2, 3));
  write("own/cat/._a.png", "of macOS");
  write_png("own/.ipynb_checkpoints/a.png", counted(2, 2, 3));
  write_png("elsewhere/a.png", counted(2, 2, 3));
  fs::create_directory_symlink(root_ / "elsewhere", root_ / "own/dog");
  const auto set = this->set("image-folder", {{"set", "own/"}, {"labels", true}});
  EXPECT_EQ(set->size(), 2);
  EXPECT_EQ(classes_of(set->conditions()), 2);
  EXPECT_THROW(host::check_all(plugin("dataset", "image-folder", {{"set", ""}})),
               host::PluginError);
}

TEST_F(ImageFolder, ReadsJpeg) {
  const at::Tensor flat = at::tensor({200, 30, 90}, at::kByte).expand({16, 16, 3});
  write("own/a.jpg", jpeg(flat));
  const at::Tensor x = item(*set("image-folder", {{"set", "own"}}), 0).to(at::kLong);
  EXPECT_LE((x - flat.permute({2, 0, 1}).to(at::kLong)).abs().max().item<std::int64_t>(), 2);
}

TEST_F(ImageFolder, TakesALimitEvenlyOverAll) {
  for (int i = 0; i < 7; ++i)
    write_png("own/" + std::to_string(i) + ".png",
              at::full({1, 1, 3}, 10 * i, at::kLong).to(at::kByte));
  const auto set = this->set("image-folder", {{"set", "own"}, {"limit", 3}});
  ASSERT_EQ(set->size(), 3);
  for (const auto& [i, value] : {std::pair{0, 0}, {1, 20}, {2, 40}})
    EXPECT_EQ(item(*set, i)[0][0][0].item<std::int64_t>(), value);
  EXPECT_EQ(this->set("image-folder", {{"set", "own"}, {"limit", 100}})->size(), 7);
}

TEST_F(ImageFolder, SaysWhichFileItCannotRead) {
  const Json params{{"set", "own"}};
  write("own/notes.txt", "no image");
  EXPECT_THAT(refused("image-folder", params),
              testing::AllOf(HasSubstr("of the 1 files in"), HasSubstr("none ends in .png")));
  write("own/a.png", "");
  EXPECT_THAT(refused("image-folder", params), HasSubstr("a.png is empty"));
  write("own/a.png", "no image either");
  EXPECT_THAT(refused("image-folder", params), HasSubstr("a.png is no PNG image that can be"));
  write_png("own/a.png", counted(2, 2, 3));
  const std::string whole = jpeg(counted(32, 32, 3));
  write("own/b.jpg", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refused("image-folder", params), HasSubstr("b.jpg is no JPEG image that can be"));
  write("own/b.jpg", whole);
  EXPECT_THAT(refused("image-folder", params),
              testing::AllOf(HasSubstr("b.jpg has 32 x 32 pixels"), HasSubstr("a.png has 2 x 2"),
                             HasSubstr("`size` makes them equal")));
  EXPECT_EQ(cached(), 0) << "nothing half made is left";
  setenv("SCORELAB_CACHE", "/proc/none", 1);
  fs::remove(root_ / "own/b.jpg");
  EXPECT_THAT(refused("image-folder", params), HasSubstr("set SCORELAB_CACHE to another folder"));
}

}  // namespace
}  // namespace scorelab::test
