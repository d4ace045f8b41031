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
  const auto value = [&](std::int64_t i) {
    return images.type == Array::Type::f32 ? static_cast<double>(images.as<float>()[i])
                                           : images.as<double>()[i];
  };
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t left = gap + (k % columns) * (width * scale + gap),
                       top = gap + (k / columns) * (height * scale + gap);
    for (std::int64_t y = 0; y < height * scale; ++y) {
      for (std::int64_t x = 0; x < width * scale; ++x) {
        for (std::int64_t c = 0; c < 3; ++c) {
          const std::int64_t channel = channels == 3 ? c : 0;
          const double v =
              value(((k * channels + channel) * height + y / scale) * width + x / scale);
          pixels.bytes[static_cast<std::size_t>(((top + y) * w + left + x) * 3 + c)] =
              static_cast<std::byte>(
                  std::lround(255 * std::clamp(std::isnan(v) ? 0 : v, 0.0, 1.0)));
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
    png_image image;
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(pixels.shape[1]);
    image.height = static_cast<png_uint_32>(pixels.shape[0]);
    image.format = PNG_FORMAT_RGB;
    if (!png_image_write_to_file(&image, temporary.c_str(), 0, pixels.bytes.data(), 0, nullptr))
      throw Error("cannot write " + file.string() + ": " + image.message);
  });
}

}  // namespace scorelab::record
