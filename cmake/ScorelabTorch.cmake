# LibTorch as two imported targets. Its own CMake package is not used: it wants the whole CUDA toolkit, though only
# libscorelab_cuda links CUDA.
find_path(SCORELAB_TORCH_INCLUDE ATen/ATen.h PATHS ${SCORELAB_TORCH}/include NO_DEFAULT_PATH)
find_library(SCORELAB_TORCH_CPU torch_cpu PATHS ${SCORELAB_TORCH}/lib NO_DEFAULT_PATH)
if(NOT SCORELAB_TORCH_INCLUDE OR NOT SCORELAB_TORCH_CPU)
  message(FATAL_ERROR "no LibTorch in SCORELAB_TORCH='${SCORELAB_TORCH}': it must hold include/ATen/ATen.h and lib/libtorch_cpu.so. "
                      "./scorelab build finds it, or pass -DSCORELAB_TORCH=DIR.")
endif()
file(READ ${SCORELAB_TORCH_INCLUDE}/torch/headeronly/version.h text)
set(SCORELAB_TORCH_VERSION "")
foreach(part MAJOR MINOR PATCH)
  string(REGEX MATCH "#define TORCH_VERSION_${part} ([0-9]+)" unused "${text}")
  list(APPEND SCORELAB_TORCH_VERSION ${CMAKE_MATCH_1})
endforeach()
list(JOIN SCORELAB_TORCH_VERSION "." SCORELAB_TORCH_VERSION)
if(NOT SCORELAB_TORCH_VERSION STREQUAL "2.11.0")
  message(FATAL_ERROR "LibTorch 2.11.0 is needed; ${SCORELAB_TORCH} holds ${SCORELAB_TORCH_VERSION}")
endif()
get_filename_component(torch_lib ${SCORELAB_TORCH_CPU} DIRECTORY)
add_library(scorelab::torch INTERFACE IMPORTED)
target_include_directories(scorelab::torch SYSTEM INTERFACE ${SCORELAB_TORCH_INCLUDE} ${SCORELAB_TORCH_INCLUDE}/torch/csrc/api/include)
target_link_libraries(scorelab::torch INTERFACE ${SCORELAB_TORCH_CPU} ${torch_lib}/libc10.so)
# The wheel's CPU library names CUPTI and the CUDA runtime, which lie in other wheels beside it and which its own rpath finds.
target_link_options(scorelab::torch INTERFACE -Wl,--allow-shlib-undefined)
