#pragma once
#include <string>
#include <vector>

#include "manifest/comparison.h"

namespace scorelab::report {

using manifest::Figure;

/// A key of a figure that is one word.
std::string word(const Figure& figure, const char* key, const std::string& otherwise = "");
/// A key that is a list of words, or one.
std::vector<std::string> words(const Figure& figure, const char* key);

/// Problems of the figures that a manifest names, found before anything runs.
void check_figures(const manifest::Comparison& comparison, const std::vector<std::string>& metrics,
                   manifest::Findings& findings);

/// The number that a label is; nan where it is none.
double number_of_label(const std::string& label);

}  // namespace scorelab::report
