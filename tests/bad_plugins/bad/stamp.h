#pragma once
#include <scorelab/version.h>
#include <torch/headeronly/version.h>
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
/* Built here and now, as far as a stamp can say. */
#define HERE                                                   \
  "\0api=" TEXT(SCORELAB_API_VERSION) "\0torch=" TORCH_VERSION \
                                      "\0cxx11abi=1\0gxxabi=" TEXT(__GXX_ABI_VERSION) "\0source=0"
#define STAMP(text) \
  __attribute__((section("scorelab"), used, retain, aligned(1))) static const char stamp[] = text;
