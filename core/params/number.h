#pragma once
#include "params/schema.h"

namespace scorelab {

/// A number in our JSON, which has no numbers that are not finite: they are the words "nan", "inf"
/// and "-inf".
schema::Json json_of(double value);
/// The same back. What is neither a number nor one of these words is NaN.
double number_of(const schema::Json& value);

}  // namespace scorelab
