#include "cli/hosts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <scorelab/error.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "catalog/catalog.h"
#include "record/files.h"

extern char** environ;

namespace scorelab::cli {
namespace {

/// SCORELAB_TORCH names a LibTorch to use in place of the one that scorelab was built with.
std::vector<std::string> host_environment() {
  std::vector<std::string> out;
  const char* torch = std::getenv("SCORELAB_TORCH");
  std::string libraries;
  for (char** e = environ; *e; ++e) {
    if (std::strncmp(*e, "LD_LIBRARY_PATH=", 16) == 0)
      libraries = *e + 16;
    else
      out.emplace_back(*e);
  }
  if (torch && *torch)
    libraries = std::string(torch) + "/lib" + (libraries.empty() ? "" : ":" + libraries);
  if (!libraries.empty()) out.push_back("LD_LIBRARY_PATH=" + libraries);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& t : texts) out.push_back(t.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Host::Host(const std::vector<std::string>& arguments) {
  const std::string program = (catalog::program_folder() / "scorelab-host").string();
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
    throw record::IoError("cannot make a pipe: " + record::cause_of(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // the terminal's Ctrl-C is ours to pass on
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> texts{program}, environment = host_environment();
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  const int status = posix_spawn(&pid_, program.c_str(), &actions, &attributes,
                                 pointers(texts).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(to[0]);
  close(from[1]);
  in_ = to[1];
  out_ = from[0];
  if (status != 0)
    throw HostUnavailable(fmt::format("cannot start {}: {}; build or install scorelab again",
                                      program, std::strerror(status)));
}

Host::~Host() {
  close_input();
  if (out_ >= 0) close(out_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

void Host::write(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(in_, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return;  // it has died: its exit code says how
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

void Host::close_input() {
  if (in_ >= 0) close(std::exchange(in_, -1));
}

bool Host::read(int milliseconds, const std::function<void(const std::string&)>& line) {
  pollfd wait{out_, POLLIN, 0};
  if (poll(&wait, 1, milliseconds) <= 0) return true;
  char buffer[65536];
  const ssize_t n = ::read(out_, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR;
  if (n == 0) return false;
  partial_.append(buffer, static_cast<std::size_t>(n));
  std::size_t begin = 0;
  for (std::size_t end; (end = partial_.find('\n', begin)) != partial_.npos; begin = end + 1)
    if (end > begin) line(partial_.substr(begin, end - begin));
  partial_.erase(0, begin);
  return true;
}

void Host::signal(int number) {
  if (pid_ > 0) kill(number == SIGKILL ? -pid_ : pid_, number);
}

int Host::wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> ask_host(const std::vector<std::string>& arguments,
                                  const std::string& input, int& code) {
  Host host(arguments);
  host.write(input);
  host.close_input();
  std::vector<std::string> lines;
  while (host.read(-1, [&](const std::string& line) { lines.push_back(line); })) {
  }
  code = host.wait();
  return lines;
}

}  // namespace scorelab::cli
