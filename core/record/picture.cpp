#include "picture.h"

#include <png.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace scorelab::record {

bool is_images(const std::vector<std::int64_t>& shape) {
  return shape.size() == 4 && (shape[1] == 1 || shape[1] == 3) && shape[0] > 0 && shape[2] > 1 &&
         shape[3] > 1;
}

namespace {

std::byte byte_of(double v) {
  return static_cast<std::byte>(std::lround(255 * std::clamp(std::isnan(v) ? 0 : v, 0.0, 1.0)));
}

double value_of(const Array& images, std::int64_t i) {
  return images.type == Array::Type::f32 ? static_cast<double>(images.as<float>()[i])
                                         : images.as<double>()[i];
}

/// `shown`: the file that a message names.
void write_png(const fs::path& file, const fs::path& shown, const std::byte* pixels,
               std::int64_t height, std::int64_t width, std::int64_t channels) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  if (!png_image_write_to_file(&image, file.c_str(), 0, pixels, 0, nullptr))
    throw Error("cannot write " + shown.string() + ": " + image.message);
}

}  // namespace

Array bytes_of(const Array& images, std::int64_t channels) {
  const std::int64_t n = images.shape[0], own = images.shape[1], height = images.shape[2],
                     width = images.shape[3];
  Array out{Array::Type::u8, {n, height, width, channels}, {}};
  out.bytes.reserve(static_cast<std::size_t>(out.count()));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t pixel = 0; pixel < height * width; ++pixel)
      for (std::int64_t c = 0; c < channels; ++c)
        out.bytes.push_back(
            byte_of(value_of(images, (i * own + std::min(c, own - 1)) * height * width + pixel)));
  return out;
}

void write_png(const fs::path& file, const Array& bytes, std::int64_t index) {
  const std::int64_t height = bytes.shape[1], width = bytes.shape[2], channels = bytes.shape[3];
  write_png(file, file, bytes.bytes.data() + index * height * width * channels, height, width,
            channels);
}

Array grid_of(const Array& images, std::int64_t most, std::int64_t columns) {
  const std::int64_t n = std::min(images.shape[0], most), channels = images.shape[1],
                     height = images.shape[2], width = images.shape[3];
  if (columns == 0)
    columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(n))));
  columns = std::clamp<std::int64_t>(columns, 1, std::max<std::int64_t>(1, n));
  const std::int64_t rows = (n + columns - 1) / columns;
  const std::int64_t scale = std::max<std::int64_t>(1, 48 / std::max(height, width)), gap = 2;
  const std::int64_t w = columns * (width * scale + gap) + gap,
                     h = rows * (height * scale + gap) + gap;
  Array pixels{Array::Type::u8,
               {h, w, 3},
               std::vector<std::byte>(static_cast<std::size_t>(w * h * 3), std::byte{255})};
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t left = gap + (k % columns) * (width * scale + gap),
                       top = gap + (k / columns) * (height * scale + gap);
    for (std::int64_t y = 0; y < height * scale; ++y) {
      for (std::int64_t x = 0; x < width * scale; ++x) {
        for (std::int64_t c = 0; c < 3; ++c) {
          const std::int64_t channel = channels == 3 ? c : 0;
          pixels.bytes[static_cast<std::size_t>(((top + y) * w + left + x) * 3 + c)] =
              byte_of(value_of(
                  images, ((k * channels + channel) * height + y / scale) * width + x / scale));
        }
      }
    }
  }
  return pixels;
}

void write_grid(const fs::path& file, const Array& images, std::int64_t most,
                std::int64_t columns) {
  const Array pixels = grid_of(images, most, columns);
  replace_whole(file, [&](const fs::path& temporary) {
    write_png(temporary, file, pixels.bytes.data(), pixels.shape[0], pixels.shape[1], 3);
  });
}

}  // namespace scorelab::record
