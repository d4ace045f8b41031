#include "train/trainer.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "objectives_testing.h"
#include "train/collective.h"

namespace scorelab::test {
namespace {

/// Fresh points of a normal distribution.
class Normal final : public DataSet {
 public:
  std::int64_t size() const override { return 0; }
  std::vector<std::int64_t> shape() const override { return {2}; }
  at::Tensor get(const std::vector<std::int64_t>& index, Noise& noise, Condition&) const override {
    return noise.normal(at::empty({static_cast<std::int64_t>(index.size()), 2}, at::kDouble));
  }
};

/// |F(x) - x0|^2 times a number that may grow with every call, and NaN in one step.
class Squared final : public Objective {
 public:
  explicit Squared(std::int64_t bad = 0, double growth = 0) : bad_(bad), growth_(growth) {}
  at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
    const at::Tensor error = (1 + growth_ * static_cast<double>(calls_++)) *
                             (run.model(b.x, b.t).x0() - b.x0).square().sum(1);
    return run.step == bad_ ? error * std::nan("") : error;
  }

  void state(State& s) override {
    Objective::state(s);
    s.integer("calls", calls_);
  }

 private:
  std::int64_t bad_;
  double growth_;
  mutable std::int64_t calls_ = 0;
};

/// What a training says, kept.
struct Heard final : TrainPort {
  void row(const std::string& stream, std::int64_t step, const Values& values) override {
    for (const auto& [name, value] : values) rows.emplace_back(stream + "/" + name, step, value);
  }
  void progress(std::int64_t, double) override {}
  void checkpoint() override { ++checkpoints; }
  void settle() override {}
  void preview(std::int64_t) override {
    if (at_preview) at_preview();
  }
  double value(const std::string& name, std::int64_t step) const {
    for (const auto& [own, n, v] : rows)
      if (own == name && n == step) return v;
    ADD_FAILURE() << name << " at " << step;
    return 0;
  }
  std::vector<std::tuple<std::string, std::int64_t, double>> rows;
  int checkpoints = 0;
  std::function<void()> at_preview;
};

/// A training of TinyNetwork that says x0, in float64.
struct Lab {
  explicit Lab(TrainOptions options,
               std::shared_ptr<Objective> objective = std::make_shared<Squared>(),
               Collective* others = nullptr)
      : network(std::make_shared<TinyNetwork>(
            at::tensor({0.5, -0.2, 0.1, 0.8}, at::kDouble).view({2, 2}), row({0.3, -0.1}), 0.2)),
        world(test::world(plugin("scheduler", "vp"), network, {2}, at::kDouble, {.predict = "x0"})),
        trainer(world.parts, *world.context, std::make_shared<Normal>(), std::move(objective),
                std::move(options), {0.9}, 5, at::TensorOptions(at::kDouble), stop, others) {}
  at::Tensor weights() const { return trainer.arena().values.clone(); }

  std::atomic<bool> stop{false};
  std::shared_ptr<TinyNetwork> network;
  World world;
  Trainer trainer;
};

TrainOptions options(std::int64_t steps) {
  TrainOptions out;
  out.steps = steps;
  out.batch = 12;
  out.lr = 0.01;
  out.log_every = 4;
  out.checkpoint_every = 0;
  return out;
}

/// The gradients of each step, as the arena keeps the last one's.
std::vector<at::Tensor> gradients_of(TrainOptions o) {
  std::vector<at::Tensor> out;
  o.preview_every = 1;
  Lab lab(o);
  Heard heard;
  heard.at_preview = [&] { out.push_back(lab.trainer.arena().gradients.clone()); };
  lab.trainer.run(heard);
  return out;
}

TEST(Trainer, UpdatesAreAdamsOfTheClippedGradient) {
  TrainOptions o = options(3);
  o.clip = 0.5;
  const auto gradients = gradients_of(o);
  ASSERT_EQ(gradients.size(), 3u);
  Lab start(o), lab(o);
  at::Tensor w = start.weights(), m = at::zeros_like(w), v = at::zeros_like(w);
  Heard heard;
  lab.trainer.run(heard);
  for (int n = 1; n <= 3; ++n) {  // Kingma & Ba 2015, algorithm 1
    const at::Tensor& g = gradients[n - 1];
    EXPECT_NEAR(g.norm().item<double>(), 0.5, 1e-12) << "the test needs gradients that are clipped";
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    w = w - 0.01 * (m / (1 - std::pow(0.9, n))) / ((v / (1 - std::pow(0.999, n))).sqrt() + 1e-8);
  }
  EXPECT_TRUE(at::allclose(lab.weights(), w, 1e-12, 1e-14)) << lab.weights() << w;
}

TEST(Trainer, GradientsBelowTheBoundStayAsTheyAre) {
  TrainOptions o = options(2), none = o;
  o.clip = 1e6;
  const auto bounded = gradients_of(o), free = gradients_of(none);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(bounded[i], free[i]));
}

TEST(Trainer, ABadStepIsNamedHoweverLateItIsReadAndChangesNothing) {
  TrainOptions o = options(8);
  o.log_every = 8;
  Lab until(options(4)), lab(o, std::make_shared<Squared>(5));
  Heard quiet, heard;
  until.trainer.run(quiet);
  try {
    lab.trainer.run(heard);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("diverged at step 5: loss nan"), std::string::npos)
        << e.what();
    EXPECT_NE(std::string(e.what()).find("the first tensor that is not finite is the loss"),
              std::string::npos)
        << e.what();
  }
  EXPECT_TRUE(at::equal(lab.weights(), until.weights()));
  EXPECT_EQ(heard.checkpoints, 0);
}

/// Asked to stop in the bad step's search: it must not end as a training that may go on.
TEST(Trainer, AStopWhileABadStepIsSearchedStoresNothing) {
  TrainOptions o = options(8);
  o.log_every = 8;
  struct Stopping final : Objective {
    at::Tensor loss(TrainRun& run, const TrainBatch& b) const override {
      if (run.step == 3 && seen++ > 0) *stop = true;  // the second time is the search
      return (run.model(b.x, b.t).x0() - b.x0).square().sum(1) * (run.step == 3 ? std::nan("") : 1);
    }
    std::atomic<bool>* stop = nullptr;
    mutable int seen = 0;
  };
  const auto objective = std::make_shared<Stopping>();
  Lab lab(o, objective);
  objective->stop = &lab.stop;
  lab.world.context->stop = &lab.stop;
  Heard heard;
  EXPECT_THROW(lab.trainer.run(heard), Error);
  EXPECT_EQ(heard.checkpoints, 0);
}

TEST(Trainer, ABatchIsNotCutIntoMorePartsThanItHas) {
  TrainOptions o = options(1);
  o.batch = 2;
  o.accumulate = 3;
  EXPECT_THROW(Lab{o}, Error);
}

TEST(Trainer, RowsAreMeansOfTheStepsSinceTheRowBefore) {
  TrainOptions each = options(8), some = options(8);
  each.log_every = 1;
  Lab one(each), four(some);
  Heard all, few;
  one.trainer.run(all);
  four.trainer.run(few);
  for (const std::string name : {"train/loss", "train/grad_norm"})
    for (const std::int64_t end : {4, 8}) {
      double sum = 0;
      for (std::int64_t n = end - 3; n <= end; ++n) sum += all.value(name, n);
      EXPECT_DOUBLE_EQ(few.value(name, end), sum / 4) << name << end;
    }
  EXPECT_EQ(one.trainer.losses().first, all.value("train/loss", 1));
  // the last tenth of eight steps is one
  EXPECT_EQ(one.trainer.losses().mean(), all.value("train/loss", 8));
}

TEST(Trainer, FixedParametersStayAsTheyBegan) {
  TrainOptions o = options(5);
  o.optimizer = "adamw";
  o.weight_decay = 0.5;
  const auto network = std::make_shared<TinyNetwork>(
      at::tensor({0.5, -0.2, 0.1, 0.8}, at::kDouble).view({2, 2}), row({0.3, -0.1}), 0.2);
  network->parameters()[0].second.requires_grad_(false);  // of the three
  const World world =
      test::world(plugin("scheduler", "vp"), network, {2}, at::kDouble, {.predict = "x0"});
  const std::atomic<bool> stop{false};
  Trainer trainer(world.parts, *world.context, std::make_shared<Normal>(),
                  std::make_shared<Squared>(), o, {0.9}, 5, at::TensorOptions(at::kDouble), stop);
  const auto values = [&] {
    std::vector<at::Tensor> out;
    for (const auto& [name, p] : network->parameters()) out.push_back(p.detach().clone());
    return out;
  };
  const auto before = values();
  Heard heard;
  trainer.run(heard);
  const auto after = values();
  EXPECT_TRUE(at::equal(before[0], after[0]));
  EXPECT_FALSE(at::equal(before[1], after[1]));
  EXPECT_FALSE(at::equal(before[2], after[2]));
}

/// A network whose first parameter must lie on the unit circle.
class OnACircle final : public Network {
 public:
  OnACircle() { point_.requires_grad_(true); }
  at::Tensor forward(const Input& in) override {
    norms.push_back(point_.norm().item<double>());
    return in.x * point_;
  }
  NamedTensors parameters() override { return {{"point", point_}}; }
  void initialise(const std::string&, at::Tensor&, Noise&) override {}
  void constrain() override { point_.div_(point_.norm()); }
  std::vector<double> norms;

 private:
  at::Tensor point_ = row({3.0, 4.0});
};

TEST(Trainer, WeightsAreConstrainedBeforeEachStep) {
  const auto network = std::make_shared<OnACircle>();
  const World world =
      test::world(plugin("scheduler", "vp"), network, {2}, at::kDouble, {.predict = "x0"});
  const std::atomic<bool> stop{false};
  Trainer trainer(world.parts, *world.context, std::make_shared<Normal>(),
                  std::make_shared<Squared>(), options(4), {0.9}, 5, at::TensorOptions(at::kDouble),
                  stop);
  Heard heard;
  trainer.run(heard);
  ASSERT_GE(network->norms.size(), 4u);
  for (const double norm : network->norms) EXPECT_NEAR(norm, 1, 1e-12);
  // what is stored is as the last step left it
  EXPECT_GT(std::abs(network->parameters()[0].second.norm().item<double>() - 1), 1e-9);
}

TEST(Trainer, EvaluationsOfAnAverageLeaveTheWeights) {
  TrainOptions o = options(6), without = o;
  o.evaluate_every = 2;
  o.preview_every = 3;
  Lab lab(o), plain(without);
  Heard heard, quiet;
  int previews = 0;
  heard.at_preview = [&] {
    ++previews;  // with the average in the network's place
    EXPECT_FALSE(
        at::equal(lab.network->parameters()[0].second.flatten(), lab.weights().narrow(0, 0, 4)));
  };
  lab.trainer.run(heard);
  plain.trainer.run(quiet);
  EXPECT_EQ(previews, 2);
  EXPECT_TRUE(at::equal(lab.weights(), plain.weights()));
  EXPECT_TRUE(
      at::equal(lab.network->parameters()[0].second.flatten(), lab.weights().narrow(0, 0, 4)));
  EXPECT_NE(heard.value("evaluate/loss", 6), heard.value("evaluate/loss_ema_0.9", 6));
}

TEST(Trainer, ARehearsalChangesNothing) {
  Lab lab(options(5), std::make_shared<Squared>(0, 0.1)),
      plain(options(5), std::make_shared<Squared>(0, 0.1));
  lab.trainer.rehearse(3);
  Heard heard, quiet;
  lab.trainer.run(heard);
  plain.trainer.run(quiet);
  EXPECT_TRUE(at::equal(lab.weights(), plain.weights()));
  EXPECT_EQ(heard.rows, quiet.rows);
}

/// Threads in the place of processes.
class Together {
 public:
  explicit Together(std::int64_t size) : tensors_(static_cast<std::size_t>(size)) {}
  void sum(std::int64_t rank, at::Tensor& tensor) {
    std::unique_lock lock(mutex_);
    tensors_[static_cast<std::size_t>(rank)] = &tensor;
    const auto round = round_;
    if (++arrived_ == tensors_.size()) {
      at::Tensor all = tensors_[0]->clone();
      for (std::size_t i = 1; i < tensors_.size(); ++i) all += *tensors_[i];
      for (at::Tensor* t : tensors_) t->copy_(all);
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<at::Tensor*> tensors_;
  std::size_t arrived_ = 0, round_ = 0;
};

class Member final : public Collective {
 public:
  Member(Together& all, std::int64_t rank, std::int64_t size) : Collective(rank, size), all_(all) {}
  void sum(at::Tensor& tensor) override { all_.sum(rank, tensor); }

 private:
  Together& all_;
};

TEST(Trainer, ProcessesThatShareABatchHaveTheBitsOfOneThatAccumulates) {
  TrainOptions alone = options(10);
  alone.batch = 13;
  alone.accumulate = 3;
  alone.clip = 0.7;
  Lab one(alone);
  Heard heard;
  one.trainer.run(heard);
  TrainOptions shared = alone;
  shared.accumulate = 1;
  Together all(3);
  std::vector<at::Tensor> weights(3);
  std::vector<Heard> said(3);
  std::vector<std::thread> threads;
  for (std::int64_t rank = 0; rank < 3; ++rank)
    threads.emplace_back([&, rank] {
      Member member(all, rank, 3);
      Lab lab(shared, std::make_shared<Squared>(), &member);
      lab.trainer.run(said[rank]);
      weights[rank] = lab.weights();
    });
  for (auto& t : threads) t.join();
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_TRUE(at::equal(weights[rank], one.weights())) << rank;
    EXPECT_EQ(said[rank].rows, heard.rows) << rank;
  }
}

}  // namespace
}  // namespace scorelab::test
