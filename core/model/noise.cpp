#include "noise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <scorelab/error.h>
#include <scorelab/noise.h>
#include <scorelab/philox.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

namespace scorelab {
namespace noise {

DrawCuda draw_cuda = nullptr;

namespace {
template <class T>
void draw_row(const Draw& d, std::int64_t row) {
  T* out = static_cast<T*>(d.out) + row * d.width;
  if (d.active && !d.active[row]) {
    std::fill(out, out + d.width, T(0));
    return;
  }
  const std::uint32_t count = d.counts ? d.counts[row] : d.count;
  double four[4];
  for (std::int64_t e = 0; e < d.width; e += 4) {
    philox::values(philox::words(d.key, static_cast<std::uint32_t>(e / 4), count,
                                 static_cast<std::uint64_t>(d.first + row)),
                   static_cast<philox::Law>(d.law), four);
    const std::int64_t n = std::min<std::int64_t>(4, d.width - e);
    for (std::int64_t i = 0; i < n; ++i)
      out[e + i] = philox::narrowed<T>(four[i], static_cast<philox::Law>(d.law));
  }
}
}  // namespace

void draw_cpu(const Draw& d) {
  const std::int64_t grain = std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, d.width));
  at::parallel_for(0, d.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      d.dtype == 8 ? draw_row<double>(d, r) : draw_row<float>(d, r);
  });
}

}  // namespace noise

namespace {

std::uint64_t mix(std::uint64_t z) {  // SplitMix64's finaliser
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// FNV-1a, started and ended by the mixer
std::uint64_t hash(std::uint64_t seed, std::string_view text) {
  std::uint64_t h = 0xCBF29CE484222325ull ^ mix(seed + 0x9E3779B97F4A7C15ull);
  for (const unsigned char c : text) h = (h ^ c) * 0x100000001B3ull;
  return mix(h);
}

void fill(const noise::Draw& draw) {
  if (draw.device < 0) return noise::draw_cpu(draw);
  if (!noise::draw_cuda)
    throw Error("noise on a CUDA device needs libscorelab_cuda, which is not loaded");
  noise::draw_cuda(draw);
}

/// The CUDA device of a tensor; -1: the CPU.
int cuda_device(const at::Tensor& x) { return x.is_cuda() ? x.get_device() : -1; }

}  // namespace

struct Noise::State {
  std::uint64_t seed = 0;
  std::string path;
  std::uint64_t key = 0;
  std::int64_t first = 0;
  std::uint32_t shared_count = 0;     // draws made by every row,
  std::vector<std::uint32_t> counts;  // or, once rows differ, by each
  std::set<std::string> opened;
  Script script;
};

struct Noise::Along {
  Times t, s;
  PerRow draws = 0;  // made by each row
};

Noise::Noise(std::uint64_t seed, std::string_view path, std::int64_t first)
    : state_(std::make_shared<State>()) {
  state_->seed = seed;
  state_->path = std::string(path);
  state_->key = hash(seed, path);
  state_->first = first;
}
Noise::Noise(std::shared_ptr<State> state, PerRow active)
    : state_(std::move(state)), active_(std::move(active)) {}
Noise::Noise(Noise&&) noexcept = default;
Noise& Noise::operator=(Noise&&) noexcept = default;
Noise::~Noise() = default;

Noise Noise::stream(std::string_view name, std::int64_t index,
                    std::optional<std::int64_t> first) const {
  std::string path = state_->path + "/" + std::string(name) + "#" + std::to_string(index);
  if (!state_->opened.insert(path).second)
    throw Error("the noise stream \"" + path + "\" was opened twice");
  if (first && state_->script)
    throw Error("recorded noise is per sample, but \"" + path +
                "\" is drawn for samples that share it; remove sample.noise");
  Noise out(state_->seed, path, first.value_or(state_->first));
  out.state_->script = state_->script;
  return out;
}

Noise Noise::rows(const PerRow& active) const {
  Noise out(state_, active_ * active);
  out.along_ = along_;
  return out;
}

Noise Noise::along(const Times& t, const Times& s) const {
  Noise out(state_, active_);
  out.along_ = std::make_shared<Along>(Along{t, s});
  return out;
}

Noise Noise::scripted(Script script) {
  Noise out(0, "");
  out.state_->script = std::move(script);
  return out;
}

namespace {

/// W(t) by bisection (Levy's construction) of [0, 1], or of [2^j, 2^(j+1)] beyond it;
/// `normal(node)` is that node's own draw.
template <class Normal>
at::Tensor brownian_at(double t, const at::Tensor& zero, const Normal& normal) {
  if (!(t >= 0))
    throw Error("a Brownian path begins at 0; it was asked at t = " + std::to_string(t));
  double a = 0, b = 1;
  at::Tensor left = zero, right = normal(1);
  std::uint64_t top = 1;
  for (; t > b; a = b, b *= 2) {
    left = right;
    right = right + std::sqrt(b) * normal(++top);
  }
  std::uint64_t node = 1;
  for (int depth = 0; depth < 30; ++depth) {
    if (t == a) return left;
    if (t == b) return right;
    const double middle = (a + b) / 2;
    const at::Tensor mid = (left + right) / 2 + std::sqrt((b - a) / 4) * normal(top << 32 | node);
    const bool upper = t >= middle;
    (upper ? left : right) = mid;
    (upper ? a : b) = middle;
    node = 2 * node + upper;
  }
  return left + (right - left) * ((t - a) / (b - a));
}

}  // namespace

at::Tensor Noise::path_at(const at::Tensor& like, const PerRow& path, const Times& t) const {
  const at::Tensor zero =
      at::zeros(like.sizes(), like.options().dtype(at::kDouble).requires_grad(false));
  const std::int64_t rows = like.size(0);
  const auto of_rows = [&](std::int64_t begin, std::int64_t n, double which, double time) {
    const std::uint64_t key =
        mix(state_->key ^ mix(0xB5AD4ECEDA1CE2A9ull +
                              static_cast<std::uint64_t>(static_cast<std::int64_t>(which))));
    const at::Tensor part = zero.narrow(0, begin, n);
    return brownian_at(time, part, [&](std::uint64_t node) {
      at::Tensor out = at::empty(part.sizes(), part.options());
      fill({.key = mix(key + mix(node)),
            .first = state_->first + begin,
            .rows = n,
            .width = n ? part.numel() / n : 0,
            .counts = nullptr,
            .active = nullptr,
            .count = 0,
            .law = static_cast<int>(Law::normal),
            .dtype = 8,
            .out = out.data_ptr(),
            .device = cuda_device(out)});
      return out;
    });
  };
  if (t.shared() && path.shared()) return of_rows(0, rows, path.one(), t.one());
  std::vector<at::Tensor> parts;
  for (std::int64_t r = 0; r < rows; ++r) parts.push_back(of_rows(r, 1, path[r], t[r]));
  return at::cat(parts);
}

at::Tensor Noise::path_between(const at::Tensor& like, const PerRow& path, const Times& s,
                               const Times& t) const {
  if (state_->script) throw Error("scripted noise has no Brownian path");
  return active_ * (path_at(like, path, t) - path_at(like, path, s)).to(like.scalar_type());
}

at::Tensor Noise::brownian(const at::Tensor& like, const Times& s, const Times& t) const {
  return path_between(like, -1, s, t);
}

at::Tensor Noise::draw(const at::Tensor& like, Law law) {
  const auto dtype = like.scalar_type();
  if (dtype != at::kFloat && dtype != at::kDouble)
    throw Error("noise is drawn in float32 or float64");
  at::Tensor out =
      at::empty(like.sizes(),
                like.options().requires_grad(false).memory_format(at::MemoryFormat::Contiguous));
  const std::int64_t rows = like.dim() == 0 ? 1 : like.size(0);
  State& s = *state_;
  if (s.script) {
    const at::Tensor given = s.script(like, law, s.path, s.shared_count++);
    return active_.shared() && active_.one() != 0 ? given : active_ * given;
  }
  std::vector<std::uint8_t> active;
  if (!active_.shared() || active_.one() == 0) {
    active.resize(rows);
    for (std::int64_t r = 0; r < rows; ++r) active[r] = active_[r] != 0;
  }
  if (!active.empty() && s.counts.empty()) s.counts.assign(rows, s.shared_count);
  if (!s.counts.empty() && static_cast<std::int64_t>(s.counts.size()) != rows)
    throw Error("one noise stream drew for " + std::to_string(s.counts.size()) + " and for " +
                std::to_string(rows) + " rows");
  fill({.key = s.key,
        .first = s.first,
        .rows = rows,
        .width = rows ? like.numel() / rows : 0,
        .counts = s.counts.empty() ? nullptr : s.counts.data(),
        .active = active.empty() ? nullptr : active.data(),
        .count = s.shared_count,
        .law = static_cast<int>(law),
        .dtype = dtype == at::kDouble ? 8 : 4,
        .out = out.data_ptr(),
        .device = cuda_device(out)});
  if (s.counts.empty()) ++s.shared_count;
  for (std::int64_t r = 0; r < static_cast<std::int64_t>(s.counts.size()); ++r)
    s.counts[r] += active.empty() || active[r];
  return out;
}

at::Tensor Noise::normal(const at::Tensor& like) {
  if (!along_) return draw(like, Law::normal);
  const Times length = along_->t - along_->s, still = length <= 0.0;
  if (!(length > 0.0).any()) return draw(like, Law::normal);
  const PerRow path = along_->draws;
  along_->draws = path + active_.map([](double on) { return double(on != 0); });
  const at::Tensor moved = length.map([](double d) { return d > 0 ? 1 / std::sqrt(d) : 0; }) *
                           path_between(like, path, along_->s, along_->t);
  return still.any() ? moved + rows(still).draw(like, Law::normal) : moved;
}
at::Tensor Noise::uniform(const at::Tensor& like) { return draw(like, Law::uniform); }
at::Tensor Noise::sign(const at::Tensor& like) { return draw(like, Law::sign); }

}  // namespace scorelab
