#include "process/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <scorelab/error.h>

extern char** environ;

namespace scorelab {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& t : texts) out.push_back(t.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_of(const Program& p) {
  std::vector<std::string> out;
  for (char** e = environ; *e; ++e) {
    const std::string one = *e;
    if (std::none_of(p.environment.begin(), p.environment.end(),
                     [&](const auto& set) { return one.rfind(set.first + "=", 0) == 0; }))
      out.push_back(one);
  }
  for (const auto& [name, value] : p.environment) out.push_back(name + "=" + value);
  return out;
}

struct Pipe {
  Pipe() {
    if (pipe2(end, O_CLOEXEC) != 0)
      throw Error(std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  ~Pipe() {
    for (int& fd : end) shut(fd);
  }
  static void shut(int& fd) {
    if (fd >= 0) close(std::exchange(fd, -1));
  }
  int end[2] = {-1, -1};
};

}  // namespace

Ended run_program(const Program& program, std::size_t limit) {
  Pipe in, out;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.end[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.end[1], STDOUT_FILENO);
  if (program.errors_too)
    posix_spawn_file_actions_adddup2(&actions, out.end[1], STDERR_FILENO);
  else
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  if (!program.folder.empty())
    posix_spawn_file_actions_addchdir_np(&actions, program.folder.c_str());
  std::vector<std::string> arguments = program.arguments, environment = environment_of(program);
  pid_t pid = -1;
  const int status = posix_spawnp(&pid, arguments.at(0).c_str(), &actions, nullptr,
                                  pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) return {127, std::strerror(status)};
  Pipe::shut(in.end[0]);
  Pipe::shut(out.end[1]);
  fcntl(in.end[1], F_SETFL, O_NONBLOCK);
  Ended ended;
  std::size_t given = 0;
  char buffer[65536];
  while (true) {
    if (given == program.input.size()) Pipe::shut(in.end[1]);
    pollfd wait[2] = {{out.end[0], POLLIN, 0}, {in.end[1], POLLOUT, 0}};
    if (poll(wait, in.end[1] >= 0 ? 2 : 1, -1) < 0) continue;
    if (in.end[1] >= 0 && wait[1].revents) {
      const ssize_t n =
          write(in.end[1], program.input.data() + given, program.input.size() - given);
      if (n > 0) given += static_cast<std::size_t>(n);
      if (n < 0 && errno != EAGAIN && errno != EINTR) Pipe::shut(in.end[1]);  // it reads no more
    }
    if (!wait[0].revents) continue;
    const ssize_t n = read(out.end[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    ended.output.append(buffer, std::min(static_cast<std::size_t>(n),
                                         limit - std::min(limit, ended.output.size())));
  }
  int code = 127 << 8;  // where nobody can say how it ended
  while (waitpid(pid, &code, 0) < 0 && errno == EINTR) {
  }
  ended.code = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
  return ended;
}

}  // namespace scorelab
