#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <png.h>
#include <scorelab/dataset.h>
#include <scorelab/plugin.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {
using namespace scorelab;
namespace fs = std::filesystem;

constexpr std::int64_t most_pixels = std::int64_t{1} << 26;

/// Room for one decoded image: [height, width, channels] bytes.
at::Tensor room(const fs::path& file, std::int64_t height, std::int64_t width,
                std::int64_t channels) {
  if (height < 1 || width < 1 || height > most_pixels / width)
    throw Error(file.string() + " says that it has " + std::to_string(height) + " x " +
                std::to_string(width) + " pixels; at most " + std::to_string(most_pixels) +
                " are decoded");
  return at::empty({height, width, channels}, at::kByte);
}

[[noreturn]] void damaged(const fs::path& file, const std::string& format, const std::string& why) {
  throw Error(file.string() + " is no " + format + " image that can be decoded: " + why);
}

/// A PNG file without what it says of its colours: libpng would apply it, and the field's readers
/// do not.
std::string without_colour_space(const std::string& bytes) {
  constexpr std::size_t signature = 8, around = 12;  // of a chunk: its length, name and checksum
  std::string out = bytes.substr(0, signature);
  for (std::size_t at = signature; at + around <= bytes.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i)
      length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    const std::string name = bytes.substr(at + 4, 4);
    if (name != "gAMA" && name != "cHRM" && name != "sRGB" && name != "iCCP")
      out += bytes.substr(at, around + length);
    at += around + length;
  }
  return out;
}

/// [height, width, 3]; what is transparent becomes black.
at::Tensor decode_png(const fs::path& file, const std::string& bytes) {
  const std::string plain = without_colour_space(bytes);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const auto end = [](png_image* i) { png_image_free(i); };
  const std::unique_ptr<png_image, decltype(end)> guard(&image, end);
  if (!png_image_begin_read_from_memory(&image, plain.data(), plain.size()))
    damaged(file, "PNG", image.message);
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // otherwise 16 bits would be linear light
  const bool clear = image.format & PNG_FORMAT_FLAG_ALPHA;
  image.format = clear ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  const at::Tensor out = room(file, image.height, image.width, clear ? 4 : 3);
  if (!png_image_finish_read(&image, nullptr, out.data_ptr(), 0, nullptr))
    damaged(file, "PNG", image.message);
  if (!clear) return out;
  const at::Tensor colours = out.narrow(2, 0, 3), alpha = out.narrow(2, 3, 1).to(at::kInt);
  return at::div(colours * alpha + 127, 255, "floor").to(at::kByte);
}

/// [height, width, 3]
at::Tensor decode_jpeg(const fs::path& file, const std::string& bytes) {
  const std::unique_ptr<void, int (*)(void*)> handle(tjInitDecompress(), tjDestroy);
  if (!handle) throw std::bad_alloc();
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0, height = 0, sampling = 0, space = 0;
  if (tjDecompressHeader3(handle.get(), data, bytes.size(), &width, &height, &sampling, &space))
    damaged(file, "JPEG", tjGetErrorStr2(handle.get()));
  if (space == TJCS_CMYK || space == TJCS_YCCK)
    damaged(file, "JPEG", "its colours are CMYK; convert it to RGB");
  at::Tensor out = room(file, height, width, 3);
  // a warning is most often an image that is not whole
  if (tjDecompress2(handle.get(), data, bytes.size(), out.data_ptr<std::uint8_t>(), width, 0,
                    height, TJPF_RGB, TJFLAG_ACCURATEDCT))
    damaged(file, "JPEG", tjGetErrorStr2(handle.get()));
  return out;
}

/// The luma of ITU-R BT.601, [height, width, 1].
at::Tensor luma(const at::Tensor& rgb) {
  const at::Tensor weights = at::tensor({299, 587, 114}, at::kInt);
  return at::div((rgb.to(at::kInt) * weights).sum(2, true) + 500, 1000, "floor").to(at::kByte);
}

std::string extension(const fs::path& file) {
  std::string out = file.extension().string();
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}
bool is_image(const fs::path& file) {
  const std::string e = extension(file);
  return e == ".png" || e == ".jpg" || e == ".jpeg";
}
/// Such as ._a.png of macOS, or .ipynb_checkpoints.
bool is_hidden(const fs::path& below) {
  return std::any_of(below.begin(), below.end(),
                     [](const fs::path& part) { return part.string().starts_with("."); });
}

/// [channels, height, width] bytes.
at::Tensor decode(const fs::path& file, bool grey) {
  const std::string bytes = read_bytes(file);
  if (bytes.empty()) throw Error(file.string() + " is empty");
  const at::Tensor rgb =
      bytes.starts_with("\x89PNG") || (extension(file) == ".png" && !bytes.starts_with("\xff\xd8"))
          ? decode_png(file, bytes)
          : decode_jpeg(file, bytes);
  return (grey ? luma(rgb) : rgb).permute({2, 0, 1});
}

/// The middle square, resized by an antialiased cubic filter.
at::Tensor squared(const at::Tensor& image, std::int64_t size) {
  const std::int64_t height = image.size(1), width = image.size(2), side = std::min(height, width);
  const at::Tensor middle =
      image.narrow(1, (height - side) / 2, side).narrow(2, (width - side) / 2, side);
  if (side == size) return middle;
  const at::Tensor resized =
      at::_upsample_bicubic2d_aa(middle.unsqueeze(0).to(at::kFloat), {size, size}, false);
  return resized[0].round().clamp(0, 255).to(at::kByte);
}

/// The images of a folder and of those in it. Each is decoded once, into scorelab's cache, to the
/// bytes that the file holds: colour profiles, gamma and an EXIF orientation are not applied; what
/// is transparent is put on black.
class ImageFolder final : public Images {
 public:
  void params(Params& p) override {
    Images::params(p);
    p("set", set_,
      "the folder in the data path, with PNG and JPEG files; what is transparent is put on black")
        .required();
    p("size", size_,
      "pixels a side: the middle square of each image is resized to it by an antialiased cubic "
      "filter; 0: images stay as they are, and all have one size")
        .range(0, 8192);
    p("grey", grey_, "one channel, the luma of ITU-R BT.601, in place of three");
    p("labels", labelled_, "the folders in `set` are the classes, in the order of their names");
    p.gives("labels").when("labels", {"true"});
    p.reads("{set}");
  }
  void check() const override {
    Images::check();
    if (set_.empty()) throw Error("`set` names no folder");
  }
  void prepare(const Setting&) override {
    const auto files = images();
    const std::int64_t channels = grey_ ? 1 : 3;
    std::int64_t height = size_, width = size_;
    if (size_ == 0) {
      const at::Tensor first = decode(files.front(), grey_);
      height = first.size(1);
      width = first.size(2);
    }
    const auto n = static_cast<std::int64_t>(files.size());
    const std::string how = "image-folder 1.0.0, size " + std::to_string(size_) + ", channels " +
                            std::to_string(channels);
    const at::Tensor bytes =
        cached_bytes(files, how, {n, channels, height, width}, [&](at::Tensor& to) {
          at::parallel_for(0, n, 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
              const fs::path& file = files[static_cast<std::size_t>(i)];
              at::Tensor image = decode(file, grey_);
              if (size_ > 0) image = squared(image, size_);
              if (image.size(1) != height || image.size(2) != width)
                throw Error(file.string() + " has " + std::to_string(image.size(1)) + " x " +
                            std::to_string(image.size(2)) + " pixels, and " +
                            files.front().string() + " has " + std::to_string(height) + " x " +
                            std::to_string(width) + "; `size` makes them equal");
              to[i].copy_(image);
            }
          });
        });
    store(bytes, labelled_ ? classes(files) : std::vector<std::int64_t>{}, 255);
  }

 private:
  std::vector<fs::path> images() const {
    std::vector<fs::path> out;
    const auto all = find_files(set_);
    const fs::path root = this->root();
    std::copy_if(all.begin(), all.end(), std::back_inserter(out), [&](const fs::path& file) {
      return is_image(file) && !is_hidden(file.lexically_relative(root));
    });
    if (out.empty())
      throw Error("of the " + std::to_string(all.size()) + " files in " + find_data(set_).string() +
                  " none ends in .png, .jpg or .jpeg");
    return out;
  }
  fs::path root() const { return fs::absolute(find_data(set_)).lexically_normal(); }
  /// The index of each file's folder.
  std::vector<std::int64_t> classes(const std::vector<fs::path>& files) const {
    const fs::path root = this->root();
    std::vector<std::string> folders;
    std::set<std::string> names;
    for (const auto& file : files) {
      const fs::path below = file.lexically_relative(root);
      if (!below.has_parent_path())
        throw Error(file.string() +
                    " is in the folder of no class; with `labels` each image is in one of " +
                    root.string());
      folders.push_back(below.begin()->string());
      names.insert(folders.back());
    }
    std::vector<std::int64_t> out;
    for (const auto& folder : folders)
      out.push_back(std::distance(names.begin(), names.find(folder)));
    return out;
  }

  std::string set_;
  std::int64_t size_ = 0;
  bool grey_ = false, labelled_ = false;
};
}  // namespace
SCORELAB_PLUGIN(ImageFolder, dataset, "image-folder", "1.0.0", "PNG and JPEG files of a folder")
