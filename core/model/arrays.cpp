#include <ATen/ATen.h>
#include <fmt/format.h>
#include <scorelab/arrays.h>
#include <scorelab/error.h>

#include "model/array_files.h"
#include "model/stored_array.h"
#include "record/safetensors.h"

namespace scorelab {
namespace {

namespace fs = std::filesystem;

bool is_hdf5(const fs::path& file) {
  return file.extension() == ".h5" || file.extension() == ".hdf5";
}

/// A damaged file of the user's is an error of whoever reads it.
template <class F>
auto or_error(F&& read) {
  try {
    return read();
  } catch (const record::Damaged& e) {
    throw Error(e.what());
  }
}

}  // namespace

at::Tensor read_array(const fs::path& file, const std::string& name) {
  if (is_hdf5(file)) return or_error([&] { return read_hdf5(file, name); });
  if (!is_table(file)) return read_numpy(file, name);
  const Table table = read_table(file);
  if (name.empty()) return table.values;
  return table.values.select(1, column_of(table, file, name)).contiguous();
}

std::vector<std::pair<std::string, at::Tensor>> read_safetensors(const fs::path& file) {
  return or_error([&] {
    record::Safetensors stored(file);
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& name : stored.names()) out.emplace_back(name, to_tensor(stored.read(name)));
    return out;
  });
}

void Arrays::params(Params& p) {
  p("file", file_, "a .npy, .npz, .h5 or .hdf5 file, or a table of numbers: .csv, .tsv, .csv.gz")
      .file()
      .required();
  p("array", array_,
    "which array of a .npz or .h5 file, such as train/x; empty: its only one, or all of a table");
  p("classes", classes_, "number of classes; 0: items have no labels").range(0, 1e6);
  p("labels", labels_, "the array, or the column of a table, with the class of each item, 0 and up")
      .above("classes", 0);
  p("labels_file", labels_file_, "the file with the labels, where it is not `file`")
      .file()
      .above("classes", 0);
  p.gives("items");
  p.gives("labels").above("classes", 0);
}

at::Tensor Arrays::items() const {
  at::Tensor out;
  if (is_table(file_) && classes_ > 0 && labels_file_.empty() && array_.empty()) {
    const Table table = read_table(file_);
    const std::int64_t labels = column_of(table, file_, labels_), all = table.values.size(1);
    out = at::cat(
        {table.values.narrow(1, 0, labels), table.values.narrow(1, labels + 1, all - labels - 1)},
        1);
  } else {
    out = read_array(file_, array_);
    if (is_table(file_) && !array_.empty()) out = out.unsqueeze(1);
  }
  if (out.dim() < 2 || out.numel() == 0)
    throw Error(c10::str(file_, " holds no items: its shape is ", out.sizes(),
                         "; expected [items, ..], such as x.reshape(-1, 1) of plain numbers"));
  return out;
}

std::vector<std::int64_t> Arrays::labels(std::int64_t count) const {
  if (classes_ == 0) return {};
  const fs::path file = labels_file_.empty() ? file_ : labels_file_;
  at::Tensor found;
  if (is_table(file)) {
    const Table table = read_table(file);
    // a file of labels alone need not name its column
    const bool alone = table.names.empty() && table.values.size(1) == 1 && !labels_file_.empty();
    found = table.values.select(1, alone ? 0 : column_of(table, file, labels_));
  } else {
    found = read_array(file, is_hdf5(file) || is_archive(file) ? labels_ : "");
  }
  // a table's numbers are floats
  const bool whole = at::isIntegralType(found.scalar_type(), false) ||
                     (is_table(file) && found.equal(found.trunc()));
  if (found.dim() != 1 || found.size(0) != count || !whole)
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
