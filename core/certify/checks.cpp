#include "certify/checks.h"

#include <map>

namespace scorelab::certify {

namespace {

const std::vector<Check> of_all{{"library", "one exported symbol, a stamp, a version"},
                                {"parameters", "each has a text, and a default in its bounds"}};

const std::vector<Check> of_samplers{
    {"shape", "keeps shape and dtype: vectors and images, float32 and float64"},
    {"effect", "each parameter changes the samples"},
    {"finite", "no value that is not finite: few steps, all of the range"},
    {"generators", "LibTorch's default generator is untouched"},
    {"repeatable",
     "same seed, same bits, whatever was sampled before: no state between calls, no generator "
     "of its own"},
    {"chunks", "sample k is the same in any chunk: rows do not see each other"},
    {"seeds", "another seed, other samples"},
    {"grid", "begins at the noisy end, ends where the grid does, tells of each step"},
    {"budget", "keeps a budget of evaluations"},
    {"cancel", "stops at every step when asked"},
    {"gaussian", "recovers a Gaussian: mean and standard deviation"},
    {"mixture", "recovers a mixture: weights of its modes (chi-square)"},
    {"moments", "exact moments equal Monte Carlo"},
    {"order", "the error falls with the steps: the measured order"},
    {"strong",
     "samples move less with more steps on the same Brownian paths: the measured strong "
     "order"}};

const std::map<std::string, std::vector<Check>> of_kind{
    {"sampler", of_samplers},
    {"step", of_samplers},
    {"scheduler",
     {{"marginals", "alpha and sigma finite, 0 or above, from clean to noisy"},
      {"slopes", "derivatives equal finite differences"},
      {"kernels", "kernels compose, variances at or above 0"},
      {"inverse", "t_of inverts log(alpha/sigma)"}}},
    {"network",
     {{"shape", "keeps shape and dtype: vectors, float32 and float64"},
      {"repeatable", "same input, same bits; same seed, same first weights"},
      {"chunks", "rows do not see each other"},
      {"generators", "LibTorch's default generator is untouched"},
      {"gradients", "every parameter has a gradient, as finite differences say"}}},
    {"objective",
     {{"loss", "one finite number a sample"},
      {"repeatable", "same draws, same loss"},
      {"generators", "LibTorch's default generator is untouched"},
      {"gradients", "the loss moves the network"}}},
    {"guide",
     {{"shape", "keeps shape and dtype"},
      {"repeatable", "same input, same bits"},
      {"chunks", "rows do not see each other"},
      {"generators", "LibTorch's default generator is untouched"}}},
    {"initial",
     {{"shape", "keeps shape and dtype"},
      {"repeatable", "same seed, same bits"},
      {"chunks", "rows do not see each other"},
      {"generators", "LibTorch's default generator is untouched"},
      {"moments", "stated moments equal those of draws"}}},
    {"dataset",
     {{"shape", "items have the shape that it states, finite"},
      {"repeatable", "same seed, same bits"},
      {"chunks", "an item does not depend on its neighbours"},
      {"generators", "LibTorch's default generator is untouched"},
      {"law", "a stated law has the draws' moments"}}},
    {"space",
     {{"shape", "encoded items have the shape that it states, decoded ones the data's; finite"},
      {"repeatable", "same seed, same bits"},
      {"chunks", "rows do not see each other"},
      {"generators", "LibTorch's default generator is untouched"},
      {"affine", "a stated affine map is what encode does, and decode undoes it"},
      {"reconstruction", "decode(encode(x)) is nearer to x than the data's mean is"}}},
    {"metric",
     {{"finite", "finite numbers with units and names"},
      {"repeatable", "same samples, same value"},
      {"generators", "LibTorch's default generator is untouched"},
      {"order", "the order of the samples changes nothing"},
      {"goal", "far samples are worse than the data's own"}}}};

}  // namespace

std::vector<Check> checks_of(const std::string& kind) {
  std::vector<Check> out = of_all;
  if (const auto own = of_kind.find(kind); own != of_kind.end())
    out.insert(out.end(), own->second.begin(), own->second.end());
  return out;
}

}  // namespace scorelab::certify
