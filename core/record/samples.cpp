#include "samples.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

namespace scorelab::record {
namespace {

fs::path file_of(const fs::path& folder, std::int64_t first) { return folder / fmt::format("{:08}.h5", first); }

SampleChunk load(const fs::path& file) {
  const Handle h5 = open_file(file);
  SampleChunk c;
  c.first = read_integer(h5, "first");
  c.seconds = read_number(h5, "seconds");
  c.x = read(h5, "x");
  const Array nfe = read(h5, "nfe");
  c.nfe.assign(nfe.as<std::int64_t>(), nfe.as<std::int64_t>() + nfe.count());
  if (exists(h5, "beside")) {
    const Handle beside = open_group(h5, "beside");
    for (const auto& name : names(beside)) c.beside.emplace_back(name, read(beside, name));
  }
  return c;
}

/// [S, k, ..] cut to [S, count, ..] where k is larger.
Array first_columns(Array a, std::int64_t count) {
  if (a.shape[1] <= count) return a;
  const std::size_t row = a.bytes.size() / static_cast<std::size_t>(a.shape[0]),
                    kept = row / static_cast<std::size_t>(a.shape[1]) * static_cast<std::size_t>(count);
  Array out{a.type, a.shape, {}};
  out.shape[1] = count;
  for (std::size_t at = 0; at < a.bytes.size(); at += row) out.bytes.insert(out.bytes.end(), &a.bytes[at], &a.bytes[at] + kept);
  return out;
}

/// Adds the first n rows.
void append(Array& to, const Array& from, std::int64_t n) {
  if (to.shape.empty()) to = {from.type, from.shape, {}}, to.shape[0] = 0;
  const std::size_t row = from.bytes.size() / static_cast<std::size_t>(from.shape[0]);
  to.bytes.insert(to.bytes.end(), from.bytes.begin(), from.bytes.begin() + static_cast<std::ptrdiff_t>(row) * n);
  to.shape[0] += n;
}

}  // namespace

void save_samples(const fs::path& folder, const SampleChunk& chunk) {
  replace_whole(file_of(folder, chunk.first), [&](const fs::path& temporary) {
    const Handle h5 = create_file(temporary);
    attribute(h5, "first", chunk.first);
    attribute(h5, "seconds", chunk.seconds);
    write(h5, "x", chunk.x);
    write(h5, "nfe", Array::of(chunk.nfe));
    if (chunk.beside.empty()) return;
    const Handle beside = create_group(h5, "beside");
    for (const auto& [name, array] : chunk.beside) write(beside, name, array);
  });
}

bool has_samples(const fs::path& folder, std::int64_t first, std::int64_t n) {
  if (!fs::exists(file_of(folder, first))) return false;
  try {
    return static_cast<std::int64_t>(load(file_of(folder, first)).nfe.size()) >= n;
  } catch (const Error&) {
    return false;
  }
}

SampleChunk load_chunk(const fs::path& folder, std::int64_t first) { return load(file_of(folder, first)); }

void save_trace(const fs::path& folder, const Trace& trace) {
  replace_whole(folder / "trace.h5", [&](const fs::path& temporary) {
    const Handle h5 = create_file(temporary);
    write(h5, "t", trace.t);
    write(h5, "x", trace.x);
  });
}

std::int64_t traced(const fs::path& folder) {
  if (!fs::exists(folder / "trace.h5")) return 0;
  try {
    return read(open_file(folder / "trace.h5"), "t").shape.at(1);
  } catch (const Error&) {
    return 0;
  }
}

Trace load_trace(const fs::path& folder, std::int64_t count) {
  const Handle h5 = open_file(folder / "trace.h5");
  return {first_columns(read(h5, "t"), count), first_columns(read(h5, "x"), count)};
}

SampleChunk load_samples(const fs::path& folder, std::int64_t count) {
  SampleChunk all;
  std::int64_t have = 0;
  while (have < count) {
    if (!fs::exists(file_of(folder, have)))
      throw Error(fmt::format("{} samples were asked for, {} holds {}", count, folder.string(), have));
    SampleChunk next = load(file_of(folder, have));
    const auto n = std::min<std::int64_t>(count - have, static_cast<std::int64_t>(next.nfe.size()));
    append(all.x, next.x, n);
    if (have == 0)
      for (const auto& [name, array] : next.beside) all.beside.emplace_back(name, Array{});
    for (std::size_t i = 0; i < all.beside.size(); ++i) append(all.beside[i].second, next.beside.at(i).second, n);
    all.nfe.insert(all.nfe.end(), next.nfe.begin(), next.nfe.begin() + n);
    all.seconds += next.seconds;
    have += n;
  }
  return all;
}

}  // namespace scorelab::record
