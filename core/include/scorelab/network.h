#pragma once
#include <scorelab/condition.h>
#include <scorelab/law.h>
#include <scorelab/model.h>
#include <scorelab/noise.h>
#include <scorelab/setting.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace scorelab {

struct Input {
  const at::Tensor& x;         ///< [B, ..]
  at::Tensor time;             ///< [B], the scheduler's conditioning
  at::Tensor alpha, sigma;     ///< [B]
  const Condition& condition;  ///< all that the network takes, a row a sample
  Noise* noise;                ///< for dropout; null when sampling
};

/// What a classifier says of x.
struct Classified {
  at::Tensor logits;    ///< [B, classes]
  at::Tensor features;  ///< [B, F], of which the logits are an affine map
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A network: a function of (x, time), with parameters that the host owns once prepared (optimiser,
/// averages, checkpoints).
class Network : public Component {
 public:
  static constexpr const char* kind = "network";
  ~Network() override;
  /// [B, C, ..] -> [B, parts C, ..], parts as the setting said, in x's dtype. Called with gradients
  /// in training (some losses differentiate twice, also by x), and in sampling where a guide or a
  /// sampler differentiates by x. With run.precision = "bf16" products in it are rounded by
  /// LibTorch's autocast. Row k of the result depends on row k alone. No draws but from `noise`; no
  /// state between calls.
  virtual at::Tensor forward(const Input& input) = 0;
  /// The classes of x, by a network that gives "classifies": such a network says nothing else, and
  /// its forward throws.
  virtual Classified classify(const Input& input);
  /// The parameters under their state-dict names, in a fixed order. The host may replace their
  /// storage, not their shapes. One that requires no gradient is fixed: it has a first value and is
  /// stored as the others are, and no training changes it.
  virtual NamedTensors parameters();
  /// Sets one parameter's first value; by default PyTorch's: uniform in +-1/sqrt(fan-in) for
  /// matrices and kernels; 1 for the weights and 0 for the biases of a norm or a linear map.
  virtual void initialise(const std::string& name, at::Tensor& parameter, Noise& noise);
  /// Called at the beginning of each training step, without gradients: brings the parameters back
  /// to where they must lie, such as rows of norm 1. By default it does nothing. Weights that are
  /// stored are as the last step left them.
  virtual void constrain();
  /// The conditions it takes besides x and t, from prepare on; by default none. With any it gives
  /// "conditional". In unconditional evaluations it receives their nulls.
  virtual std::vector<ConditionType> conditions() const;
  /// What forward returns, where the network states that itself; otherwise the manifest's `output`
  /// says it.
  virtual std::optional<Quantity> states() const;
};

}  // namespace scorelab
