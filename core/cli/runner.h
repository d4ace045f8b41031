#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/hosts.h"
#include "cli/progress.h"
#include "cli/results.h"

namespace scorelab::cli {

/// Installs a handler, unless the signal was ignored when the program started: nohup, or a shell's
/// job in the background.
void handle_signal(int number, void (*handler)(int));

struct RunOptionsOfVerb {
  std::size_t hosts = 1;
  std::size_t max_failures = 0;  ///< after so many, nothing more is begun; 0: no bound
  bool quiet = false;
};

/// Runs hosts until every stage of `todo` is done, has failed or waits for one that has, or until
/// we are told to stop. Other runs may share the work: a stage has one host at a time.
class Runner {
 public:
  Runner(const plan::Plan& plan, std::vector<std::size_t> todo, const Launched& launched,
         const RunOptionsOfVerb& options);
  /// The exit code.
  int run();

 private:
  struct Worker {
    std::unique_ptr<Host> host;
    // the stage whose end it has not told; the plugin in which it crashed
    std::string running, crashed_in;
    bool ready = false;  // it has begun: LibTorch is loaded
  };
  std::vector<std::string> hand_over_all();
  bool blocked(const plan::Stage& stage) const;
  void start(std::size_t i, const std::vector<std::string>& keys);
  void ended(std::size_t i, int code);
  void pass_on_signals();
  void stop_all();
  void event(std::size_t i, const std::string& line);
  void fail(const std::string& key, const std::string& message, int code);
  void note_failure(const std::string& key, const std::string& message) const;
  std::string whose(const std::string& message) const;
  const plan::Stage& stage(const std::string& key) const;
  void refresh_now_and_then();

  using clock = std::chrono::steady_clock;
  const plan::Plan& plan_;
  std::vector<std::size_t> todo_;
  std::map<std::string, std::size_t> index_;  // key -> stage
  const Launched& launched_;
  RunOptionsOfVerb options_;
  Progress progress_;
  std::vector<Worker> workers_;
  std::set<std::string> failed_, waited_for_;
  std::set<std::string> told_done_, warned_;
  std::map<std::string, int> made_;  // how often each stage was reported done
  int failed_code_ = 0;
  // a host, since the work was handed over
  bool died_ = false;
  // told_: the hosts, of a signal
  bool stopping_ = false, told_ = false, killed_ = false, stopped_ = false;
  // stages that have shown progress since the last refresh
  std::set<std::string> live_;
  clock::time_point next_refresh_{};
};

}  // namespace scorelab::cli
