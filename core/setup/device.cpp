#include "setup/device.h"

#include <ATen/ATen.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <thread>

namespace scorelab::host {

int cuda_devices(std::string& why) {
  static void* library = [] {
    // Loaded before the first CUDA query: LibTorch's hooks stay stubs for ever otherwise.
    void* found = dlopen("libscorelab_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    if (found) reinterpret_cast<void (*)()>(dlsym(found, "scorelab_cuda_attach"))();
    return found;
  }();
  if (!library) {
    why = fmt::format("libscorelab_cuda.so does not load: {}", dlerror());
    return 0;
  }
  if (!at::globalContext().hasCUDA()) {
    why = "LibTorch sees no CUDA device (is the driver loaded?)";
    return 0;
  }
  return static_cast<int>(at::detail::getCUDAHooks().deviceCount());
}

namespace {
std::size_t own = 0, all = 1;
}

void share_cores(std::size_t host, std::size_t hosts) {
  own = host;
  all = std::max<std::size_t>(1, hosts);
}

int cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency() / all)); }

at::Device resolve_device(const std::string& asked) {
  if (asked == "cpu") return at::kCPU;
  if (asked == "auto" && !std::filesystem::exists("/dev/nvidiactl")) return at::kCPU;
  std::string why = "there are too few devices";
  const int count = cuda_devices(why);
  const int index = asked.rfind("cuda:", 0) == 0 ? std::stoi(asked.substr(5))
                                                 : static_cast<int>(own) % std::max(1, count);
  if (index < count) return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
  if (asked == "auto") return at::kCPU;
  throw DeviceUnavailable(
      fmt::format("run.device = \"{}\", but this machine has {} CUDA devices: {}; set run.device = "
                  "\"cpu\" or \"auto\"",
                  asked, count, why));
}

void set_precision(const std::string& precision, at::Device device) {
  const bool tf32 = precision == "tf32";
  if (tf32 && device.is_cpu())
    throw DeviceUnavailable(
        "run.precision = \"tf32\" is a GPU's, and this run is on the CPU; set run.precision = "
        "\"float32\" or \"bf16\"");
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);
}

}  // namespace scorelab::host
