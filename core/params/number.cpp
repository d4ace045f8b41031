#include "params/number.h"

#include <cmath>
#include <limits>

namespace scorelab {

schema::Json json_of(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number_of(const schema::Json& value) {
  if (value.is_number()) return value.get<double>();
  constexpr double inf = std::numeric_limits<double>::infinity();
  return value == "inf" ? inf : value == "-inf" ? -inf : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace scorelab
