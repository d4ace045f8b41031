#include <c10/util/Exception.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <iostream>
#include <thread>

#include "certify/certify.h"
#include "host/describe.h"
#include "host/figures.h"
#include "host/worker.h"
#include "params/data_path.h"
#include "record/files.h"
#include "setup/crash.h"
#include "setup/device.h"

/// scorelab-host: run by scorelab, not by people. Each answers in JSON, a line each.
///   describe FILE..   each plugin file
///   check             stdin: components, and whole experiments; their verdicts
///   layers            stdin: {"network", "scheduler", "shape"}; its tensors, and what it weighs
///   data              stdin: {"spec", "count", "seed"}; draws of the data set, for figures
///   field             stdin: {"results", "key", "t", "points"}; a model's score there, and the
///                     exact one
///   paths             stdin: {"results", "key", "count"}; exact paths beside a trace
///   certify           stdin: a list of {"check", "component", "schema", "plugins"}; what each
///                     check found
///   devices
///   work RESULTS HOST HOSTS MAX_FAILURES
///                     runs the stages whose keys stand on stdin, one a line up to an empty one;
///                     the end of stdin means that the front end is gone
namespace {

using scorelab::host::say;

std::atomic<bool> stop{false};

/// LibTorch's warnings reach the front end as lines of ours.
class Warnings final : public c10::WarningHandler {
  void process(const c10::Warning& warning) override {
    scorelab::host::say({{"event", "warning"}, {"message", warning.msg()}});
  }
};

void on_stop(int) { stop.store(true); }

void watch_front_end() {
  std::thread([] {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    stop.store(true);
  }).detach();
}

/// `work RESULTS HOST HOSTS MAX_FAILURES`; the exit code.
int work(char** argv) {
  for (const int number : {SIGTERM, SIGHUP, SIGUSR1}) std::signal(number, on_stop);
  std::signal(SIGINT, SIG_IGN);  // the terminal's Ctrl-C is the front end's; it says what to do
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails, with a message
  scorelab::allow_declared_data_only();
  std::vector<std::string> keys;
  for (std::string key; std::getline(std::cin, key) && !key.empty();) keys.push_back(key);
  static Warnings warnings;
  c10::WarningUtils::set_warning_handler(&warnings);
  say({{"event", "ready"}});
  watch_front_end();
  // Big tensors come and go in every step: memory that is kept saves the kernel from clearing it
  // again (half of the time in small runs).
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  try {
    return scorelab::host::work(argv[2], keys, std::stoul(argv[3]), std::stoul(argv[4]),
                                std::stoul(argv[5]), stop);
  } catch (const std::exception& e) {
    std::cerr << "scorelab-host: " << e.what() << "\n";
    return 3;
  }
}

}  // namespace

int main(int argc, char** argv) {
  using scorelab::host::Json;
  const std::string verb = argc > 1 ? argv[1] : "";
  // What a plugin prints must not get between our lines: stdout is kept for us, and becomes stderr
  // for everybody else.
  scorelab::record::open_standard_descriptors();
  scorelab::host::answers = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  scorelab::host::report_crashes();
  int code = 2;
  if (verb != "work") prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody waits for the answer any more
  if (verb == "describe") {
    for (int i = 2; i < argc; ++i) say(scorelab::host::describe(argv[i]));
    code = 0;
  } else if (verb == "check") {
    say(scorelab::host::verdicts(Json::parse(std::cin)));
    code = 0;
  } else if (verb == "layers") {
    say(scorelab::host::layers(Json::parse(std::cin)));
    code = 0;
  } else if (verb == "data") {
    say(scorelab::host::draw_data_points(Json::parse(std::cin)));
    code = 0;
  } else if (verb == "field") {
    say(scorelab::host::score_field(Json::parse(std::cin)));
    code = 0;
  } else if (verb == "paths") {
    say(scorelab::host::exact_paths(Json::parse(std::cin)));
    code = 0;
  } else if (verb == "certify") {
    for (const auto& request : Json::parse(std::cin)) say(scorelab::certify::run_check(request));
    code = 0;
  } else if (verb == "devices") {
    std::string why;
    const int count = scorelab::host::cuda_devices(why);
    say(Json{{"cuda", count}, {"why", why}});
    code = 0;
  } else if (verb == "work" && argc == 6) {
    code = work(argv);
  } else {
    std::cerr << "scorelab-host is started by scorelab: try scorelab --help\n";
  }
  std::cout.flush();
  // Plugins stay loaded and LibTorch's threads may still run: no destructor of a library is worth
  // waiting for.
  _exit(code);
}
