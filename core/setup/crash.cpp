#include "setup/crash.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

namespace scorelab::host {
namespace {

thread_local char current[96] = "";

/// A stack overflow needs another stack to report from, each thread its own.
class AlternativeStack {
 public:
  AlternativeStack() : memory_(new char[size]) {
    stack_t stack{};
    stack.ss_sp = memory_.get();
    stack.ss_size = size;
    sigaltstack(&stack, nullptr);
  }
  ~AlternativeStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
  AlternativeStack(const AlternativeStack&) = delete;
  AlternativeStack& operator=(const AlternativeStack&) = delete;

 private:
  static constexpr std::size_t size = 65536;
  std::unique_ptr<char[]> memory_;
};

/// Only what is safe in a signal handler: fixed buffers and write(2).
void put(char*& to, char* end, const char* text) {
  while (*text && to < end) *to++ = *text++;
}

const char* name_of(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    default:
      return "SIGABRT";
  }
}

void on_crash(int signal) {
  char line[256], *to = line, *end = line + sizeof line;
  put(to, end, "\n{\"event\":\"crash\",\"signal\":\"");
  put(to, end, name_of(signal));
  put(to, end, "\",\"plugin\":\"");
  put(to, end, current);
  put(to, end, "\"}\n");
  [[maybe_unused]] const auto written = write(answers, line, static_cast<std::size_t>(to - line));
  raise(signal);  // SA_RESETHAND has put back the default action
}

}  // namespace

int answers = STDOUT_FILENO;

void say(const nlohmann::json& line) {
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = write(answers, text.data() + done, text.size() - done);
    if (n < 0) return;  // the front end is gone, which the end of our stdin says too
    done += static_cast<std::size_t>(n);
  }
}

Entering::Entering(const std::string& kind, const std::string& name) {
  static thread_local const AlternativeStack stack;
  std::memcpy(before_, current, sizeof current);
  std::snprintf(current, sizeof current, "%s `%s`", kind.c_str(), name.c_str());
}
Entering::~Entering() { std::memcpy(current, before_, sizeof current); }

void report_crashes() {
  static const AlternativeStack stack;
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_RESETHAND | SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    sigaction(signal, &action, nullptr);
}

}  // namespace scorelab::host
