#include "host/figures.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "host/stage.h"
#include "host/weights.h"
#include "record/files.h"
#include "train/data.h"

namespace scorelab::host {

Json draw_data_points(const Json& request) {
  try {
    const Setup setup(request.at("spec"), at::kCPU, false);
    Noise noise(request.at("seed"), "figure");
    at::Tensor x;
    call(title(request["spec"]["dataset"]),
         [&] { x = draw_reference(*setup.data, request.at("count"), noise).to(at::kDouble).contiguous(); });
    return {{"shape", x.sizes().vec()},
            {"values", std::vector<double>(x.const_data_ptr<double>(), x.const_data_ptr<double>() + x.numel())}};
  } catch (const std::exception& e) {
    return {{"error", e.what()}};
  }
}

Json score_field(const Json& request) {
  try {
    const c10::AutoGradMode no_grad(false);
    const std::filesystem::path results = request.at("results").get<std::string>();
    const Json spec = record::read_json(record::stage_folder(results, request.at("key")) / "spec.json");
    const Setup setup(spec, at::kCPU, true);
    if (setup.data->shape() != std::vector<std::int64_t>{2}) throw Error("a score field needs data of two dimensions");
    if (spec.at("trained") != "")
      load_weights(results, spec, *setup.network, read_table<SampleOptions>(spec["sample"]), [](const std::string&) {});
    const Scheduler& q = *setup.scheduler;
    const double t = request.at("t").is_number() ? request["t"].get<double>() : q.t_min() + (q.t_max() - q.t_min()) / 10;
    const auto points = request.at("points").get<std::vector<std::vector<double>>>();
    at::Tensor x = at::empty({static_cast<std::int64_t>(points.size()), 2}, at::kDouble);
    for (std::size_t i = 0; i < points.size(); ++i)
      x[static_cast<std::int64_t>(i)][0] = points[i].at(0), x[static_cast<std::int64_t>(i)][1] = points[i].at(1);
    const auto list = [](const at::Tensor& field) {
      const at::Tensor f = field.to(at::kDouble).contiguous();
      Json out = Json::array();
      for (std::int64_t i = 0; i < f.size(0); ++i) out.push_back({f[i][0].item<double>(), f[i][1].item<double>()});
      return out;
    };
    const std::atomic<bool> stop{false};
    Model model(setup.model(spec, stop));
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

}  // namespace scorelab::host
