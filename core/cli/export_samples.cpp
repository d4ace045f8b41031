#include <fmt/format.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <set>

#include "cli/command.h"
#include "cli/export.h"
#include "record/npz.h"
#include "record/picture.h"
#include "record/samples.h"

namespace scorelab::cli {
namespace {

/// The stored samples of one run.
struct Sampled {
  std::string name;  ///< of what is written
  fs::path folder;
  std::int64_t count;
};

int for_each_sampled(const Launched& l, const std::function<void(const Sampled&)>& write) {
  std::set<std::pair<std::string, std::int64_t>> seen;
  const auto left_out = [&](const Launched::Replicate& r, const char* why) {
    std::cerr << fmt::format("left out: {}: {}\n", l.title(r), why);
  };
  std::size_t written = 0;
  for (const auto& r : l.replicates)
    for (const auto& s : r.stages) {
      if (s.kind != "sample" || !seen.emplace(s.key, s.count).second) continue;
      const Json done = stored_result(l, s);
      if (done.is_null()) {
        left_out(r, "its sampling is not done");
      } else if (done.contains("moments")) {
        left_out(r, "its samples are known by their moments alone (sample.moments = \"exact\")");
      } else {
        write({file_name(l, r), record::stage_folder(l.results, s.key) / "samples", s.count});
        ++written;
      }
    }
  if (written == 0)
    throw NothingThere(fmt::format("`{}` has no samples: there is nothing to export", l.name));
  return done;
}

/// Does `f` for every file of samples, cut to those that are asked for.
void for_each_chunk(const Sampled& run,
                    const std::function<void(const record::SampleChunk& chunk)>& f) {
  for (std::int64_t first = 0; first < run.count;) {
    record::SampleChunk chunk = record::load_chunk(run.folder, first);
    const auto have = static_cast<std::int64_t>(chunk.nfe.size()),
               n = std::min(have, run.count - first);
    const auto cut = [&](record::Array& a) {
      a.bytes.resize(a.bytes.size() / static_cast<std::size_t>(have) * static_cast<std::size_t>(n));
      a.shape[0] = n;
    };
    cut(chunk.x);
    for (auto& [name, array] : chunk.beside) cut(array);
    chunk.nfe.resize(static_cast<std::size_t>(n));
    f(chunk);
    first += n;
  }
}

std::vector<std::int64_t> with_first(std::vector<std::int64_t> shape, std::int64_t count) {
  shape[0] = count;
  return shape;
}

void write_npz(const fs::path& file, const Sampled& run) {
  const record::SampleChunk first = record::load_chunk(run.folder, 0);
  const bool images = record::is_images(first.x.shape);
  const auto shape = first.x.shape;
  std::vector<record::NpzArray> arrays;
  arrays.push_back(
      {"arr_0", images ? record::Array::Type::u8 : first.x.type,
       images ? std::vector{run.count, shape[2], shape[3], std::int64_t{3}}
              : with_first(shape, run.count),
       [&, images](const record::NpzArray::Put& put) {
         for_each_chunk(run, [&](const auto& c) { put(images ? record::bytes_of(c.x, 3) : c.x); });
       }});
  for (std::size_t i = 0; i < first.beside.size(); ++i) {
    const auto& [name, array] = first.beside[i];
    arrays.push_back({name, array.type, with_first(array.shape, run.count),
                      [&run, i](const record::NpzArray::Put& put) {
                        for_each_chunk(run, [&](const auto& c) {
                          if (i >= c.beside.size())
                            throw record::Damaged(
                                run.folder, "its files hold different arrays beside the samples");
                          put(c.beside[i].second);
                        });
                      }});
  }
  arrays.push_back(
      {"nfe", record::Array::Type::i64, {run.count}, [&run](const record::NpzArray::Put& put) {
         for_each_chunk(run, [&](const auto& c) { put(record::Array::of(c.nfe)); });
       }});
  record::save_npz(file, arrays);
}

void write_pictures(const fs::path& folder, const Sampled& run) {
  std::int64_t written = 0;
  for_each_chunk(run, [&](const record::SampleChunk& chunk) {
    const record::Array bytes = record::bytes_of(chunk.x, chunk.x.shape[1]);
    for (std::int64_t i = 0; i < bytes.shape[0]; ++i)
      record::write_png(folder / fmt::format("{:06}.png", written++), bytes, i);
  });
}

}  // namespace

int export_images(const Launched& l, const fs::path& folder) {
  return for_each_sampled(l, [&](const Sampled& run) {
    const fs::path out = folder / run.name;
    // pictures of an earlier export, of more samples, would be taken for some of these
    if (fs::exists(out) && !fs::is_empty(out))
      throw Error(fmt::format("{} is there and not empty: remove it, or name another folder",
                              out.string()));
    if (!record::is_images(record::load_chunk(run.folder, 0).x.shape))
      throw Error(fmt::format(
          "the samples of `{}` are no images with 1 or 3 channels; --npz writes them as numbers",
          l.name));
    // under another name until all of them are there: half of them would be taken for all
    const fs::path begun = folder / fmt::format(".{}.{}.tmp", run.name, getpid());
    record::make_folder(begun);
    try {
      write_pictures(begun, run);
      fs::rename(begun, out);
    } catch (...) {
      std::error_code none;
      fs::remove_all(begun, none);
      throw;
    }
    std::cout << out.string() << "\n";
  });
}

int export_npz(const Launched& l, const fs::path& folder) {
  record::make_folder(folder);
  record::remove_stale(folder);
  return for_each_sampled(l, [&](const Sampled& run) {
    const fs::path file = folder / (run.name + ".npz");
    write_npz(file, run);
    std::cout << file.string() << "\n";
  });
}

}  // namespace scorelab::cli
