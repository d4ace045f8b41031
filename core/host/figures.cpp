#include "host/figures.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "evaluate/evaluation.h"
#include "host/stage.h"
#include "model/stored_array.h"
#include "record/files.h"
#include "record/samples.h"
#include "setup/weights.h"

namespace scorelab::host {
namespace {

/// What follows is of the model and the data alone: the models that guides and samplers name play
/// no part.
Json unguided(Json spec) {
  spec.erase("models");
  return spec;
}

}  // namespace

Json draw_data_points(const Json& request) {
  try {
    const Setup setup(request.at("spec"), at::kCPU, false);
    at::Tensor x;
    call(title(request["spec"]["dataset"]), [&] {
      x = reference_of(*setup.data, request.at("count"), request.at("seed"), "figure")
              .all()
              .contiguous();
    });
    return {{"shape", x.sizes().vec()},
            {"values", std::vector<double>(x.const_data_ptr<double>(),
                                           x.const_data_ptr<double>() + x.numel())}};
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

Json score_field(const Json& request) {
  try {
    const c10::AutoGradMode no_grad(false);
    const std::filesystem::path results = request.at("results").get<std::string>();
    const Json spec =
        unguided(record::read_json(record::stage_folder(results, request.at("key")) / "spec.json"));
    const Setup setup(spec, at::kCPU, true);
    if (setup.data->shape() != std::vector<std::int64_t>{2})
      throw Error("a score field needs data of two dimensions");
    if (!spec.at("trained").get<std::string>().empty())
      load_weights(results, spec, *setup.network, read_table<SampleOptions>(spec["sample"]),
                   [](const std::string&) {});
    const Scheduler& q = *setup.scheduler;
    const double t = request.at("t").is_number() ? request["t"].get<double>()
                                                 : q.t_min() + (q.t_max() - q.t_min()) / 10;
    const auto points = request.at("points").get<std::vector<std::vector<double>>>();
    at::Tensor x = at::empty({static_cast<std::int64_t>(points.size()), 2}, at::kDouble);
    for (std::size_t i = 0; i < points.size(); ++i) {
      x[static_cast<std::int64_t>(i)][0] = points[i].at(0);
      x[static_cast<std::int64_t>(i)][1] = points[i].at(1);
    }
    const Affine map = setup.space->expect_affine();
    x = x * map.scale + map.shift;
    const auto list = [&map](const at::Tensor& field) {
      const at::Tensor f = (field.to(at::kDouble) * map.scale).contiguous();  // in data units
      Json out = Json::array();
      for (std::int64_t i = 0; i < f.size(0); ++i)
        out.push_back({f[i][0].item<double>(), f[i][1].item<double>()});
      return out;
    };
    const std::atomic<bool> stop{false};
    Model model = setup.handle(spec, stop);
    Json out{{"t", t}, {"model", list(model(x.to(setup.tensors), t).score())}, {"exact", nullptr}};
    if (setup.law) {
      const at::Tensor one = at::ones({x.size(0)}, at::kDouble);
      out["exact"] = list(setup.law->score(x, one * q.alpha(t).one(), one * q.sigma(t).one()));
    }
    return out;
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

Json exact_paths(const Json& request) {
  try {
    const c10::AutoGradMode no_grad(false);
    const std::filesystem::path results = request.at("results").get<std::string>(),
                                folder = record::stage_folder(results, request.at("key"));
    const Json spec = unguided(record::read_json(folder / "spec.json"));
    const Setup setup(spec, at::kCPU, false);
    if (!setup.law) throw Error("there are no exact paths: the data set states no law");
    if (record::traced(folder) == 0)
      throw Error("there are no paths to begin from: ask for them with sample.trace");
    const record::Trace trace = record::load_trace(
        folder, std::min(request.at("count").get<std::int64_t>(), record::traced(folder)));
    const Scheduler& q = *setup.scheduler;
    // [steps, samples]: of the first sample, as good as any
    const at::Tensor times = to_tensor(trace.t).to(at::kDouble);
    const Affine map = setup.space->expect_affine();
    at::Tensor x = to_tensor(trace.x).to(at::kDouble)[0] * map.scale + map.shift;
    const at::Tensor one = at::ones({x.size(0)}, at::kDouble);
    const auto slope = [&](const at::Tensor& at, double t) {
      return q.f(t).one() * at -
             0.5 * q.g2(t).one() *
                 setup.law->score(at, one * q.alpha(t).one(), one * q.sigma(t).one());
    };
    std::vector<at::Tensor> path{x};
    std::vector<double> t{times[0][0].item<double>()};
    for (std::int64_t i = 1; i < times.size(0) && t.back() > q.t_min(); ++i) {
      constexpr int parts = 16;  // of a step, by RK4
      double from = t.back();
      const double to = std::max(q.t_min(), times[i][0].item<double>()), h = (to - from) / parts;
      for (int k = 0; k < parts; ++k, from += h) {
        const double end = k + 1 == parts ? to : from + h;
        const at::Tensor k1 = slope(x, from), k2 = slope(x + 0.5 * h * k1, from + 0.5 * h),
                         k3 = slope(x + 0.5 * h * k2, from + 0.5 * h), k4 = slope(x + h * k3, end);
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
      }
      t.push_back(to);
      path.push_back(x);
    }
    const at::Tensor all = ((at::stack(path) - map.shift) / map.scale).contiguous();
    return {{"t", t},
            {"shape", all.sizes().vec()},
            {"x", std::vector<double>(all.const_data_ptr<double>(),
                                      all.const_data_ptr<double>() + all.numel())}};
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

}  // namespace scorelab::host
