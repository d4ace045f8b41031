// HDF5 files, as a checkpoint, as samples, as paths, and walked through object by object. A checkpoint's checksum is made to hold, as it
// would in a file that someone else made.
#include "catalog/sha256.h"
#include "record/checkpoint.h"
#include "record/samples.h"
#include "target.h"

using namespace scorelab;

namespace {

constexpr std::size_t user_block = 512;
const std::string mark = "scorelab-checkpoint sha256=";

/// HDF5 finds its part of a file behind any block of a power of two.
std::string as_checkpoint(const fuzz::Folder& folder, std::string bytes) {
  if (bytes.rfind(mark, 0) != 0 || bytes.size() < user_block) bytes.insert(0, user_block, '\0');
  const std::string first = mark + sha256_file(folder.write("sum", bytes), user_block) + "\n";
  return bytes.replace(0, first.size(), first);
}

template <class Object>
void attributes(const Object& object) {
  for (const auto* name : {"format", "step", "wall", "resolved", "first", "seconds"}) {
    fuzz::allow_refusal([&] { record::read_text(object, name); });
    fuzz::allow_refusal([&] { record::read_integer(object, name); });
    fuzz::allow_refusal([&] { record::read_number(object, name); });
  }
}

/// `most`: objects that are still visited, as groups may hold each other.
template <class Group>
void walk(const Group& group, int& most) {
  attributes(group);
  fuzz::allow_refusal([&] {
    for (const auto& name : record::names(group)) {
      if (most-- <= 0) return;
      fuzz::allow_refusal([&] { record::read(group, name); });
      fuzz::allow_refusal([&] {
        const auto inner = record::open_group(group, name);
        walk(inner, most);
      });
    }
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  const std::string bytes = fuzz::text(data, size);
  folder.write("checkpoint.h5", as_checkpoint(folder, bytes));
  fuzz::allow_refusal([&] { record::load_checkpoint(folder.path(), [](const std::string&) {}); });

  folder.write("00000000.h5", bytes);
  fuzz::allow_refusal([&] { record::load_chunk(folder.path(), 0); });
  for (const std::int64_t count : {0, 1, 4}) fuzz::allow_refusal([&] { record::load_samples(folder.path(), count); });
  record::has_samples(folder.path(), 0, 4);

  folder.write("trace.h5", bytes);
  record::traced(folder.path());
  for (const std::int64_t count : {0, 1, 2}) fuzz::allow_refusal([&] { record::load_trace(folder.path(), count); });

  fuzz::allow_refusal([&] {
    const auto file = record::open_file(folder.path() / "trace.h5");
    int most = 100;
    walk(file, most);
  });
  return 0;
}
