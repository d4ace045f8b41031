// HDF5 files, as a checkpoint, as samples, as paths, and walked through object by object. Their
// checksum is made to hold where that can be done, as it would in files that someone else made.
#include "record/checkpoint.h"
#include "record/hdf5_contents.h"
#include "record/samples.h"
#include "target.h"

using namespace scorelab;

namespace {

/// Writes the file, with a checksum that holds.
void put(const fuzz::Folder& folder, const std::string& name, const std::string& bytes) {
  const auto file = folder.write(name, bytes);
  fuzz::allow_refusal([&] {
    const std::string digest = record::contents_of(file).digest();
    const record::Handle h5(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
    H5Adelete(h5, record::digest_name);
    record::attribute(h5, record::digest_name, digest);
  });
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
  put(folder, "checkpoint.h5", bytes);
  fuzz::allow_refusal([&] { record::load_checkpoint(folder.path(), [](const std::string&) {}); });

  put(folder, "00000000.h5", bytes);
  fuzz::allow_refusal([&] { record::load_chunk(folder.path(), 0); });
  for (const std::int64_t count : {0, 1, 4})
    fuzz::allow_refusal([&] { record::load_samples(folder.path(), count); });
  record::has_samples(folder.path(), 0, 4);

  put(folder, "trace.h5", bytes);
  fuzz::allow_refusal([&] { record::traced(folder.path()); });
  for (const std::int64_t count : {0, 1, 2})
    fuzz::allow_refusal([&] { record::load_trace(folder.path(), count); });

  fuzz::allow_refusal([&] {
    const auto file = record::open_file(folder.path() / "trace.h5");
    int most = 100;
    walk(file, most);
  });
  return 0;
}
