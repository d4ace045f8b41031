#include "train/ahead.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <map>
#include <set>

#include "objectives_testing.h"
#include "train/trainer.h"

namespace scorelab::test {
namespace {

/// Notes who asked for what. `x` is the length of the stream's name.
class Source {
 public:
  DataItems operator()(const std::string& stream) {
    EXPECT_FALSE(busy.exchange(true)) << "two calls overlap";
    std::this_thread::yield();
    threads.insert(std::this_thread::get_id());
    asked.push_back(stream);
    busy = false;
    if (stream == bad) throw Error("no such item");
    return {at::tensor(static_cast<double>(stream.size())), {}};
  }
  std::atomic<bool> busy{false};
  std::set<std::thread::id> threads;
  std::vector<std::string> asked;
  std::string bad;
};

TEST(Ahead, EachStreamIsGotOnceByOneThreadOfItsOwn) {
  Source source;
  Ahead ahead([&](const std::string& stream) { return source(stream); });
  const std::vector<std::string> names{"a", "bb", "ccc", "dddd", "eeeee"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const DataItems items = ahead.get(names[i], i + 1 < names.size() ? names[i + 1] : "");
    EXPECT_EQ(items.x.item<double>(), static_cast<double>(i + 1));
  }
  EXPECT_EQ(source.asked, names);
  EXPECT_EQ(source.threads.size(), 1u);
  EXPECT_FALSE(source.threads.contains(std::this_thread::get_id()));
}

TEST(Ahead, TheNextIsGotWhileNobodyWaits) {
  Source source;
  Ahead ahead([&](const std::string& stream) { return source(stream); });
  ahead.get("a", "bb");
  ahead.wait();
  EXPECT_EQ(source.asked, (std::vector<std::string>{"a", "bb"}));
  EXPECT_FALSE(source.busy);
}

TEST(Ahead, WhatWasGotAheadIsKeptWhileOthersAreGot) {
  Source source;
  Ahead ahead([&](const std::string& stream) { return source(stream); });
  ahead.get("a", "later");
  ahead.get("bb", "");
  EXPECT_EQ(ahead.get("later", "").x.item<double>(), 5);
  ahead.get("ccc", "never");
  ahead.get("dddd", "eeeee");
  ahead.get("eeeee", "");
  EXPECT_EQ(source.asked,
            (std::vector<std::string>{"a", "later", "bb", "ccc", "never", "dddd", "eeeee"}));
}

TEST(Ahead, ItMayEndDuringACall) {
  Source source;
  {
    Ahead ahead([&](const std::string& stream) { return source(stream); });
    ahead.get("a", "bb");
  }
  EXPECT_FALSE(source.busy);
}

TEST(Ahead, AnErrorIsThatOfTheStreamThatHadIt) {
  Source source;
  source.bad = "dddd";
  Ahead ahead([&](const std::string& stream) { return source(stream); });
  ahead.get("a", "bb");
  ahead.get("bb", "ccc");
  ahead.get("ccc", "dddd");
  EXPECT_THROW(ahead.get("dddd", "eeeee"), Error);
  EXPECT_EQ(ahead.get("eeeee", "").x.item<double>(), 5);
}

TEST(Ahead, ThreadCountsAreAsTheyWere) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  Source source;
  Ahead ahead([&](const std::string& stream) {
    EXPECT_EQ(at::get_num_threads(), 1);
    return source(stream);
  });
  for (const char* name : {"a", "bb", "ccc", "dddd"}) {
    ahead.get(name, "next");
    EXPECT_EQ(at::get_num_threads(), 2);
  }
  ahead.wait();
  at::set_num_threads(before);
}

/// Normal points; may count its calls in its state, and fail in one of them.
class Points final : public DataSet {
 public:
  Points(bool counts, std::int64_t bad) : counts_(counts), bad_(bad) {}
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    EXPECT_FALSE(busy.exchange(true)) << "two calls overlap";
    std::this_thread::yield();
    if (++calls == bad_) {
      busy = false;
      throw Error("no such item");
    }
    const at::Tensor out =
        noise.normal(at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble));
    busy = false;
    return out;
  }
  void state(State& s) override {
    EXPECT_FALSE(busy);
    if (counts_) s.integer("calls", calls);
  }
  mutable std::atomic<bool> busy{false};
  mutable std::int64_t calls = 0;

 private:
  bool counts_;
  std::int64_t bad_;
};

class Distance final : public Objective {
 public:
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    return (run.model(b.x, b.t).x0() - b.x0).square().sum(1);
  }
};

/// Calls of the data set at each checkpoint, by step.
struct Port final : TrainPort {
  Port(const Trainer& trainer, const Points& points) : trainer(trainer), points(points) {}
  void row(const std::string&, std::int64_t, const Values&) override {}
  void progress(std::int64_t, double) override {}
  void checkpoint() override {
    EXPECT_FALSE(points.busy);
    calls[trainer.step] = points.calls;
  }
  void settle() override {}
  void preview(std::int64_t) override { EXPECT_FALSE(points.busy); }
  const Trainer& trainer;
  const Points& points;
  std::map<std::int64_t, std::int64_t> calls;
};

struct Trained {
  at::Tensor weights;
  std::map<std::int64_t, std::int64_t> calls;
};

Trained train(bool counts, std::int64_t bad = 0) {
  TrainOptions o;
  o.steps = 8;
  o.batch = 6;
  o.evaluate_every = 3;
  o.preview_every = 4;
  o.checkpoint_every = 2;
  const std::atomic<bool> stop{false};
  const auto network = std::make_shared<TinyNetwork>(
      at::tensor({0.5, -0.2, 0.1, 0.8}, at::kDouble).view({2, 2}), row({0.3, -0.1}), 0.2);
  const World w =
      test::world(plugin("scheduler", "vp"), network, {2}, at::kDouble, {.predict = "x0"});
  const auto points = std::make_shared<Points>(counts, bad);
  Trainer trainer(w.parts, *w.context, points, std::make_shared<Distance>(), o, {}, 5,
                  at::TensorOptions(at::kDouble), stop);
  trainer.around_data = [](bool held_out, const auto& body) {
    EXPECT_FALSE(held_out);
    try {
      body();
    } catch (const Error& e) {
      throw Error(std::string("data set: ") + e.what());
    }
  };
  Port port(trainer, *points);
  try {
    trainer.run(port);
  } catch (const Error& e) {
    throw Error("after step " + std::to_string(trainer.step) + ": " + e.what());
  }
  return {trainer.arena().values.clone(), port.calls};
}

/// A checkpoint of step n is written after the batch of step n + 1 was got, unless that would show
/// in it. Each evaluation, after steps 3, 6 and 8, gets one more.
TEST(Ahead, ATrainingGetsTheNextBatchUnlessTheDataHaveAState) {
  const Trained ahead = train(false), in_step = train(true);
  const std::map<std::int64_t, std::int64_t> own{{2, 2}, {4, 5}, {6, 8}, {8, 11}},
      next{{2, 3}, {4, 6}, {6, 9}, {8, 11}};
  EXPECT_EQ(in_step.calls, own);
  EXPECT_EQ(ahead.calls, next);
  EXPECT_TRUE(at::equal(ahead.weights, in_step.weights));
}

/// The third batch cannot be got: the first two steps are made, and the fault is that of the set.
TEST(Ahead, AFaultOfTheDataComesInItsOwnStep) {
  try {
    train(false, 3);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "after step 2: data set: no such item");
  }
}

}  // namespace
}  // namespace scorelab::test
