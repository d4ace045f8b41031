#include "model/draw_data.h"

#include <ATen/ATen.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace scorelab {

DataItems take_items(const DataSet& data, std::int64_t rows, const Noise& noise) {
  std::vector<std::int64_t> index(rows, 0);
  if (const auto size = data.size(); size > 0) {
    Noise indices = noise.stream("index");
    const at::Tensor u = indices.uniform(at::empty({rows, 1}, at::kDouble));
    for (std::int64_t r = 0; r < rows; ++r)
      index[r] =
          std::min(size - 1, static_cast<std::int64_t>(std::floor(u.const_data_ptr<double>()[r] *
                                                                  static_cast<double>(size))));
  }
  Noise own = noise.stream("data");
  DataItems out;
  out.x = data.get(index, own, out.condition);
  if (!out.x.defined() || out.x.dim() == 0 || out.x.size(0) != rows)
    throw Error(c10::str("it gave ",
                         out.x.defined() ? c10::str(out.x.sizes()) : std::string("nothing"),
                         " when it was asked for ", rows, " items"));
  const auto types = data.conditions();
  for (const auto& type : types) {
    const at::Tensor& given = out.condition[type.name];
    std::vector<std::int64_t> shape{rows};
    shape.insert(shape.end(), type.shape.begin(), type.shape.end());
    const bool fits =
        given.defined() && given.sizes() == at::IntArrayRef(shape) &&
        (type.dtype == at::kLong ? given.scalar_type() == at::kLong : given.is_floating_point());
    if (!fits)
      throw Error(c10::str("it gave the condition `", type.name, "` as ",
                           given.defined() ? given.sizes() : at::IntArrayRef(), " of ",
                           given.defined() ? c10::str(given.scalar_type()) : "nothing",
                           "; it says ", at::IntArrayRef(shape), " of ",
                           type.dtype == at::kLong ? "int64" : "floats"));
  }
  if (out.condition.size() != types.size())
    throw Error(
        "it gave a condition that its conditions() does not name, or its conditions() names one "
        "twice");
  return out;
}

at::Tensor encode_items(DataItems items, const Space& space, const Noise& noise,
                        const at::TensorOptions& options, Condition& condition) {
  for (const auto& [name, value] : items.condition)
    condition[name] = value.is_floating_point() ? value.to(options) : value.to(options.device());
  const std::int64_t rows = items.x.size(0);
  Noise encoding = noise.stream("encode");
  const at::Tensor z = space.encode(items.x, &encoding);
  if (z.dim() == 0 || z.size(0) != rows || z.sizes().slice(1) != at::IntArrayRef(space.shape()))
    throw Error(c10::str("it encoded ", items.x.sizes(), " as ", z.sizes(), "; expected [", rows,
                         "] of ", at::IntArrayRef(space.shape())));
  return z.to(options);
}

at::Tensor draw_data(const DataSet& data, const Space& space, std::int64_t rows, const Noise& noise,
                     const at::TensorOptions& options, Condition& condition,
                     const InItsName& call) {
  DataItems items;
  run_as(call, data, [&] { items = take_items(data, rows, noise); });
  at::Tensor out;
  run_as(call, space,
         [&] { out = encode_items(std::move(items), space, noise, options, condition); });
  return out;
}

std::vector<std::int64_t> reference_order(const DataSet& data, std::int64_t rows,
                                          const Noise& noise) {
  std::vector<std::int64_t> index(rows, 0);
  if (const auto size = data.size(); size > 0) {
    Noise order = noise.stream("order");
    const at::Tensor key = order.uniform(at::empty({1, size}, at::kDouble)).squeeze(0);
    const double* keys = key.const_data_ptr<double>();
    index.resize(size);
    std::iota(index.begin(), index.end(), 0);
    std::sort(index.begin(), index.end(),
              [keys](std::int64_t a, std::int64_t b) { return keys[a] < keys[b]; });
    index.resize(std::min(rows, size));
  }
  return index;
}

}  // namespace scorelab
