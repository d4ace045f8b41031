#include "samples.h"

#include <fmt/format.h>
#include <scorelab/error.h>

#include <algorithm>

namespace scorelab::record {
namespace {

using Type = Array::Type;

fs::path file_of(const fs::path& folder, std::int64_t first) {
  return folder / fmt::format("{:08}.h5", first);
}

[[noreturn]] void damaged(const fs::path& file, const std::string& why) {
  throw Damaged(file, why);
}

/// [n, ..] of floats, n at least 1.
void expect_rows(const fs::path& file, const Array& x, std::int64_t n, const std::string& name) {
  if (x.shape.empty() || x.shape[0] != n || x.bytes.empty())
    damaged(file, fmt::format("`{}` has not one row for each of {} samples", name, n));
}

SampleChunk load(const fs::path& folder, std::int64_t first) {
  const fs::path file = file_of(folder, first);
  try {
    const Handle h5 = open_verified(file);
    SampleChunk c;
    c.first = read_integer(h5, "first");
    if (c.first != first || read_text(h5, "stage") != stage_of(folder))
      damaged(file, "it holds the samples of another place");
    c.seconds = read_number(h5, "seconds");
    c.x = read(h5, "x");
    if (c.x.type != Type::f32 && c.x.type != Type::f64) damaged(file, "`x` holds no floats");
    const Array nfe = read(h5, "nfe", {Type::i64}, 1);
    expect_rows(file, c.x, nfe.count(), "x");
    c.nfe.assign(nfe.as<std::int64_t>(), nfe.as<std::int64_t>() + nfe.count());
    if (exists(h5, "beside")) {
      const Handle beside = open_group(h5, "beside");
      for (const auto& name : names(beside)) {
        c.beside.emplace_back(name, read(beside, name));
        expect_rows(file, c.beside.back().second, nfe.count(), name);
      }
    }
    return c;
  } catch (const Damaged&) {
    throw;
  } catch (const IoError&) {
    throw;
  } catch (const Error& e) {
    damaged(file, e.what());
  }
}

/// [S, k, ..] cut to [S, count, ..] where k is larger.
Array first_columns(Array a, std::int64_t count) {
  if (a.shape[1] <= count) return a;
  const std::size_t row = a.bytes.size() / static_cast<std::size_t>(a.shape[0]),
                    kept = row / static_cast<std::size_t>(a.shape[1]) *
                           static_cast<std::size_t>(count);
  Array out{a.type, a.shape, {}};
  out.shape[1] = count;
  for (std::size_t at = 0; at < a.bytes.size(); at += row)
    out.bytes.insert(out.bytes.end(), a.bytes.data() + at, a.bytes.data() + at + kept);
  return out;
}

/// Adds n rows, from `first` on.
void append(const fs::path& folder, Array& to, const Array& from, std::int64_t first,
            std::int64_t n) {
  if (to.shape.empty()) to = {from.type, from.shape, {}}, to.shape[0] = 0;
  if (to.type != from.type ||
      !std::equal(to.shape.begin() + 1, to.shape.end(), from.shape.begin() + 1, from.shape.end()))
    damaged(folder, "its files hold samples of different shapes");
  const std::size_t row = from.bytes.size() / static_cast<std::size_t>(from.shape[0]);
  const auto begin = from.bytes.begin() + static_cast<std::ptrdiff_t>(row) * first;
  to.bytes.insert(to.bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(row) * n);
  to.shape[0] += n;
}

}  // namespace

void save_samples(const fs::path& folder, const SampleChunk& chunk) {
  write_hdf5(file_of(folder, chunk.first), [&](hid_t h5) {
    attribute(h5, "first", chunk.first);
    attribute(h5, "stage", stage_of(folder));
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
    return static_cast<std::int64_t>(load(folder, first).nfe.size()) >= n;
  } catch (const Damaged&) {
    return false;
  }
}

SampleChunk load_chunk(const fs::path& folder, std::int64_t first) { return load(folder, first); }

void save_trace(const fs::path& folder, const Trace& trace) {
  write_hdf5(folder / "trace.h5", [&](hid_t h5) {
    attribute(h5, "stage", stage_of(folder));
    write(h5, "t", trace.t);
    write(h5, "x", trace.x);
  });
}

std::int64_t traced(const fs::path& folder) {
  if (!fs::exists(folder / "trace.h5")) return 0;
  try {
    return read(open_verified(folder / "trace.h5"), "t", {Type::f32, Type::f64}, 2).shape[1];
  } catch (const Damaged&) {
    return 0;
  }
}

Trace load_trace(const fs::path& folder, std::int64_t count) {
  const fs::path file = folder / "trace.h5";
  if (!fs::exists(file)) damaged(file, "it is gone");
  const Handle h5 = open_verified(file);
  if (read_text(h5, "stage") != stage_of(folder))
    damaged(file, "it holds the paths of another place");
  Array t = read(h5, "t", {Type::f32, Type::f64}, 2), x = read(h5, "x");
  if (x.shape.size() < 2 || x.shape[0] != t.shape[0] || x.shape[1] != t.shape[1] || x.bytes.empty())
    damaged(file, "its paths and their times do not go together");
  return {first_columns(std::move(t), count), first_columns(std::move(x), count)};
}

StoredSamples::StoredSamples(fs::path folder, std::int64_t count) : folder_(std::move(folder)) {
  firsts_.push_back(0);
  while (firsts_.back() < count) {
    if (!fs::exists(file_of(folder_, firsts_.back())))
      throw Damaged(folder_, fmt::format("it holds {} samples, and {} were asked for",
                                         firsts_.back(), count));
    open_ = load(folder_, firsts_.back());
    const std::vector<std::int64_t> own(open_.x.shape.begin() + 1, open_.x.shape.end());
    if (firsts_.size() == 1) shape_ = own;
    if (own != shape_) damaged(folder_, "its files hold samples of different shapes");
    firsts_.push_back(firsts_.back() + open_.x.shape[0]);
  }
}

const SampleChunk& StoredSamples::chunk_of(std::int64_t sample) {
  const std::int64_t first = *std::prev(std::upper_bound(firsts_.begin(), firsts_.end(), sample));
  if (open_.first != first) open_ = load(folder_, first);
  return open_;
}

Array StoredSamples::rows(std::int64_t first, std::int64_t count) {
  Array out;
  while (count > 0) {
    const SampleChunk& chunk = chunk_of(first);
    const std::int64_t skipped = first - chunk.first,
                       n = std::min(count, chunk.x.shape[0] - skipped);
    append(folder_, out, chunk.x, skipped, n);
    first += n;
    count -= n;
  }
  return out;
}

SampleChunk load_samples(const fs::path& folder, std::int64_t count) {
  SampleChunk all;
  std::int64_t have = 0;
  while (have < count) {
    if (!fs::exists(file_of(folder, have)))
      throw Damaged(folder, fmt::format("it holds {} samples, and {} were asked for", have, count));
    SampleChunk next = load(folder, have);
    const auto n = std::min<std::int64_t>(count - have, static_cast<std::int64_t>(next.nfe.size()));
    append(folder, all.x, next.x, 0, n);
    if (have == 0)
      for (const auto& [name, array] : next.beside) all.beside.emplace_back(name, Array{});
    if (next.beside.size() != all.beside.size())
      damaged(folder, "its files hold different arrays beside the samples");
    for (std::size_t i = 0; i < all.beside.size(); ++i)
      append(folder, all.beside[i].second, next.beside[i].second, 0, n);
    all.nfe.insert(all.nfe.end(), next.nfe.begin(), next.nfe.begin() + n);
    all.seconds += next.seconds;
    have += n;
  }
  return all;
}

}  // namespace scorelab::record
