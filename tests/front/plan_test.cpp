#include "plan/plan.h"

#include <gmock/gmock.h>
#include <scorelab/error.h>

#include <fstream>

#include "record/files.h"

namespace scorelab::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// A component as check() gives it, with these parameters, of which `key` differ from their
/// default.
Json component(const std::string& kind, const std::string& name, Json key = Json::object(),
               const std::string& of = "") {
  Json out{{"plugin", name},        {"kind", kind},    {"version", "1.0.0"},
           {"id", name + "@1.0.0"}, {"sha256", "abc"}, {"file", name + ".so"},
           {"params", key},         {"key", key},      {"files", Json::object()}};
  if (!of.empty()) {
    out["of"] = of;
    out["traced"] = false;
  }
  return out;
}

Experiment experiment(std::int64_t sampler_steps) {
  Experiment e;
  e.dataset = component("dataset", "swirl");
  e.scheduler = component("scheduler", "vp");
  e.network = component("network", "mlp");
  e.objective = component("objective", "ddpm");
  e.sampler = component("sampler", "ddim", {{"steps", sampler_steps}});
  e.metrics["mmd"] = component("metric", "mmd", Json::object(), "samples");
  e.output = {{"predict", "eps"}};
  e.train = {{"from", "none"}, {"weights", ""}, {"preview_every", 0}, {"steps", 100}, {"batch", 8}};
  e.sample = {{"ema", 0.0}, {"step", 0},    {"count", 64}, {"noise", ""},
              {"trace", 0}, {"max_nfe", 0}, {"seed", 3}};
  e.run = {{"chunk", 256}, {"noise", "independent"}, {"precision", "float32"}};
  for (const char* table : {"output", "train", "sample", "run"}) e.keys[table] = Json::object();
  return e;
}

class Plans : public testing::Test {
 protected:
  void SetUp() override {
    results_ = fs::path(testing::TempDir()) /
               testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(results_);
    comparison_.name = "test";
    manifest::Axis axis;
    axis.name = "S";
    for (const char* label : {"5", "10"}) axis.points.push_back({label, {}, {}});
    comparison_.axes.push_back(axis);
  }
  void TearDown() override { fs::remove_all(results_); }

  std::vector<CellPlan> cells() const {
    return {{{{"S", "5"}}, experiment(5)}, {{{"S", "10"}}, experiment(10)}};
  }
  Plan plan(std::vector<CellPlan> cells) const {
    return make_plan(comparison_, std::move(cells), results_);
  }
  static std::vector<std::string> labels(const Plan& plan) {
    std::vector<std::string> out;
    for (const auto& s : plan.stages) out.push_back(s.label);
    return out;
  }
  /// What a finished stage leaves.
  void finish(const Stage& stage, Json more = Json::object()) const {
    const fs::path folder = record::stage_folder(results_, stage.key);
    fs::create_directories(folder);
    more["key"] = stage.key;
    more["seconds"] = 10;
    record::write_json(folder / "stage.json", more);
    record::write_json(folder / "spec.json", stage.spec);
    if (stage.kind == "train") std::ofstream(folder / "checkpoint.h5") << "weights";
    if (stage.kind == "sample") fs::create_directories(folder / "samples");
  }

  manifest::Comparison comparison_;
  fs::path results_;
};

TEST_F(Plans, CellsShareWhatTheirAxisDoesNotChange) {
  const Plan p = plan(cells());
  EXPECT_THAT(labels(p), ElementsAre("train s0", "sample S=5 s0", "evaluate mmd S=5 s0",
                                     "sample S=10 s0", "evaluate mmd S=10 s0"));
  EXPECT_THAT(p.stages[3].after, ElementsAre(0));
  EXPECT_THAT(p.stages[4].after, ElementsAre(3));
  EXPECT_THAT(p.replicates[1].stages, ElementsAre(0, 3, 4));
}

TEST_F(Plans, AKeyNamesWhatDecidesAResultAndNothingElse) {
  const Plan before = plan(cells());
  auto more = cells();
  for (auto& c : more) {
    c.experiment.sample["count"] = 128;                  // the first 64 are the same
    c.experiment.network["file"] = "/elsewhere/mlp.so";  // where a plugin lies decides nothing
  }
  const Plan after = plan(more);
  for (const std::size_t i : {0, 1, 3}) EXPECT_EQ(before.stages[i].key, after.stages[i].key) << i;
  EXPECT_NE(before.stages[2].key, after.stages[2].key) << "a metric is of so many samples";
  auto finer = cells();
  for (auto& c : finer) c.experiment.run["precision"] = "float64";
  EXPECT_NE(plan(finer).stages[0].key, before.stages[0].key);
}

TEST_F(Plans, SeedsApartAreEverySamplingOfEveryTraining) {
  comparison_.axes.clear();
  comparison_.seeds = {{0, 1}, {0, 1, 2}, true};
  const Plan p = plan({{{}, experiment(5)}});
  EXPECT_EQ(p.replicates.size(), 6u);
  int trainings = 0;
  for (const auto& s : p.stages) trainings += s.kind == "train";
  EXPECT_EQ(trainings, 2);
  std::vector<std::string> folders;
  for (const auto& r : p.replicates) folders.push_back(r.folder);
  EXPECT_THAT(folders, UnorderedElementsAre("t0s0", "t0s1", "t0s2", "t1s0", "t1s1", "t1s2"));
}

TEST_F(Plans, AModelIsTrainedOnceBeforeThoseThatNameIt) {
  auto with = cells();
  for (auto& c : with) {
    auto teacher = std::make_shared<Experiment>(experiment(5));
    teacher->sampler = {};
    teacher->metrics = Json::object();
    teacher->keys["train"] = {{"steps", 100}};
    c.experiment.models["teacher"] = std::move(teacher);
    c.experiment.sampler["key"]["teacher"] = {{manifest::model_mark, "teacher"}};
  }
  const Plan p = plan(with);
  EXPECT_THAT(labels(p),
              ElementsAre("train s0", "train teacher s3", "sample S=5 s0", "evaluate mmd S=5 s0",
                          "sample S=10 s0", "evaluate mmd S=10 s0"));
  EXPECT_THAT(p.stages[2].after, UnorderedElementsAre(0, 1));
  EXPECT_EQ(p.replicates[0].models.at("teacher"), 1u);
}

TEST_F(Plans, WhatIsStoredIsDoneAndTellsHowLongTheRestTakes) {
  Plan p = plan(cells());
  finish(p.stages[0]);
  finish(p.stages[1], {{"count", 64}, {"trace", 0}});
  p = plan(cells());
  EXPECT_TRUE(p.stages[0].done);
  EXPECT_TRUE(p.stages[1].done);
  EXPECT_FALSE(p.stages[3].done);
  EXPECT_EQ(p.stages[3].reason, "new");
  EXPECT_DOUBLE_EQ(p.stages[3].seconds, 20) << "twice the steps of a stage that took 10";
}

TEST_F(Plans, AStageThatLacksSomethingSaysWhat) {
  const Plan p = plan(cells());
  const auto why = [&](std::size_t stage, Json spec = {}) {
    Stage s = p.stages[stage];
    if (!spec.is_null()) s.spec.merge_patch(spec);
    std::string out;
    return is_done(results_, s, out) ? "done" : out;
  };
  finish(p.stages[0], {{"ema", {0.9}}, {"keep", Json::array()}});
  finish(p.stages[1], {{"count", 64}, {"trace", 0}});
  EXPECT_EQ(why(0), "done");
  EXPECT_EQ(why(0, {{"ema", {0.9}}}), "done");
  EXPECT_THAT(why(0, {{"ema", {0.99}}}), HasSubstr("the average 0.99 was not kept"));
  EXPECT_THAT(why(0, {{"keep", {50}}}), HasSubstr("the checkpoint of step 50 was not kept"));
  EXPECT_THAT(why(1, {{"sample", {{"count", 65}}}}), HasSubstr("64 of 65 samples are stored"));
  fs::remove(record::stage_folder(results_, p.stages[0].key) / "checkpoint.h5");
  EXPECT_THAT(why(0), HasSubstr("its checkpoint is gone"));
}

TEST_F(Plans, AnotherDefaultUnderTheSameVersionIsRefused) {
  auto changed = cells();
  for (auto& c : changed) c.experiment.network["params"]["width"] = 128;
  auto before = cells();
  for (auto& c : before) c.experiment.network["params"]["width"] = 64;
  finish(plan(before).stages[0]);
  try {
    plan(changed);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("the default of `width` in network `mlp` 1.0.0 was 64"));
  }
}

TEST(Gathering, TakesTheUnionOfWhatIsAsked) {
  Json all{{"stage", "train"}, {"ema", {0.9}}, {"keep", Json::array()}};
  gather(all, {{"ema", {0.99, 0.9}}, {"keep", {50}}});
  EXPECT_EQ(all["ema"], (Json{0.9, 0.99}));
  EXPECT_EQ(all["keep"], Json::array({50}));
  Json sample{{"stage", "sample"}, {"sample", {{"count", 64}, {"trace", 8}, {"max_nfe", 10}}}};
  gather(sample, {{"sample", {{"count", 32}, {"trace", 16}, {"max_nfe", 10}}}});
  EXPECT_EQ(sample["sample"]["count"], 64);
  EXPECT_EQ(sample["sample"]["trace"], 16);
}

}  // namespace
}  // namespace scorelab::plan
