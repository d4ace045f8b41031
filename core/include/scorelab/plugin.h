#pragma once
#include <scorelab/component.h>
#include <scorelab/version.h>
#include <torch/headeronly/version.h>

#include <type_traits>

namespace scorelab {
class Scheduler;
class Network;
class Objective;
class Sampler;
class Step;
class DataSet;
class Space;
class Metric;
class Guide;
class Initial;
/// The classes behind the kinds that SCORELAB_PLUGIN names.
namespace kinds {
using scheduler = Scheduler;
using network = Network;
using objective = Objective;
using sampler = Sampler;
using step = Step;
using dataset = DataSet;
using space = Space;
using metric = Metric;
using guide = Guide;
using initial = Initial;
}  // namespace kinds
}  // namespace scorelab

#define SCORELAB_TEXT_(x) #x
#define SCORELAB_TEXT(x) SCORELAB_TEXT_(x)

/// Makes a shared library a plugin: kind, name and version are said here and nowhere else. The
/// stamp is text in an ELF section of its own, read before the library is loaded: NUL-separated
/// records.
#define SCORELAB_PLUGIN(Class, kind, name, version, summary)                                                \
  static_assert(std::is_base_of_v<scorelab::kinds::kind, Class>, #Class " is not a " #kind);                \
  __attribute__((section("scorelab"), used, retain, aligned(1))) static const char scorelab_stamp[] =     \
      "scorelab-plugin\0kind=" #kind "\0name=" name "\0version=" version "\0summary=" summary             \
      "\0api=" SCORELAB_TEXT(SCORELAB_API_VERSION) "\0torch=" TORCH_VERSION "\0cxx11abi=" SCORELAB_TEXT(  \
          _GLIBCXX_USE_CXX11_ABI) "\0gxxabi=" SCORELAB_TEXT(__GXX_ABI_VERSION) "\0compiler=" __VERSION__; \
  extern "C" __attribute__((visibility("default"))) scorelab::Component* scorelab_create() {                \
    return new Class;                                                                                       \
  }
