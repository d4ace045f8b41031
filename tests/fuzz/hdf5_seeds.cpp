// Writes the seeds of the HDF5 target: files as scorelab writes them, the same in the format
// without checksums (so that mutations reach deeper), and files whose objects are not what a reader
// expects. Usage: fuzz_hdf5_seeds FOLDER
#include <hdf5.h>

#include <cstdio>
#include <functional>
#include <vector>

#include "record/checkpoint.h"
#include "record/samples.h"

using namespace scorelab;
namespace fs = std::filesystem;

namespace {

fs::path folder;

record::Array floats(const std::vector<std::int64_t>& shape) {
  record::Array a{record::Array::Type::f32, shape, {}};
  a.bytes.resize(static_cast<std::size_t>(a.count()) * 4);
  return a;
}

/// In HDF5's first format, which has no checksums, with groups that know the order of their links.
void file(const std::string& name, const std::function<void(hid_t)>& fill) {
  const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  const hid_t h5 =
      H5Fcreate((folder / (name + ".h5")).c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT);
  fill(h5);
  H5Fclose(h5);
  H5Pclose(creation);
}

hid_t group(hid_t parent, const char* name) {
  const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  const hid_t out = H5Gcreate2(parent, name, H5P_DEFAULT, creation, H5P_DEFAULT);
  H5Pclose(creation);
  return out;
}

/// Nothing is written to it: it reads as zeros.
void dataset(hid_t parent, const char* name, hid_t type, const std::vector<hsize_t>& shape,
             hid_t creation = H5P_DEFAULT) {
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  H5Dclose(H5Dcreate2(parent, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
  H5Sclose(space);
}

void attribute(hid_t object, const char* name, hid_t type, const void* value,
               std::vector<hsize_t> shape = {}) {
  const hid_t space = shape.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t a = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, type, value);
  H5Aclose(a);
  H5Sclose(space);
}

hid_t text_type(std::size_t size) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, size);
  return type;
}

void head(hid_t h5, const char* number) {
  const std::int64_t first = 0;
  const double seconds = 1;
  attribute(h5, number, H5T_NATIVE_INT64, &first);
  attribute(h5, "seconds", H5T_NATIVE_DOUBLE, &seconds);
  attribute(h5, "wall", H5T_NATIVE_DOUBLE, &seconds);
  const hid_t type = text_type(H5T_VARIABLE);
  const char* resolved = "{}";
  attribute(h5, "resolved", type, &resolved);
  H5Tclose(type);
}

void as_written() {
  record::save_samples(folder, {0, floats({3, 2}), {1, 2, 3}, 0.5, {{"label", floats({3})}}});
  fs::rename(folder / "00000000.h5", folder / "samples.h5");
  record::save_trace(folder, {record::Array::of(std::vector<double>{1, 0.5}), floats({2, 2, 1})});
  fs::rename(folder / "trace.h5", folder / "trace-flat-times.h5");
  record::save_trace(folder, {floats({3, 2}), floats({3, 2, 2})});
  record::save_checkpoint(folder,
                          {7,
                           1.5,
                           {{"threads", 2}},
                           {{"parameters", {{"0.weight", floats({2, 2})}}}, {"ema/0.9", {}}}});
}

void of_other_shapes() {
  file("samples-early", [](hid_t h5) {
    head(h5, "first");
    dataset(h5, "x", H5T_IEEE_F32LE, {3, 2});
    dataset(h5, "nfe", H5T_STD_I64LE, {3});
    const hid_t beside = group(h5, "beside");
    dataset(beside, "label", H5T_STD_U8LE, {3});
    H5Gclose(beside);
  });
  file("checkpoint-early", [](hid_t h5) {
    head(h5, "step");
    const hid_t parameters = group(h5, "parameters");
    dataset(parameters, "weight", H5T_IEEE_F64LE, {2, 2});
    H5Gclose(parameters);
  });
  file("trace-early", [](hid_t h5) {
    dataset(h5, "t", H5T_IEEE_F64LE, {3, 2});
    dataset(h5, "x", H5T_IEEE_F32LE, {3, 2, 2});
  });
  file("trace-rows-0", [](hid_t h5) {
    dataset(h5, "t", H5T_IEEE_F64LE, {0, 2});
    dataset(h5, "x", H5T_IEEE_F32LE, {0, 2, 2});
  });
  file("trace-scalar", [](hid_t h5) {
    dataset(h5, "t", H5T_IEEE_F64LE, {}), dataset(h5, "x", H5T_IEEE_F32LE, {});
  });
  const auto samples = [](const char* name, hid_t type, const std::vector<hsize_t>& x,
                          const std::vector<hsize_t>& nfe) {
    file(name, [&](hid_t h5) {
      head(h5, "first");
      dataset(h5, "x", H5T_IEEE_F32LE, x);
      dataset(h5, "nfe", type, nfe);
    });
  };
  samples("samples-none", H5T_STD_I64LE, {0, 2}, {0});
  samples("samples-rows-differ", H5T_STD_I64LE, {2, 2}, {3});
  samples("samples-no-rows", H5T_STD_I64LE, {0, 2}, {3});
  samples("samples-scalar", H5T_STD_I64LE, {}, {3});
  samples("samples-nfe-u8", H5T_STD_U8LE, {3, 2}, {3});
  samples("samples-nfe-wide", H5T_STD_I64LE, {3, 2}, {std::uint64_t{1} << 61});
}

void of_other_types() {
  file("types", [](hid_t h5) {
    const hid_t variable = text_type(H5T_VARIABLE), fixed = text_type(40),
                pair = H5Tcreate(H5T_COMPOUND, 16), list = H5Tvlen_create(H5T_NATIVE_INT);
    H5Tinsert(pair, "a", 0, H5T_NATIVE_INT64);
    H5Tinsert(pair, "b", 8, H5T_NATIVE_DOUBLE);
    const char* names[] = {"variable", "fixed", "pair", "list", "opaque", "big", "half"};
    const hid_t types[] = {variable,      fixed,          pair, list, H5Tcreate(H5T_OPAQUE, 3),
                           H5T_STD_U16BE, H5T_STD_REF_OBJ};
    for (int i = 0; i < 7; ++i) dataset(h5, names[i], types[i], {2});
    const hid_t null = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(h5, "null", H5T_IEEE_F32LE, null, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Tcommit2(h5, "named", pair, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  });
  file("attribute-list", [](hid_t h5) {
    const std::vector<double> many(64, 0.25);
    attribute(h5, "step", H5T_NATIVE_DOUBLE, many.data(), {64});
  });
  file("attribute-fixed-text", [](hid_t h5) {
    const hid_t type = text_type(200);
    const std::string text(200, 'r');
    attribute(h5, "resolved", type, text.data());
  });
  file("attribute-number-as-text", [](hid_t h5) {
    const std::int64_t value = 0x4141414141414141;
    attribute(h5, "resolved", H5T_NATIVE_INT64, &value);
  });
  file("attribute-no-json", [](hid_t h5) {
    head(h5, "step");
    H5Adelete(h5, "resolved");
    const hid_t type = text_type(H5T_VARIABLE);
    const char* resolved = "{\"threads\": ";
    attribute(h5, "resolved", type, &resolved);
  });
}

void of_other_places() {
  file("wide", [](hid_t h5) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {1024, 1024};
    H5Pset_chunk(creation, 2, chunk);
    dataset(h5, "x", H5T_IEEE_F32LE, {std::uint64_t{1} << 30, std::uint64_t{1} << 30}, creation);
    dataset(h5, "t", H5T_IEEE_F32LE, {std::uint64_t{1} << 33, std::uint64_t{1} << 31}, creation);
    dataset(h5, "nfe", H5T_STD_U8LE, {std::uint64_t{1} << 20, std::uint64_t{1} << 14}, creation);
  });
  file("circle", [](hid_t h5) {
    head(h5, "step");
    const hid_t a = group(h5, "a");
    H5Lcreate_hard(h5, "/", a, "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(a);
  });
  file("links", [](hid_t h5) {
    head(h5, "step");
    H5Lcreate_soft("/b", h5, "a", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/a", h5, "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/hostname", "/x", h5, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("trace.h5", "/", h5, "itself", H5P_DEFAULT, H5P_DEFAULT);
  });
  file("external-storage", [](hid_t h5) {
    head(h5, "step");
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/hostname", 0, 8);
    dataset(h5, "x", H5T_STD_U8LE, {8}, creation);
  });
  file("virtual", [](hid_t h5) {
    head(h5, "step");
    const hsize_t size = 8;
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE),
                space = H5Screate_simple(1, &size, nullptr);
    H5Pset_virtual(creation, space, "trace.h5", "/x", space);
    dataset(h5, "x", H5T_STD_U8LE, {8}, creation);
  });
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_hdf5_seeds FOLDER\n");
    return 2;
  }
  folder = words[1];
  fs::create_directories(folder);
  as_written();
  of_other_shapes();
  of_other_types();
  of_other_places();
}
