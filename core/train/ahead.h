#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "model/draw_data.h"

namespace scorelab {

/// Gets the items of batches on a thread of its own, so that those of the next one are got while a
/// step is computed. Which items they are follows from the name of the batch's noise stream, and
/// that thread alone gets them, without more threads below it: neither the moment nor the step's
/// number of threads changes a bit.
class Ahead {
 public:
  /// `take` gets the items of one stream. Its calls never overlap.
  explicit Ahead(std::function<DataItems(const std::string& stream)> take)
      : take_(std::move(take)) {}
  ~Ahead();
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// The items of `stream`. Starts getting those of `next`, which is likely to be asked for later;
  /// "": none. What was got ahead is kept until it is asked for, or another is got ahead. Throws
  /// what `take` threw.
  DataItems get(const std::string& stream, const std::string& next);
  /// Waits until no call of `take` is in progress: what it reads is free for others then.
  void wait();

 private:
  struct Ready {
    std::string stream;
    DataItems items;
    std::exception_ptr error;
  };
  void begin(const std::string& stream);
  void work();

  std::function<DataItems(const std::string& stream)> take_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> wanted_;  // in progress until it is ready
  std::optional<Ready> ready_;
  bool started_ = false, ended_ = false;
};

}  // namespace scorelab
