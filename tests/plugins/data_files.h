#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <scorelab/dataset.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "objectives_testing.h"
#include "params/sha256.h"

namespace scorelab::test {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A data path of one's own.
class DataFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "scorelab-data-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    if (const char* set = std::getenv("SCORELAB_DATA")) before_ = set;
    setenv("SCORELAB_DATA", name.c_str(), 1);
  }
  void TearDown() override {
    before_ ? setenv("SCORELAB_DATA", before_->c_str(), 1) : unsetenv("SCORELAB_DATA");
    fs::remove_all(root_);
  }
  void write(const std::string& file, const std::string& bytes) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file, std::ios::binary) << bytes;
  }
  /// The same, compressed; `zeros` more bytes of 0 follow.
  void write_gzip(const std::string& file, const std::string& bytes, std::int64_t zeros = 0) const {
    fs::create_directories((root_ / file).parent_path());
    const gzFile out = gzopen((root_ / file).c_str(), "wb9");
    gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size()));
    const std::string block(1 << 20, '\0');
    for (; zeros > 0; zeros -= 1 << 20)
      gzwrite(out, block.data(), static_cast<unsigned>(std::min<std::int64_t>(zeros, 1 << 20)));
    gzclose(out);
  }
  /// `planned`: the files that a plan names; with none, as outside of a plan, all may be read.
  std::shared_ptr<DataSet> set(const std::string& name, const Json& params = Json::object(),
                               const std::vector<std::string>& planned = {}) const {
    Json config = plugin("dataset", name, params);
    for (const auto& file : planned)
      config["files"][(root_ / file).string()] = sha256_file(root_ / file);
    const auto out = host::make_as<DataSet>(config);
    const World w = world(plugin("scheduler", "vp"), nullptr, {1});
    host::prepare(out, config, w.setting());
    return out;
  }
  /// What reading it throws; empty where it is read.
  std::string refused(const std::string& name, const Json& params = Json::object()) const {
    try {
      set(name, params);
    } catch (const host::PluginError& e) {
      return e.what();
    }
    return "";
  }

  fs::path root_;
  std::optional<std::string> before_;
};

}  // namespace scorelab::test
