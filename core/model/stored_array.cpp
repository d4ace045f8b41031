#include <ATen/ATen.h>
#include <scorelab/error.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "model/stored_array.h"

namespace scorelab {

namespace {

constexpr std::pair<record::Array::Type, at::ScalarType> types[] = {
    {record::Array::Type::f32, at::kFloat},
    {record::Array::Type::f64, at::kDouble},
    {record::Array::Type::i64, at::kLong},
    {record::Array::Type::u8, at::kByte}};

at::ScalarType type_of(record::Array::Type wanted) {
  return std::find_if(std::begin(types), std::end(types),
                      [&](const auto& t) { return t.first == wanted; })
      ->second;
}

}  // namespace

void copy_into(record::Array& out, const at::Tensor& tensor) {
  const auto known = std::find_if(std::begin(types), std::end(types),
                                  [&](const auto& t) { return t.second == tensor.scalar_type(); });
  if (known == std::end(types))
    throw Error("only float32, float64, int64 and uint8 tensors are stored");
  out.type = known->first;
  out.shape = tensor.sizes().vec();
  out.bytes.resize(tensor.nbytes());
  if (tensor.numel() > 0)
    at::from_blob(out.bytes.data(), out.shape, tensor.scalar_type()).copy_(tensor.detach());
}

record::Array to_array(const at::Tensor& tensor) {
  record::Array out;
  copy_into(out, tensor);
  return out;
}

at::Tensor to_tensor(const record::Array& array) {
  at::Tensor out = at::empty(array.shape, type_of(array.type));
  if (out.numel() > 0) std::memcpy(out.data_ptr(), array.bytes.data(), array.bytes.size());
  return out;
}

}  // namespace scorelab
