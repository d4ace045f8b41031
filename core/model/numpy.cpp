#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "model/array_files.h"

namespace scorelab {
namespace {

namespace fs = std::filesystem;

/// What stands before the values.
struct Header {
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::size_t offset;
};

constexpr std::size_t longest_header = 1 << 16;

/// What a header says: a dictionary as Python writes it, in any order, with or without last commas.
class Literal {
 public:
  explicit Literal(std::string text) : text_(std::move(text)) {}
  Header header() {
    std::string type;
    std::optional<Header> shape;
    bool fortran = true;
    take("{");
    while (!next("}")) {
      const std::string key = quoted();
      take(":");
      if (key == "descr") {
        type = quoted();
      } else if (key == "fortran_order") {
        fortran = !next("False");
        if (fortran) take("True");
      } else if (key == "shape") {
        shape = Header{at::kByte, numbers(), 0};
      } else {
        fail();
      }
      if (!next(",")) {
        take("}");
        break;
      }
    }
    if (type.empty() || !shape) fail();
    static const std::map<std::string, at::ScalarType> types{
        {"|b1", at::kBool},  {"|u1", at::kByte},  {"|i1", at::kChar},
        {"<i2", at::kShort}, {"<i4", at::kInt},   {"<i8", at::kLong},
        {"<f2", at::kHalf},  {"<f4", at::kFloat}, {"<f8", at::kDouble}};
    const auto known = types.find(type);
    if (known == types.end())
      throw Error(
          fmt::format("its values are {}; expected one of |b1, |u1, |i1, <i2, <i4, <i8, "
                      "<f2, <f4, <f8, as arrays of numbers in this machine's order have",
                      type.substr(0, 20)));
    if (fortran) throw Error("it is in Fortran's order; numpy.ascontiguousarray changes that");
    shape->type = known->second;
    return *shape;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error("its header is not that of one array of numbers: " + text_.substr(0, 100));
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool next(const std::string& token) {
    space();
    if (text_.compare(at_, token.size(), token) != 0) return false;
    at_ += token.size();
    return true;
  }
  void take(const std::string& token) {
    if (!next(token)) fail();
  }
  std::string quoted() {
    space();
    const char mark = at_ < text_.size() ? text_[at_] : ' ';
    const auto end = text_.find(mark, at_ + 1);
    if ((mark != '\'' && mark != '"') || end == text_.npos) fail();
    const std::string out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out;
  }
  /// (3, 4); NumPy of Python 2 wrote (3L, 4L)
  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> out;
    take("(");
    while (!next(")")) {
      space();
      std::int64_t value = 0;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0 || out.size() == 64) fail();
      out.push_back(value);
      at_ = static_cast<std::size_t>(end - text_.data());
      next("L");
      if (!next(",")) {
        take(")");
        break;
      }
    }
    return out;
  }

  std::string text_;
  std::size_t at_ = 0;
};

/// `head`: the first bytes of a .npy file; `file`: what a message names.
Header header_of(const std::string& file, const std::string& head) {
  const auto wrong = [&](const std::string& why) {
    return Error(file + " is no .npy file that can be read: " + why);
  };
  if (head.size() < 12 || head.compare(0, 6, "\x93NUMPY") != 0)
    throw wrong("it does not begin with \\x93NUMPY");
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(head[i]));
  };
  if (byte(6) < 1 || byte(6) > 3)
    throw wrong(fmt::format("it is of version {}; expected 1 to 3", byte(6)));
  const bool first_version = byte(6) == 1;
  const std::size_t begins = first_version ? 10 : 12;
  std::size_t length = byte(8) | byte(9) << 8;
  if (!first_version) length |= byte(10) << 16 | byte(11) << 24;
  if (length > longest_header - begins || begins + length > head.size())
    throw wrong(fmt::format("its header of {} bytes is not there", length));
  try {
    Header out = Literal(head.substr(begins, length)).header();
    out.offset = begins + length;
    return out;
  } catch (const Error& e) {
    throw wrong(e.what());
  }
}

/// The bytes that the values take; more than `there` where they are more.
std::uint64_t size_of(const Header& header, std::uint64_t there) {
  std::uint64_t bytes = at::elementSize(header.type);
  if (std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end()) return 0;
  for (const std::int64_t n : header.shape) {
    const auto size = static_cast<std::uint64_t>(n);
    bytes = size != 0 && bytes > there / size ? there + 1 : bytes * size;
  }
  return bytes;
}

void expect_size(const std::string& file, const Header& header, std::uint64_t there) {
  if (size_of(header, there) != there)
    throw Error(
        fmt::format("{} does not hold the array that its header describes: {} of shape "
                    "({}), and {} bytes of values are there",
                    file, c10::toString(header.type), fmt::join(header.shape, ", "), there));
}

at::Tensor mapped(const fs::path& file) {
  const Header header = header_of(file.string(), read_head(file, longest_header));
  const std::uint64_t size = fs::file_size(file);
  expect_size(file.string(), header, size < header.offset ? 0 : size - header.offset);
  if (size == header.offset) return at::empty({0}, header.type);  // whatever its other axes say
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int why = errno;
  if (fd >= 0) close(fd);
  if (at == MAP_FAILED) throw Error("cannot map " + file.string() + ": " + std::strerror(why));
  return at::from_blob(
      static_cast<char*>(at) + header.offset, header.shape, [at, size](void*) { munmap(at, size); },
      header.type);
}

/// A .npz file: a ZIP archive of .npy files.
class Archive {
 public:
  explicit Archive(fs::path file) : file_(std::move(file)), zip_(nullptr, zip_discard) {
    int code = 0;
    zip_.reset(zip_open(file_.c_str(), ZIP_RDONLY, &code));
    if (!zip_) {
      zip_error_t error;
      zip_error_init_with_code(&error, code);
      const std::string why = zip_error_strerror(&error);
      zip_error_fini(&error);
      throw Error(file_.string() + " cannot be opened as an archive: " + why);
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip_.get(), 0); ++i)
      if (const char* name = zip_get_name(zip_.get(), static_cast<zip_uint64_t>(i), 0))
        if (const std::string own = name; own.ends_with(".npy"))
          out.push_back(own.substr(0, own.size() - 4));
    return out;
  }

  at::Tensor array(const std::string& name) const {
    const std::string where = file_.string() + ", array `" + name + "`";
    zip_stat_t known;
    const auto index = zip_name_locate(zip_.get(), (name + ".npy").c_str(), 0);
    if (index < 0)
      throw Error(fmt::format("{} holds no array `{}`; it holds {}", file_.string(), name,
                              fmt::join(names(), ", ")));
    if (zip_stat_index(zip_.get(), static_cast<zip_uint64_t>(index), 0, &known) != 0 ||
        !(known.valid & ZIP_STAT_SIZE))
      throw Error(where + " has no size");
    // deflate packs to a thousandth at best: a small file does not unpack to all of the memory
    if (known.size > 1100 * fs::file_size(file_))
      throw Error(fmt::format("{} says that it unpacks to {} bytes, which this file cannot hold",
                              where, known.size));
    const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> entry(
        zip_fopen_index(zip_.get(), static_cast<zip_uint64_t>(index), 0), zip_fclose);
    if (!entry) throw Error(where + " cannot be read: " + zip_strerror(zip_.get()));
    const auto read = [&](char* to, std::uint64_t count) {
      for (std::uint64_t have = 0; have < count;) {
        const auto n = zip_fread(entry.get(), to + have, count - have);
        if (n <= 0) throw Error(where + " is damaged: it does not unpack to its end");
        have += static_cast<std::uint64_t>(n);
      }
    };
    std::string head(std::min<std::uint64_t>(known.size, longest_header), 0);
    read(head.data(), head.size());
    const Header header = header_of(where, head);
    const std::uint64_t values = known.size - header.offset, have = head.size() - header.offset;
    expect_size(where, header, values);
    if (values == 0) return at::empty({0}, header.type);  // whatever its other axes say
    at::Tensor out = at::empty(header.shape, header.type);
    auto* to = static_cast<char*>(out.data_ptr());
    if (have > 0) std::memcpy(to, head.data() + header.offset, have);
    if (values > have) read(to + have, values - have);
    char beyond = 0;  // what has been read to its end has had its checksum compared
    if (zip_fread(entry.get(), &beyond, 1) != 0) throw Error(where + " is damaged: its checksum");
    return out;
  }

 private:
  fs::path file_;
  std::unique_ptr<zip_t, void (*)(zip_t*)> zip_;
};

}  // namespace

bool is_archive(const fs::path& file) {
  char head[2] = {};
  std::ifstream(file, std::ios::binary).read(head, 2);
  if (head[0] == '\x1f' && head[1] == '\x8b')
    throw Error(file.string() + " is packed with gzip: unpack it first");
  return head[0] == 'P' && head[1] == 'K';
}

at::Tensor read_numpy(const fs::path& file, const std::string& name) {
  if (!is_archive(file)) {
    if (!name.empty())
      throw Error(
          fmt::format("{} is no archive (.npz): it has one array, without a name, and `{}` "
                      "was asked for",
                      file.string(), name));
    return mapped(file);
  }
  const Archive archive(file);
  if (!name.empty()) return archive.array(name);
  const auto names = archive.names();
  if (names.size() != 1)
    throw Error(fmt::format("{} holds {} arrays{}{}; say which: `array`", file.string(),
                            names.size(), names.empty() ? "" : ": ", fmt::join(names, ", ")));
  return archive.array(names[0]);
}

}  // namespace scorelab
