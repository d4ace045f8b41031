#include <scorelab/error.h>
#include <scorelab/objective.h>

#include <algorithm>
#include <cmath>

namespace scorelab {

Objective::~Objective() = default;

void TimeLaw::params(Params& p) {
  p("times", times_,
    "how t is drawn: uniform over the levels, or over [t_min, t_max] where there are none; levels; antithetic: half of them, and their "
    "mirror "
    "images; stratified: one in each of equal shares of the range")
      .one_of({"uniform", "levels", "antithetic", "stratified"});
  p.needs("levels", "`times = \"levels\"` draws a level").when("times", {"levels"});
}

Times TimeLaw::draw(const Scheduler& q, const std::vector<double>& u) const {
  const std::size_t rows = u.size(), half = (rows + 1) / 2;
  std::vector<double> t(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    double share = u[r];
    if (times_ == "antithetic" && r >= half) share = 1 - u[r - half];
    if (times_ == "stratified") share = (static_cast<double>(r) + u[r]) / static_cast<double>(rows);
    const auto n = static_cast<double>(q.levels());
    if (n > 0)
      t[r] = std::min(n, 1 + std::floor(share * n)) / n;
    else
      t[r] = q.t_min() + share * (q.t_max() - q.t_min());
  }
  return Times(std::move(t));
}

}  // namespace scorelab
