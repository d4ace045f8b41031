#include "record/npz.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <cerrno>
#include <fstream>
#include <memory>

namespace scorelab::record {
namespace {

const char* numpy_type(Array::Type type) {
  switch (type) {
    case Array::Type::f32:
      return "<f4";
    case Array::Type::f64:
      return "<f8";
    case Array::Type::i64:
      return "<i8";
    case Array::Type::u8:
      return "|u1";
  }
  return "";
}

/// The magic, version 1.0, the length of the text, and the text, which ends a multiple of 64 bytes.
std::string header_of(const NpzArray& a) {
  const std::string comma = a.shape.size() == 1 ? "," : "";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 numpy_type(a.type), fmt::join(a.shape, ", "), comma);
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size() % 256) +
         static_cast<char>(text.size() / 256) + text;
}

/// A .npy file that is there as long as this.
class Part {
 public:
  Part(const fs::path& file, const NpzArray& a) : file_(file) {
    try {
      write(a);
    } catch (...) {
      remove();
      throw;
    }
  }
  ~Part() { remove(); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  const fs::path& file() const { return file_; }

 private:
  void write(const NpzArray& a) const {
    std::ofstream out(file_, std::ios::binary | std::ios::trunc);
    const std::string header = header_of(a);
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    std::uint64_t missing = Array::size_of(a.type);
    for (const auto n : a.shape) missing *= static_cast<std::uint64_t>(n);
    a.fill([&](const Array& rows) {
      if (rows.type != a.type || rows.bytes.size() > missing)
        throw Error("internal: more than the array `" + a.name + "` holds");
      missing -= rows.bytes.size();
      out.write(reinterpret_cast<const char*>(rows.bytes.data()),
                static_cast<std::streamsize>(rows.bytes.size()));
    });
    out.close();
    if (!out) throw io_error("write", file_, errno);
    if (missing > 0) throw Error("internal: less than the array `" + a.name + "` holds");
  }
  void remove() const {
    std::error_code none;
    fs::remove(file_, none);
  }

  fs::path file_;
};

}  // namespace

void save_npz(const fs::path& file, const std::vector<NpzArray>& arrays) {
  replace_whole(file, [&](const fs::path& temporary) {
    std::vector<std::unique_ptr<Part>> parts;
    // beside it, under names that remove_stale knows: they end in the process and .tmp
    for (const auto& a : arrays)
      parts.push_back(std::make_unique<Part>(
          file.parent_path() / ("." + a.name + temporary.filename().string()), a));
    int code = 0;
    zip_t* opened = zip_open(temporary.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!opened) throw io_error("make", file, errno);
    std::unique_ptr<zip_t, void (*)(zip_t*)> zip(opened, zip_discard);
    const auto refused = [&] {
      return Error(fmt::format("cannot write {}: {}", file.string(), zip_strerror(zip.get())));
    };
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      zip_source_t* source = zip_source_file(zip.get(), parts[i]->file().c_str(), 0, -1);
      if (!source) throw refused();
      const zip_int64_t at =
          zip_file_add(zip.get(), (arrays[i].name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
      if (at < 0) {
        zip_source_free(source);
        throw refused();
      }
      const auto index = static_cast<zip_uint64_t>(at);
      // 1 January 1980, the first date that there is: not when it was written
      if (zip_set_file_compression(zip.get(), index, ZIP_CM_STORE, 0) != 0 ||
          zip_file_set_dostime(zip.get(), index, 0, 0x21, 0) != 0)
        throw refused();
    }
    if (zip_close(zip.get()) != 0) throw refused();
    (void)zip.release();  // closed
  });
}

}  // namespace scorelab::record
