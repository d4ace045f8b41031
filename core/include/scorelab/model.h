#pragma once
#include <scorelab/scheduler.h>
#include <scorelab/times.h>

#include <functional>
#include <memory>

namespace scorelab {

/// What can be said about x_t; each is a linear map of (x0, eps).
///   eps:      the noise, x_t = alpha x0 + sigma eps
///   x0:       the clean sample (Tweedie: (x + sigma^2 score)/alpha)
///   score:    grad log p_t(x) = -eps/sigma
///   v:        alpha eps - sigma x0 (Salimans & Ho 2022)
///   velocity: alpha' x0 + sigma' eps, the right-hand side of the probability-flow ODE
enum class Quantity { x0, eps, score, v, velocity };

/// A quantity computed from the pair (x0, eps) that x_t was made of, by its definition a x0 + b
/// eps. No equation is solved and nothing divides by alpha, so that it holds where alpha is 0.
/// Throws Error where it has no value: a score without noise, a velocity whose slope is infinite.
at::Tensor value_of(Quantity quantity, const Scheduler& scheduler, const Times& t,
                    const at::Tensor& x0, const at::Tensor& eps);

/// One network evaluation at (x, t), read as any quantity at no further cost. Inactive rows are
/// zero in every quantity.
class Prediction {
 public:
  Prediction(const Scheduler& scheduler, at::Tensor x, Times t, Quantity quantity, at::Tensor value,
             PerRow active = 1);

  at::Tensor x0() const { return as(Quantity::x0); }
  at::Tensor eps() const { return as(Quantity::eps); }
  at::Tensor score() const { return as(Quantity::score); }
  at::Tensor v() const { return as(Quantity::v); }
  at::Tensor velocity() const { return as(Quantity::velocity); }
  /// In x's shape, dtype and device. The stated quantity comes back as it is; another is solved
  /// for. Nothing divides by alpha unless x0 is asked of eps or score: where alpha is 0 that throws
  /// Error.
  at::Tensor as(Quantity quantity) const;
  /// The predicted `quantity` minus its true value, from the pair that x was made of: an
  /// objective's residual, in x's shape. As x is known, the errors of all quantities are multiples
  /// of that of the stated one, which is computed from the pair directly.
  at::Tensor error(Quantity quantity, const at::Tensor& x0, const at::Tensor& eps) const;
  /// The same error for the network's raw output F, in the parametrisation of output.predict: of a
  /// reverse step's mean, or of EDM's F.
  at::Tensor error_of_output(const at::Tensor& x0, const at::Tensor& eps) const;
  /// Whether the network says the variance of a reverse step beside its mean: output.variance.
  bool learns_variance() const { return variance_.defined(); }
  /// The predicted log Var[x_s | x_t], in x's shape, for a step down to s.
  at::Tensor log_variance(const Times& s) const;
  /// The same prediction with the network's raw output for the variance. range: from -1 to 1, the
  /// log variance runs from the posterior's to the forward kernel's (Nichol & Dhariwal 2021,
  /// equation 15); otherwise it is the logarithm of the variance's ratio to the kernel's.
  Prediction with_variance(at::Tensor raw, bool range) const;
  /// The same x0 at another x of the same times: eps and all that follows from it change.
  Prediction at(at::Tensor x) const;
  /// The same without a graph for gradients, stated as `quantity`.
  Prediction detach(at::Tensor x, Quantity quantity) const;
  /// The same prediction, with d(stated quantity)/dF of each row: the stated quantity is an affine
  /// function of the network's raw output F.
  Prediction with_slope(PerRow of_output) const;
  /// A changed prediction at the same point, for guides. The predicted variance stays.
  Prediction with(Quantity quantity, at::Tensor value) const;

  Quantity stated() const { return quantity_; }
  const at::Tensor& x() const { return x_; }
  const Times& t() const { return t_; }
  const Scheduler& scheduler() const { return *scheduler_; }

 private:
  void expect_signal(const PerRow& det, Quantity wanted) const;
  at::Tensor masked(at::Tensor value) const;

  const Scheduler* scheduler_;
  at::Tensor x_, value_, variance_;
  Times t_;
  Quantity quantity_;
  PerRow active_, slope_ = 1;  // slope_: of the network's F in the stated quantity
  bool range_ = true;
};

struct Vjp {
  Prediction prediction;
  at::Tensor product;  ///< v^T d(quantity)/dx, in x's shape
};

class Model;
class Network;
class Space;
struct Classified;

/// A prediction and the derivative of one of its quantities.
class Pullback {
 public:
  const Prediction prediction;
  /// v^T d(quantity)/dx, in x's shape. In training it can be differentiated again.
  at::Tensor operator()(const at::Tensor& v) const { return sweep_(v); }

 private:
  friend class Model;
  Pullback(Prediction prediction, std::function<at::Tensor(const at::Tensor&)> sweep)
      : prediction(std::move(prediction)), sweep_(std::move(sweep)) {}
  std::function<at::Tensor(const at::Tensor&)> sweep_;
};

/// Network + scheduler + output + guides: the only way to evaluate a network. Counts evaluations of
/// each row, throws Stopped once the run was asked to stop, refuses t = 0 and cuts large batches
/// into chunks of one fixed size, the last one padded, so that bits do not depend on how many
/// samples are asked for. A light handle of one use (a sampling call, a training batch, a
/// measurement): copies share its condition and its counts. Made by the host; a component may keep
/// a handle no longer than the call that it was handed to.
class Model {
 public:
  struct Parts;    ///< network, scheduler, output and space: fixed, shared by all uses
  struct Context;  ///< of one use: condition, dropout, guides, limits and counts
  Model(std::shared_ptr<const Parts> parts, std::shared_ptr<Context> context, PerRow active = 1,
        bool guided = true);

  /// One evaluation. x: [B, ..]; t: shared or one a row, in (0, t_max].
  Prediction operator()(const at::Tensor& x, const Times& t);
  /// One evaluation and one reverse sweep. v has x's shape. In training the result can be
  /// differentiated again.
  Vjp vjp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of);
  /// The same where v depends on what the model says: v(prediction).
  Vjp vjp(const at::Tensor& x, const Times& t,
          const std::function<at::Tensor(const Prediction&)>& v, Quantity of);
  /// One evaluation, and as many reverse sweeps as are asked for.
  Pullback pullback(const at::Tensor& x, const Times& t, Quantity of);
  /// d(quantity)/dx v, by two reverse sweeps (the linear map of the first is differentiated).
  at::Tensor jvp(const at::Tensor& x, const Times& t, const at::Tensor& v, Quantity of);
  /// What a classifier says of x, one evaluation. Guides play no part. Clean x: ask at t_min.
  Classified classify(const at::Tensor& x, const Times& t);
  /// What the network itself states, by its output.
  Quantity stated() const;
  /// The same model for the rows that are not 0, the active ones: what is predicted for the others
  /// is zero, and they are not counted.
  Model rows(const PerRow& active) const;
  /// The same model without the manifest's guides.
  Model unguided() const;
  /// The same model evaluated unconditionally: every condition is replaced by its null.
  Model unconditional() const;
  /// This model evaluated as the caller would be: its active rows, its condition (or none, if the
  /// caller is unconditional), its chunks. Evaluations are counted apart; guides and dropout play
  /// no part.
  Model under(const Model& caller) const;
  const Scheduler& scheduler() const;
  /// What stands between its values and data units.
  const Space& space() const;

 private:
  friend class ModelRef;
  friend class OwnNetwork;
  friend class Trainer;
  /// Another network in the place of this one's. `learns`: with dropout in training.
  Model with_network(std::shared_ptr<Network> network, bool learns = false) const;
  Prediction evaluate(const at::Tensor& x, const Times& t) const;
  Prediction evaluate_guide(const at::Tensor& x, const Times& t) const;
  Prediction evaluate_network(const at::Tensor& x, const Times& t) const;

  std::shared_ptr<const Parts> parts_;
  std::shared_ptr<Context> context_;
  PerRow active_;
  std::size_t guides_;  // so many of them, from the first on
  bool conditioned_ = true;
};

}  // namespace scorelab
