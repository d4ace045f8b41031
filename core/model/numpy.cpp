#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/dataset.h>
#include <scorelab/numpy.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <regex>

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
  const bool first_version = byte(6) == 1;
  const std::size_t begins = first_version ? 10 : 12;
  std::size_t length = byte(8) | byte(9) << 8;
  if (!first_version) length |= byte(10) << 16 | byte(11) << 24;
  if (length > longest_header - begins || begins + length > head.size())
    throw wrong(fmt::format("its header of {} bytes is not there", length));
  const std::string text = head.substr(begins, length);
  static const std::regex form(
      R"(\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \}\s*)");
  std::smatch parts;
  if (!std::regex_match(text, parts, form))
    throw wrong("its header is not that of one array of numbers: " + text.substr(0, 100));
  static const std::map<std::string, at::ScalarType> types{
      {"|u1", at::kByte}, {"|i1", at::kChar}, {"<i2", at::kShort}, {"<i4", at::kInt},
      {"<i8", at::kLong}, {"<f2", at::kHalf}, {"<f4", at::kFloat}, {"<f8", at::kDouble}};
  const auto type = types.find(parts[1]);
  if (type == types.end())
    throw wrong(
        fmt::format("its values are {}; expected one of |u1, |i1, <i2, <i4, <i8, <f2, <f4, "
                    "<f8, as arrays of numbers in this machine's order have",
                    parts[1].str()));
  if (parts[2] == "True")
    throw wrong("it is in Fortran's order; numpy.ascontiguousarray changes that");
  Header out{type->second, {}, begins + length};
  const std::string shape = parts[3];
  static const std::regex number("[0-9]+");
  for (std::sregex_iterator i(shape.begin(), shape.end(), number), end; i != end; ++i) {
    if (i->str().size() > 15) throw wrong("its shape is (" + shape + ")");
    out.shape.push_back(std::stoll(i->str()));
  }
  return out;
}

/// The bytes that the values take; more than `there` where they are more.
std::uint64_t size_of(const Header& header, std::uint64_t there) {
  std::uint64_t bytes = at::elementSize(header.type);
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
  if (size == header.offset) return at::empty(header.shape, header.type);
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

at::Tensor read_numpy(const fs::path& file, const std::string& name) {
  const std::string head = read_head(file, 6);
  if (!head.starts_with("PK")) {
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

void NumpyArrays::params(Params& p) {
  p("file", file_, "a .npy or .npz file").file().required();
  p("array", array_, "which array of an archive (.npz); empty: its only one");
  p("classes", classes_, "number of classes; 0: items have no labels").range(0, 1e6);
  p("labels", labels_, "the array of an archive with the class of each item, 0 and up")
      .above("classes", 0);
  p("labels_file", labels_file_, "the file with the labels, where it is not `file`")
      .file()
      .above("classes", 0);
  p.gives("items");
  p.gives("labels").above("classes", 0);
}

at::Tensor NumpyArrays::items() const {
  at::Tensor out = read_numpy(file_, array_);
  if (out.dim() < 2 || out.numel() == 0)
    throw Error(
        c10::str(file_, " holds no items: its shape is ", out.sizes(), "; expected [items, ..]"));
  return out;
}

std::vector<std::int64_t> NumpyArrays::labels(std::int64_t count) const {
  if (classes_ == 0) return {};
  const fs::path file = labels_file_.empty() ? file_ : labels_file_;
  const bool archive = read_head(file, 2) == "PK";
  const at::Tensor found = read_numpy(file, archive ? labels_ : "");
  if (found.dim() != 1 || found.size(0) != count || !at::isIntegralType(found.scalar_type(), false))
    throw Error(c10::str(file.string(), " holds no labels of these items: ", found.scalar_type(),
                         " of shape ", found.sizes(), "; expected ", count, " whole numbers"));
  const at::Tensor all = found.to(at::kLong).contiguous();
  const std::int64_t low = all.min().item<std::int64_t>(), high = all.max().item<std::int64_t>();
  if (low < 0 || high >= classes_)
    throw Error(fmt::format("{} has labels from {} to {}; expected 0 to {} with `classes = {}`",
                            file.string(), low, high, classes_ - 1, classes_));
  return {all.const_data_ptr<std::int64_t>(), all.const_data_ptr<std::int64_t>() + count};
}

}  // namespace scorelab
