#include <gmock/gmock.h>

#include <fstream>

#include "record/checkpoint.h"
#include "record/files.h"
#include "record/journal.h"
#include "record/samples.h"

namespace scorelab::record {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A folder of its own for each test.
class Records : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Changes one byte of a file, `back` bytes from its end or at its middle.
  static void damage(const fs::path& file, std::size_t back = 0) {
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto size = fs::file_size(file);
    const auto at = static_cast<std::streamoff>(back ? size - back : size / 2);
    f.seekg(at);
    const char byte = static_cast<char>(f.get() ^ 1);
    f.seekp(at);
    f.put(byte);
  }

  fs::path folder_;
};

TEST_F(Records, AStepReportedTwiceHasItsLastRow) {
  const fs::path file = folder_ / "journal.jsonl";
  {
    Journal journal(file);
    journal.declare("train", {{"loss", "1", "min", "mean loss"}});
    journal.row("train", 1, 0.1, {{"loss", 4}});
    journal.row("train", 2, 0.2, {{"loss", 3}});
  }
  {
    Journal again(file);  // after a crash: step 2 is made again
    again.row("train", 2, 0.3, {{"loss", 2.5}});
  }
  const Story story = read_journal(file);
  EXPECT_EQ(story.damaged, 0u);
  const Stream& train = story.streams.at("train");
  EXPECT_THAT(train.steps, ElementsAre(1, 2));
  EXPECT_THAT(train.values.at("loss"), ElementsAre(4, 2.5));
}

TEST_F(Records, ATornLineIsCutAndADamagedOneIsToldOf) {
  const fs::path file = folder_ / "journal.jsonl";
  {
    Journal journal(file);
    for (int step = 1; step <= 3; ++step) journal.row("train", step, 0, {{"loss", 1.0 * step}});
  }
  std::ofstream(file, std::ios::app) << R"({"stream": "train", "st)";
  EXPECT_EQ(read_journal(file).damaged, 0u) << "a torn last line is a killed process's";
  Journal(file).row("train", 4, 0, {{"loss", 4}});
  damage(file);  // in the middle: of step 2 or 3
  const Story story = read_journal(file);
  EXPECT_EQ(story.damaged, 1u);
  EXPECT_THAT(story.events.name, ElementsAre("damaged-journal"));
  EXPECT_EQ(story.streams.at("train").steps.size(), 3u);
  EXPECT_EQ(story.streams.at("train").steps.back(), 4);
}

Checkpoint state(std::int64_t step, double value) {
  Checkpoint c;
  c.step = step;
  for (const char* group : {"parameters", "ema/0.9"})
    c.groups[group].emplace_back("w", Array::of(std::vector<double>(1000, value)));
  return c;
}

TEST_F(Records, ADamagedCheckpointGivesWayToTheOneBefore) {
  save_checkpoint(folder_, state(10, 1));
  save_checkpoint(folder_, state(20, 2));
  std::vector<std::string> told;
  const auto tell = [&](const std::string& why) { told.push_back(why); };
  EXPECT_EQ(load_checkpoint(folder_, tell)->step, 20);
  EXPECT_THAT(told, IsEmpty());
  damage(folder_ / "checkpoint.h5");
  const auto before = load_checkpoint(folder_, tell);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->step, 10);
  EXPECT_THAT(told, ElementsAre(HasSubstr("checkpoint.h5")));
  EXPECT_TRUE(fs::exists(folder_ / "checkpoint.h5.damaged"));
}

TEST_F(Records, OneGroupIsReadWithoutTheOthers) {
  save_checkpoint(folder_, state(10, 3));
  const auto one = load_checkpoint(
      folder_, [](const std::string& why) { ADD_FAILURE() << why; }, "ema/0.9");
  ASSERT_TRUE(one);
  ASSERT_EQ(one->groups.size(), 1u);
  EXPECT_EQ(one->groups.begin()->first, "ema/0.9");
}

SampleChunk chunk(std::int64_t first, std::int64_t n) {
  std::vector<double> x;
  for (std::int64_t i = 0; i < 2 * n; ++i) x.push_back(static_cast<double>(2 * first + i));
  SampleChunk out{first, Array::of(x), std::vector<std::int64_t>(n, 7), 0.5, {}};
  out.x.shape = {n, 2};
  return out;
}

TEST_F(Records, SamplesAreReadAcrossFiles) {
  save_samples(folder_, chunk(0, 3));
  save_samples(folder_, chunk(3, 4));
  StoredSamples stored(folder_, 6);
  EXPECT_THAT(stored.shape(), ElementsAre(2));
  const Array middle = stored.rows(2, 3);
  EXPECT_THAT(middle.shape, ElementsAre(3, 2));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(middle.as<double>()[i], 4 + i);
  EXPECT_THROW(StoredSamples(folder_, 8), Error) << "seven are stored";
}

TEST_F(Records, AFileOfSamplesInAnothersPlaceIsNoticed) {
  save_samples(folder_, chunk(0, 3));
  std::vector<fs::path> files;
  for (const auto& f : fs::directory_iterator(folder_)) files.push_back(f.path());
  save_samples(folder_, chunk(3, 3));
  for (const auto& f : fs::directory_iterator(folder_))
    if (f.path() != files[0])
      fs::copy_file(files[0], f.path(), fs::copy_options::overwrite_existing);
  EXPECT_THROW(load_chunk(folder_, 3), Damaged);
}

TEST_F(Records, ChangedJsonIsDamagedAndMissingJsonIsNull) {
  const fs::path file = folder_ / "stage.json";
  EXPECT_TRUE(read_json(file).is_null());
  write_json(file, {{"seconds", 12}});
  EXPECT_EQ(read_json(file)["seconds"], 12);
  std::string text = read_whole(file, 1000);
  text.replace(text.find("12"), 2, "13");
  std::ofstream(file) << text;
  EXPECT_THROW(read_json(file), Damaged);
}

TEST_F(Records, AStageIsClaimedOnce) {
  {
    const Claim first(folder_), second(folder_);
    EXPECT_TRUE(first.held());
    EXPECT_FALSE(second.held());
    EXPECT_TRUE(is_claimed(folder_));
  }
  EXPECT_FALSE(is_claimed(folder_));
  EXPECT_TRUE(Claim(folder_).held());
}

TEST_F(Records, NothingIsWrittenThroughALink) {
  fs::create_directories(folder_ / "elsewhere");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / ".stages");
  EXPECT_THROW(expect_no_links(stage_folder(folder_, std::string(64, 'a')) / "stage.json"), Error);
}

}  // namespace
}  // namespace scorelab::record
