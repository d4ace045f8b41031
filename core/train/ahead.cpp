#include "train/ahead.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

namespace scorelab {

Ahead::~Ahead() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

DataItems Ahead::get(const std::string& stream, const std::string& next) {
  wait();
  std::optional<Ready> kept;
  if (!ready_ || ready_->stream != stream) {
    kept.swap(ready_);
    begin(stream);
    wait();
  }
  Ready found = std::move(*ready_);
  ready_ = std::move(kept);
  if (!next.empty()) begin(next);
  if (found.error) std::rethrow_exception(found.error);
  return std::move(found.items);
}

void Ahead::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !wanted_; });
}

void Ahead::begin(const std::string& stream) {
  if (!thread_.joinable()) {
    // LibTorch's number of threads is each thread's own, but a thread that sets its own also sets
    // what later threads begin with: that is put back.
    const int threads = at::get_num_threads();
    thread_ = std::thread([this] { work(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return started_; });
    at::set_num_threads(threads);
  }
  {
    const std::lock_guard lock(mutex_);
    wanted_ = stream;
  }
  changed_.notify_all();
}

void Ahead::work() {
  const c10::AutoGradMode no_grad(false);
  at::get_num_threads();  // the first call in a thread sets it to what all begin with
  at::set_num_threads(1);
  std::unique_lock lock(mutex_);
  started_ = true;
  changed_.notify_all();
  while (true) {
    changed_.wait(lock, [&] { return wanted_ || ended_; });
    if (ended_) return;
    Ready ready{*wanted_, {}, nullptr};
    lock.unlock();
    try {
      ready.items = take_(ready.stream);
    } catch (...) {
      ready.error = std::current_exception();
    }
    lock.lock();
    ready_ = std::move(ready);
    wanted_.reset();
    changed_.notify_all();
  }
}

}  // namespace scorelab
