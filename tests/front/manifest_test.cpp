#include <gmock/gmock.h>

#include <fstream>

#include "manifest/axis.h"
#include "manifest/comparison.h"
#include "manifest/read.h"
#include "manifest/values.h"

namespace scorelab::manifest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// TOML text as the nodes of one manifest.
class Manifests : public testing::Test {
 protected:
  Node parsed(const std::string& toml) {
    const auto file = std::filesystem::path(testing::TempDir()) / "manifest_test.toml";
    std::ofstream(file) << toml;
    std::vector<Diagnostic> problems;
    auto out = read_file(file, sources_, problems);
    EXPECT_THAT(problems, IsEmpty());
    return out.value_or(Node{});
  }
  Comparison compared(const std::string& toml) {
    root_ = parsed(toml);
    return read_comparison(root_, "test", findings_);
  }
  std::vector<std::string> messages() const {
    std::vector<std::string> out;
    for (const auto& d : findings_.all()) out.push_back(d.message);
    return out;
  }
  static Json json(const Node& node) { return to_json(node); }

  Sources sources_;
  Findings findings_{sources_};
  Node root_;
};

TEST_F(Manifests, TablesAreMergedDeeplyAndTheRestIsReplaced) {
  Node base = parsed("a = 1\nlist = [1, 2]\n[t]\nx = 1\ny = 2\n");
  merge(base, parsed("list = [3]\n[t]\ny = 5\nz = 6\n"), Merge::keep);
  EXPECT_EQ(json(base), Json::parse(R"({"a": 1, "list": [3], "t": {"x": 1, "y": 5, "z": 6}})"));
}

TEST_F(Manifests, FalseRemovesATableOnlyWhereAFileExtendsAnother) {
  const std::string base = "[t.a]\nx = 1\n[t.b]\nx = 2\n";
  Node extended = parsed(base), kept = parsed(base);
  merge(extended, parsed("[t]\na = false\n"), Merge::extend);
  EXPECT_EQ(json(extended), Json::parse(R"({"t": {"b": {"x": 2}}})"));
  merge(kept, parsed("[t]\na = false\n"), Merge::keep);
  EXPECT_EQ(json(kept), Json::parse(R"({"t": {"a": false, "b": {"x": 2}}})"));
}

TEST_F(Manifests, OverridesAreTomlOrElseText) {
  std::vector<Diagnostic> problems;
  const auto read = [&](const std::string& text) {
    return json(read_override(text, sources_, problems).value_or(Node{}));
  };
  EXPECT_EQ(read("sampler.steps=10"), Json::parse(R"({"sampler": {"steps": 10}})"));
  EXPECT_EQ(read("a=[1, 2.5]"), Json::parse(R"({"a": [1, 2.5]})"));
  EXPECT_EQ(read("network=mlp"), Json::parse(R"({"network": "mlp"})"));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_FALSE(read_override("no sign of it", sources_, problems));
  EXPECT_EQ(problems.size(), 1u);
}

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> out;
  for (const auto& p : axis.points) out.push_back(p.label);
  return out;
}

TEST_F(Manifests, AKeyHasAtMost64PartsWhateverItsCharacters) {
  for (const std::string part : {"a.", "a%."}) {
    std::string key = "a";
    for (int i = 0; i < 63; ++i) key.insert(0, part);
    std::vector<Diagnostic> problems;
    EXPECT_TRUE(read_override(key + "=1", sources_, problems));
    EXPECT_THAT(problems, IsEmpty());
    EXPECT_FALSE(read_override(part + key + "=1", sources_, problems));
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_THAT(problems[0].message, HasSubstr("more than 64 parts"));
  }
}

TEST_F(Manifests, RangesAreEvenOnTheirScale) {
  const Comparison c = compared(R"(
[sweep]
log = { key = "train.lr", values = { from = 1e-3, to = 1e-1, n = 3, scale = "log" } }
steps = { key = "sampler.steps", values = { from = 10, to = 50, n = 5 } }
tenths = { key = "train.beta1", values = { from = 0, to = 0.3, n = 4 } }
)");
  EXPECT_THAT(messages(), IsEmpty());
  EXPECT_THAT(labels(c.axes[0]), ElementsAre("0.001", "0.01", "0.1"));
  EXPECT_THAT(labels(c.axes[1]), ElementsAre("10", "20", "30", "40", "50"));
  EXPECT_THAT(labels(c.axes[2]), ElementsAre("0", "0.1", "0.2", "0.3"));
  EXPECT_EQ(json(c.axes[1].points[2].change), Json::parse(R"({"sampler": {"steps": 30}})"));
}

TEST_F(Manifests, EveryAxisStandsInEveryVariantButWhereItSaysOtherwise) {
  const Comparison c = compared(R"(
[variants]
a = { sampler = "ancestral" }
b = { sampler = "ddim" }
[sweep]
S = { key = "sampler.steps", values = [5, 10] }
eta = { key = "sampler.eta", values = [0, 1], only = "b" }
)");
  const auto cells = expand(c, root_, {}, findings_);
  EXPECT_THAT(messages(), IsEmpty());
  std::vector<std::string> at;
  for (const auto& cell : cells) at.push_back(text(cell.at));
  EXPECT_THAT(at, ElementsAre("a S=5", "a S=10", "b S=5 eta=0", "b S=5 eta=1", "b S=10 eta=0",
                              "b S=10 eta=1"));
}

TEST_F(Manifests, TwoAxesOfOneKeyAreRefused) {
  compared(R"(
[sweep]
S = { key = "sampler.steps", values = [5, 10] }
T = { key = "sampler.steps", values = [20] }
)");
  EXPECT_THAT(messages(), ElementsAre(HasSubstr("sweep `T` changes what sweep `S` changes")));
}

TEST_F(Manifests, TheBestPointIsNotChosenOnSeedsThatAreReported) {
  compared(R"(
seeds = [0, 1]
[sweep]
lr = { key = "train.lr", values = [1, 2], best = { metric = "mmd", seeds = [1] } }
)");
  EXPECT_THAT(messages(), ElementsAre(HasSubstr("seed 1 is reported")));
}

TEST_F(Manifests, LabelsAreOneForOneNumber) {
  for (const char* same : {"7", "7.0", "7e0"})
    EXPECT_EQ(canonical_label(same), canonical_label("7")) << same;
  EXPECT_EQ(canonical_label("1e-3"), "0.001");
  EXPECT_EQ(canonical_label("karras"), "karras");
  EXPECT_EQ(shortest(100000), "100000");
}

TEST(Nearest, IsWithinTwoEditsOrAThird) {
  const std::vector<std::string> names{"sampler", "scheduler", "steps"};
  EXPECT_EQ(nearest("smapler", names), "sampler");  // two letters exchanged
  EXPECT_EQ(nearest("sampl", names), "sampler");    // the name that this one begins
  EXPECT_EQ(nearest("dataset", names), "");
}

/// A component's table with a preset.
class Presets : public Manifests {
 protected:
  Presets() {
    declared_("a", a_, "");
    declared_("b", b_, "");
    declared_("word", word_, "");
    declared_.preset("large", "of a paper", [this] {
      a_ = 10;
      word_ = "other";
    });
    declared_.preset("deep", "of another", [this] { b_ = 20; });
    schema_ = schema::of(declared_);
  }
  TableReader::Result read(const std::string& toml) {
    const Node table = parsed(toml);
    return TableReader(findings_).read(&table, schema_, "network `x`", "", {}, false);
  }

  std::int64_t a_ = 1, b_ = 2;
  std::string word_ = "plain";
  Params declared_;
  schema::Schema schema_;
};

TEST_F(Presets, AreWhatTheComponentWritesAndLeaveItsDefaults) {
  EXPECT_EQ(schema_.presets.at(0).values, Json::parse(R"({"a": 10, "word": "other"})"));
  EXPECT_EQ(schema_.presets.at(1).values, Json::parse(R"({"b": 20})"));
  EXPECT_EQ(a_, 1);
  EXPECT_EQ(word_, "plain");
  EXPECT_EQ(schema::to_json(schema::from_json(schema::to_json(schema_))), schema::to_json(schema_));
}

TEST_F(Presets, StandInPlaceOfTheDefaults) {
  const auto read = this->read("b = 3\npreset = 'large'");
  EXPECT_EQ(read.values, Json::parse(R"({"preset": "large", "a": 10, "b": 3, "word": "other"})"));
  EXPECT_EQ(read.key, this->read("a = 10\nb = 3\nword = 'other'").key)
      << "the values count, not how they were said";
  EXPECT_EQ(this->read("preset = 'large'\na = 1").key, Json::parse(R"({"word": "other"})"));
  EXPECT_EQ(this->read("a = 1").key, Json::object());
  EXPECT_THAT(messages(), IsEmpty());
}

TEST_F(Presets, ThatDoNotExistAreAProblem) {
  this->read("preset = 'larg'");
  ASSERT_EQ(findings_.all().size(), 1u);
  EXPECT_EQ(findings_.all()[0].message, "`preset` cannot be \"larg\"");
  EXPECT_THAT(findings_.all()[0].hint, HasSubstr("did you mean \"large\"?"));
}

TEST_F(Presets, LeaveTheNameToThem) {
  std::string own;
  declared_("preset", own, "");
  EXPECT_THROW(schema::of(declared_), Error);
}

}  // namespace
}  // namespace scorelab::manifest
