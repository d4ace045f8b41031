#include <ATen/ATen.h>
#include <scorelab/bound.h>
#include <scorelab/dataset.h>

#include <cmath>

namespace scorelab {
namespace {

at::Tensor per_sample(const at::Tensor& x) { return row_dot(x, at::ones_like(x)); }

}  // namespace

void Bound::params(Params& p) {
  p("variance", variance_,
    "of a reverse step. auto: the network's prediction if it has one, otherwise large; large: the "
    "forward kernel's (beta); small: the posterior's; analytic: the best one, of data that are "
    "independent Gaussians")
      .one_of({"auto", "large", "small", "analytic"});
  p.needs("gaussian-law", "the best variance is found from the data's law")
      .when("variance", {"analytic"});
  p.needs("levels", "the bound sums over the steps of a discrete process");
  p.needs("path", "the bound sums over the steps of a discrete process");
}

void Bound::prepare(const Setting& setting) {
  if (variance_ == "auto") variance_ = setting.parts == 2 ? "learned" : "large";
  if (variance_ == "analytic") {
    const Law* law = setting.law;
    if (!law || law->weights.size(0) != 1 || law->bases.defined())
      throw Error(
          "`variance = \"analytic\"` knows independent Gaussians only; the data have another law");
    of_data_ = law->variances[0].view(setting.shape).to(setting.options);
  }
  const Grey grey = setting.data ? setting.data->grey() : Grey{};
  if (grey.levels == 0 || grey.dequantised) return;
  if (!setting.space)
    throw Error("the bound of grey levels needs to know the space that they are mapped to");
  const auto map = setting.space->affine();
  if (!map) return;
  bin_ = map->scale / static_cast<double>(grey.levels - 1);
  low_ = map->shift;
  high_ = map->shift + map->scale;
}

at::Tensor Bound::term(const Prediction& p, const at::Tensor& x0, const Times& s) const {
  const Scheduler& q = p.scheduler();
  const Times& t = p.t();
  const PerRow beta = q.kernel(s, t).sigma2, small = q.posterior_variance(s, t);
  // of x_0 in the posterior's mean; of x_t there is the same in both means
  const PerRow A = q.alpha(s) * beta / square(q.sigma(t));
  at::Tensor log_variance;
  if (variance_ == "learned") {
    log_variance = p.log_variance(s);
  } else if (variance_ == "analytic") {  // the posterior's, and what is unknown of x_0
    const PerRow own = beta * square(q.sigma(s) / q.sigma(t));
    const at::Tensor seen = square(q.alpha(t)) * of_data_ + square(q.sigma(t)).column(x0);
    log_variance =
        ((square(A) * square(q.sigma(t))).column(x0) * of_data_ / seen + own.column(x0)).log();
  } else {
    log_variance = log(variance_ == "large" ? beta : small).column(x0).expand_as(x0);
  }
  const at::Tensor mean = p.x0(), off = A * (x0 - mean);
  const at::Tensor log_ratio = log_variance - log(small).column(x0);
  const at::Tensor kl =
      0.5 * per_sample(log_ratio - 1 + (-log_ratio).exp() + off.square() * (-log_variance).exp());
  const PerRow last = s <= 0;
  return last.any() ? where(last, decoder(x0, mean, log_variance), kl) : kl;
}

at::Tensor Bound::decoder(const at::Tensor& x0, const at::Tensor& mean,
                          const at::Tensor& log_variance) const {
  const at::Tensor off = x0 - mean;
  if (bin_ == 0)
    return 0.5 *
           per_sample(log_variance + std::log(2 * M_PI) + off.square() * (-log_variance).exp());
  const at::Tensor scale = (-0.5 * log_variance).exp();
  // In the lower tail, where small numbers are far from rounding: P(|off| - h < z < |off| + h), and
  // of the open ends what is beyond.
  const at::Tensor near = (bin_ / 2 - off.abs()) * scale, far = (-bin_ / 2 - off.abs()) * scale;
  at::Tensor mass = at::special_ndtr(near) - at::special_ndtr(far);
  mass = at::where(x0 > high_ - bin_ / 4, at::special_ndtr((bin_ / 2 - off) * scale), mass);
  mass = at::where(x0 < low_ + bin_ / 4, at::special_ndtr((bin_ / 2 + off) * scale), mass);
  return -per_sample(mass.clamp_min(1e-12).log());
}

at::Tensor Bound::prior(const Scheduler& q, const at::Tensor& x0) {
  const double alpha = q.alpha(q.t_max()).one(), variance = std::pow(q.sigma(q.t_max()).one(), 2),
               of_prior = std::pow(q.prior_std(), 2);
  const double ratio = variance / of_prior;
  return 0.5 * per_sample((alpha * x0).square() / of_prior + (ratio - 1 - std::log(ratio)));
}

}  // namespace scorelab
