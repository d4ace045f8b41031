#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <scorelab/error.h>
#include <scorelab/nn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace scorelab::nn {
namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// LibTorch's autocast of one device, as it is now.
struct Autocast {
  explicit Autocast(at::DeviceType device)
      : device(device),
        enabled(at::autocast::is_autocast_enabled(device)),
        dtype(at::autocast::get_autocast_dtype(device)) {}
  void set() const {
    at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::set_autocast_enabled(device, enabled);
  }
  at::DeviceType device;
  bool enabled;
  at::ScalarType dtype;
};

/// The autocast of the forward pass, for as long as it lives.
class AsBefore {
 public:
  explicit AsBefore(const Autocast& then) : now_(then.device) {
    then.set();
    at::autocast::increment_nesting();
  }
  ~AsBefore() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    now_.set();
  }
  AsBefore(const AsBefore&) = delete;
  AsBefore& operator=(const AsBefore&) = delete;

 private:
  Autocast now_;
};

struct Remembered final : torch::CustomClassHolder {
  Remembered(Function f, std::size_t inputs, Autocast autocast)
      : f(std::move(f)), inputs(inputs), autocast(autocast) {}
  Function f;
  std::size_t inputs;
  Autocast autocast;
};

struct Recompute : torch::autograd::Function<Recompute> {
  /// `all`: the inputs, then the weights.
  static at::Tensor forward(torch::autograd::AutogradContext* ctx,
                            const c10::intrusive_ptr<Remembered>& what, at::TensorList all) {
    ctx->saved_data["what"] = c10::IValue::make_capsule(what);
    ctx->save_for_backward(all.vec());
    // With gradients on, as in the second call: f may compute otherwise without.
    const c10::AutoGradMode with_gradients(true);
    std::vector<at::Tensor> inputs;
    for (std::size_t i = 0; i < what->inputs; ++i)
      inputs.push_back(all[i].detach().requires_grad_(all[i].requires_grad()));
    return what->f(inputs).detach();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& gradients) {
    if (c10::GradMode::is_enabled())
      throw Error("activations that are recomputed cannot be differentiated twice");
    const auto capsule = ctx->saved_data["what"].toCapsule();
    const auto& what = static_cast<const Remembered&>(*capsule);
    auto all = ctx->get_saved_variables();
    const c10::AutoGradMode with_gradients(true);
    torch::autograd::variable_list inputs, wanted;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool asked = ctx->needs_input_grad(i);
      if (i < what.inputs) inputs.push_back(all[i] = all[i].detach().requires_grad_(asked));
      if (!asked) continue;
      wanted.push_back(all[i]);
      places.push_back(i);
    }
    at::Tensor out;
    {
      const AsBefore autocast(what.autocast);
      out = what.f(inputs);
    }
    const auto found = torch::autograd::grad({out}, wanted, {gradients[0]}, false, false, true);
    torch::autograd::variable_list result(all.size() + 1);  // `what` has none
    for (std::size_t k = 0; k < places.size(); ++k) result[places[k] + 1] = found[k];
    return result;
  }
};

}  // namespace

at::Tensor recomputed(const Function& f, const std::vector<at::Tensor>& inputs,
                      const std::vector<at::Tensor>& weights) {
  if (!c10::GradMode::is_enabled()) return f(inputs);
  std::vector<at::Tensor> all = inputs;
  all.insert(all.end(), weights.begin(), weights.end());
  const auto what =
      c10::make_intrusive<Remembered>(f, inputs.size(), Autocast(inputs.at(0).device().type()));
  return Recompute::apply(what, at::TensorList(all));
}

}  // namespace scorelab::nn
