#include <ATen/ATen.h>
#include <scorelab/error.h>

#include <cstring>

#include "host/stage.h"

namespace scorelab::host {

record::Array to_array(const at::Tensor& tensor) {
  const at::Tensor t = tensor.detach().to(at::kCPU).contiguous();
  record::Array out;
  switch (t.scalar_type()) {
    case at::kFloat:
      out.type = record::Array::Type::f32;
      break;
    case at::kDouble:
      out.type = record::Array::Type::f64;
      break;
    case at::kLong:
      out.type = record::Array::Type::i64;
      break;
    case at::kByte:
      out.type = record::Array::Type::u8;
      break;
    default:
      throw Error("only float32, float64, int64 and uint8 tensors are stored");
  }
  out.shape = t.sizes().vec();
  const auto* bytes = static_cast<const std::byte*>(t.const_data_ptr());
  if (t.numel() > 0) out.bytes.assign(bytes, bytes + t.nbytes());
  return out;
}

at::Tensor to_tensor(const record::Array& array) {
  static constexpr at::ScalarType types[] = {at::kFloat, at::kDouble, at::kLong, at::kByte};
  at::Tensor out = at::empty(array.shape, types[static_cast<int>(array.type)]);
  if (out.numel() > 0) std::memcpy(out.data_ptr(), array.bytes.data(), array.bytes.size());
  return out;
}

}  // namespace scorelab::host
