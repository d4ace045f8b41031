#pragma once
#include <scorelab/error.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

/// One reader, given bytes that nobody vouches for. It returns 0; what a reader must not do (end
/// the process, let anything but Error escape, take long or much memory) is found by whoever calls
/// it: libFuzzer, or replay.cpp.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace scorelab::fuzz {

namespace fs = std::filesystem;

inline std::string text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Calls a reader that may refuse what it is given.
template <class F>
void allow_refusal(F&& read) {
  try {
    read();
  } catch (const Error&) {  // one sentence for the user
  }
}

/// A folder of this process under TMPDIR for readers that take files.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "scorelab-fuzz-XXXXXX").string();
    if (!mkdtemp(name.data())) throw Error("cannot make a temporary folder");
    path_ = name;
  }
  ~Folder() {
    std::error_code none;
    fs::remove_all(path_, none);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path_ / name;
  }

 private:
  fs::path path_;
};

}  // namespace scorelab::fuzz
