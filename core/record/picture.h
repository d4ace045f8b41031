#pragma once
#include <filesystem>

#include "record/hdf5.h"

namespace scorelab::record {

/// Whether samples of this shape, [n, C, H, W] with 1 or 3 channels, are images.
bool is_images(const std::vector<std::int64_t>& shape);
/// The pixels of write_grid, [height, width, 3] of u8.
Array grid_of(const Array& images, std::int64_t most = 64, std::int64_t columns = 0);
/// [n, H, W, `channels`] of u8: nearest bytes of images' values in [0, 1] (others are clipped), as
/// pictures store them. `channels`: the images' own number, or 3, which repeats a single one.
Array bytes_of(const Array& images, std::int64_t channels);
/// One picture of `bytes_of` as a PNG file, which is not synced. Throws Error.
void write_png(const fs::path& file, const Array& bytes, std::int64_t index);
/// Up to `most` images of values in [0, 1] (others are clipped) as one PNG, in rows, each pixel
/// enlarged; columns 0: nearly a square.
void write_grid(const fs::path& file, const Array& images, std::int64_t most = 64,
                std::int64_t columns = 0);

}  // namespace scorelab::record
