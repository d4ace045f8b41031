#include "record/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace scorelab::record {
namespace {

constexpr std::size_t longest_header = 100000000;  // the format's own bound
constexpr std::size_t most_dimensions = 16;

std::size_t size_of(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "U8" || dtype == "I8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2")
    return 1;
  return 0;
}

float widened(std::uint16_t bits, bool brain) {
  if (brain) return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0F : 1.0F;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                               : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25));
}

const char* dtype_of(Array::Type type) {
  switch (type) {
    case Array::Type::f32:
      return "F32";
    case Array::Type::f64:
      return "F64";
    case Array::Type::i64:
      return "I64";
    case Array::Type::u8:
      return "U8";
  }
  return "";
}

}  // namespace

Safetensors::Entry Safetensors::entry_of(const std::string& name, const Json& j,
                                         std::uint64_t bytes) const {
  const auto refuse = [&](const std::string& why) {
    throw Damaged(file_, fmt::format("its tensor `{}` {}", name, why));
  };
  Entry e;
  e.dtype = j.at("dtype").get<std::string>();
  e.shape = j.at("shape").get<std::vector<std::int64_t>>();
  const auto offsets = j.at("data_offsets").get<std::vector<std::uint64_t>>();
  if (size_of(e.dtype) == 0) refuse(fmt::format("has the unknown type {}", e.dtype));
  if (e.shape.size() > most_dimensions) refuse("has more than 16 dimensions");
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > bytes)
    refuse("lies outside of the file");
  e.begin = offsets[0];
  e.end = offsets[1];
  std::size_t left = (e.end - e.begin) / size_of(e.dtype), count = 1;
  for (const std::int64_t n : e.shape) {
    if (n < 0 || (n > 0 && count > left / static_cast<std::size_t>(n)))
      refuse("has another size than its place in the file");
    count *= static_cast<std::size_t>(n);
  }
  if (count * size_of(e.dtype) != e.end - e.begin)
    refuse("has another size than its place in the file");
  return e;
}

Safetensors::Safetensors(const fs::path& file) : file_(file) {
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown))
    throw Damaged(file, "it is no regular file, or is not there");
  const std::size_t size = fs::file_size(file);
  in_.open(file, std::ios::binary);
  std::uint64_t length = 0;
  if (!in_.read(reinterpret_cast<char*>(&length), 8))
    throw Damaged(file, "it is shorter than the 8 bytes that begin a safetensors file");
  if (length > longest_header || length > size - 8)
    throw Damaged(
        file,
        fmt::format(
            "its header is said to have {} bytes, and the file has {}: it is no safetensors file",
            length, size));
  data_ = 8 + length;
  std::string text(length, '\0');
  if (!in_.read(text.data(), static_cast<std::streamsize>(length)))
    throw Damaged(file, "its header cannot be read");
  const Json header = [&] {
    try {
      return parse_shallow(text);
    } catch (const Error& e) {
      throw Damaged(file, fmt::format("its header is refused: {}", e.what()));
    }
  }();
  if (!header.is_object()) throw Damaged(file, "its header is no JSON object");
  shaped(file, [&] {
    for (const auto& [name, j] : header.items())
      if (name != "__metadata__") {
        entries_[name] = entry_of(name, j, size - data_);
        names_.push_back(name);
      }
    return 0;
  });
  std::sort(names_.begin(), names_.end(), [&](const std::string& a, const std::string& b) {
    return std::pair(entries_[a].begin, entries_[a].end) <
           std::pair(entries_[b].begin, entries_[b].end);
  });
  std::size_t at = 0;
  for (const auto& name : names_) {
    if (entries_[name].begin != at)
      throw Damaged(file, fmt::format("its tensor `{}` overlaps another, or leaves a gap", name));
    at = entries_[name].end;
  }
  if (at != size - data_)
    throw Damaged(file, fmt::format("{} bytes follow its last tensor", size - data_ - at));
}

Array Safetensors::read(const std::string& name) {
  const Entry& e = entries_.at(name);
  const bool half = e.dtype == "F16" || e.dtype == "BF16";
  Array out;
  if (half || e.dtype == "F32")
    out.type = Array::Type::f32;
  else if (e.dtype == "F64")
    out.type = Array::Type::f64;
  else if (e.dtype == "I64")
    out.type = Array::Type::i64;
  else if (e.dtype == "U8")
    out.type = Array::Type::u8;
  else
    throw Error(
        fmt::format("{}: the tensor `{}` is of {}; F64, F32, F16, BF16, I64 and U8 are read",
                    file_.string(), name, e.dtype));
  out.shape = e.shape;
  std::vector<std::byte> bytes(e.end - e.begin);
  in_.clear();
  in_.seekg(static_cast<std::streamoff>(data_ + e.begin));
  if (!bytes.empty() &&
      !in_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw Damaged(file_, fmt::format("its tensor `{}` cannot be read", name));
  if (!half) {
    out.bytes = std::move(bytes);
    return out;
  }
  out.bytes.resize(bytes.size() * 2);
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &bytes[2 * i], 2);
    const float value = widened(bits, e.dtype == "BF16");
    std::memcpy(&out.bytes[4 * i], &value, 4);
  }
  return out;
}

void save_safetensors(const fs::path& file, const NamedArrays& tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t at = 0;
  for (const auto& [name, array] : tensors) {
    header[name] = {{"dtype", dtype_of(array.type)},
                    {"shape", array.shape},
                    {"data_offsets", {at, at + array.bytes.size()}}};
    at += array.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the bytes are aligned
  std::uint64_t length = text.size();
  std::string all(reinterpret_cast<const char*>(&length), 8);
  all += text;
  all.reserve(all.size() + at);
  for (const auto& [name, array] : tensors)
    all.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  write_whole(file, all);
}

}  // namespace scorelab::record
