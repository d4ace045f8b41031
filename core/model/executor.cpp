#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <scorelab/error.h>

#include <optional>

#include "condition.h"
#include "executor.h"

namespace scorelab {
namespace {

/// Rows begin .. begin + rows, the last one repeated up to `padded`.
PerRow slice(const PerRow& all, std::int64_t begin, std::int64_t rows, std::int64_t padded) {
  if (all.shared()) return all;
  std::vector<double> out(padded);
  for (std::int64_t r = 0; r < padded; ++r) out[r] = all[begin + std::min(r, rows - 1)];
  return PerRow(std::move(out));
}

at::Tensor slice(const at::Tensor& all, std::int64_t begin, std::int64_t rows,
                 std::int64_t padded) {
  const at::Tensor part = all.narrow(0, begin, rows);
  return padded == rows
             ? part
             : at::cat({part, part.narrow(0, rows - 1, 1).repeat_interleave(padded - rows, 0)});
}

Condition slice(const Condition& all, std::int64_t begin, std::int64_t rows, std::int64_t padded) {
  Condition out;
  for (const auto& [name, value] : all) out[name] = slice(value, begin, rows, padded);
  return out;
}

/// While it lives, matrix products and convolutions are computed in bfloat16, and what needs the
/// range stays float32 (LibTorch's autocast). Weights stay float32: each product takes a rounded
/// copy of them.
class Bfloat16 {
 public:
  explicit Bfloat16(at::DeviceType device)
      : device_(device),
        enabled_(at::autocast::is_autocast_enabled(device)),
        dtype_(at::autocast::get_autocast_dtype(device)) {
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  }
  ~Bfloat16() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, enabled_);
    at::autocast::set_autocast_dtype(device_, dtype_);
  }
  Bfloat16(const Bfloat16&) = delete;
  Bfloat16& operator=(const Bfloat16&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
  at::ScalarType dtype_;
};

}  // namespace

void Executor::in_the_networks_name(const std::function<void()>& body) const {
  context_.call ? context_.call(*parts_.network, body) : body();
}

void Executor::expect_rows(const PerRow& of_rows, std::int64_t rows) {
  if (!of_rows.shared() && static_cast<std::int64_t>(of_rows.rows()) != rows)
    throw Error(fmt::format(
        "the model was asked at {} samples and {} times; give one time for all, or one for each",
        rows, of_rows.rows()));
}

Condition Executor::condition_of(const at::Tensor& x, bool conditioned) const {
  const std::int64_t rows = x.size(0);
  Condition out;
  for (const auto& type : parts_.network->conditions()) {
    at::Tensor& own = out[type.name];
    const auto found = context_.condition.find(type.name);
    const bool told = conditioned && found != context_.condition.end();
    if (told && found->second.size(0) != rows)
      throw Error(fmt::format(
          "the model was asked at {} rows, but each of this call's {} samples has its own `{}`",
          rows, found->second.size(0), type.name));
    if (told && !context_.told.defined()) {
      own = found->second;
    } else {
      own = null_of(type, rows, x.device());
      std::vector<std::int64_t> of_rows(own.dim(), 1);
      of_rows[0] = rows;
      if (told) own = at::where(context_.told.view(of_rows), found->second, own);
    }
    if (type.dtype != at::kLong) own = own.to(x.scalar_type());
  }
  return out;
}

Input Executor::input(const at::Tensor& in, const Times& t, const Condition& condition) const {
  const Scheduler& q = *parts_.scheduler;
  const std::int64_t rows = in.size(0);
  // One transfer to x's device for all that is known of each row.
  at::Tensor of_rows = at::empty({3, rows}, at::kDouble);
  PerRow columns[3];
  const auto ask = [&] {
    columns[0] = parts_.output.time(q, t);
    columns[1] = q.alpha(t);
    columns[2] = q.sigma(t);
  };
  context_.call ? context_.call(q, ask) : ask();
  for (int k = 0; k < 3; ++k)
    for (std::int64_t r = 0; r < rows; ++r)
      of_rows.mutable_data_ptr<double>()[k * rows + r] = columns[k][r];
  of_rows = of_rows.to(in.options().requires_grad(false));
  return {in, of_rows[0], of_rows[1], of_rows[2], condition, context_.dropout};
}

at::Tensor Executor::forward_chunk(const at::Tensor& x, const Times& t,
                                   const Condition& condition) const {
  const bool states_itself = parts_.network->states().has_value();
  const at::Tensor in = states_itself ? x : parts_.output.input(*parts_.scheduler, x, t);
  at::Tensor out;
  in_the_networks_name([&] {
    std::optional<Bfloat16> rounded;
    if (context_.bf16 && !states_itself) rounded.emplace(x.device().type());
    out = parts_.network->forward(input(in, t, condition));
    if (rounded && out.defined() && out.scalar_type() == at::kBFloat16)
      out = out.to(x.scalar_type());
    rounded.reset();
    auto expected = x.sizes().vec();
    expected[1] *= states_itself ? 1 : parts_.output.parts();
    if (!out.defined() || out.sizes() != at::IntArrayRef(expected))
      throw Error(c10::str("it returned shape ", out.defined() ? out.sizes() : at::IntArrayRef(),
                           " for x of shape ", x.sizes(), "; expected ",
                           at::IntArrayRef(expected)));
    if (out.scalar_type() != x.scalar_type())
      throw Error(c10::str("it returned ", out.scalar_type(), " for x of ", x.scalar_type(),
                           "; it must keep x's dtype"));
    if (context_.look) context_.look(x, t, out);
  });
  return out;
}

/// The last chunk is padded with copies of its last row: matrix products round differently for
/// other batch sizes.
at::Tensor Executor::forward(const at::Tensor& x, const Times& t, const PerRow& active,
                             bool conditioned) const {
  const std::int64_t rows = x.size(0), chunk = context_.chunk;
  expect_rows(t, rows);
  const Condition condition = condition_of(x, conditioned);
  if (chunk == 0 || rows == chunk) return forward_chunk(x, t, condition);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    context_.expect_no_stop();
    const std::int64_t n = std::min(chunk, rows - begin);
    if (!slice(active, begin, n, n).any()) {
      auto shape = x.sizes().vec();
      shape[0] = n;
      shape[1] *= parts_.network->states() ? 1 : parts_.output.parts();
      parts.push_back(at::zeros(shape, x.options()));
      continue;
    }
    parts.push_back(forward_chunk(slice(x, begin, n, chunk), slice(t, begin, n, chunk),
                                  slice(condition, begin, n, chunk))
                        .narrow(0, 0, n));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

Classified Executor::classify(const at::Tensor& x, const Times& t, bool conditioned) const {
  const std::int64_t rows = x.size(0), size = context_.chunk == 0 ? rows : context_.chunk;
  expect_rows(t, rows);
  const Condition condition = condition_of(x, conditioned);
  std::vector<at::Tensor> logits, features;
  in_the_networks_name([&] {
    for (std::int64_t begin = 0; begin < rows; begin += size) {
      context_.expect_no_stop();
      const std::int64_t n = std::min(size, rows - begin);
      const at::Tensor in = slice(x, begin, n, size);
      const Condition own = slice(condition, begin, n, size);
      std::optional<Bfloat16> rounded;
      if (context_.bf16) rounded.emplace(x.device().type());
      Classified part = parts_.network->classify(input(in, slice(t, begin, n, size), own));
      if (rounded) part = {part.logits.to(x.scalar_type()), part.features.to(x.scalar_type())};
      rounded.reset();
      if (part.logits.size(0) != size || part.logits.dim() != 2 || part.features.size(0) != size ||
          part.features.dim() != 2)
        throw Error(c10::str("it returned logits of shape ", part.logits.sizes(),
                             " and features of shape ", part.features.sizes(), " for ", size,
                             " rows; expected [B, classes] and [B, F]"));
      if (context_.look) context_.look(x, t, part.logits);
      logits.push_back(part.logits.narrow(0, 0, n));
      features.push_back(part.features.narrow(0, 0, n));
    }
  });
  return {at::cat(logits), at::cat(features)};
}

}  // namespace scorelab
