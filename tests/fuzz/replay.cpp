// Runs a target without libFuzzer: every file of the corpus, then mutations of them that are the
// same each time. A child process runs the inputs in turn; when one ends it, the next child goes on
// behind that input. Each different end is one finding, and each file of the corpus.
//
//     fuzz_TARGET [-runs=N] [-findings=DIR] FILE-OR-FOLDER..
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <typeinfo>
#include <vector>

#include "mutation.h"
#include "target.h"

#if defined(__SANITIZE_ADDRESS__)
#define SCORELAB_FUZZ_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCORELAB_FUZZ_SANITIZED 1
#endif
#endif

extern "C" const char* __asan_default_options() {
  return "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024";
}
extern "C" const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

namespace {

namespace fs = std::filesystem;
using scorelab::fuzz::Random;

constexpr std::size_t most_bytes = 65536;
constexpr rlim_t most_memory = rlim_t{1} << 30;
constexpr int most_seconds = 5;
constexpr std::size_t most_findings = 100, most_ends = 2000;

struct Options {
  std::string name;
  std::size_t runs = 2000;
  fs::path findings;
  std::vector<fs::path> inputs;
};

struct Corpus {
  std::vector<fs::path> files;
  std::vector<std::string> bytes;
};

/// What a child tells before it ends: the input it is at, and what ended it. `key` is equal for
/// equal ends.
struct Shared {
  std::size_t input;
  std::uint64_t key;
  char what[300];
  std::size_t seen_count;
  std::uint64_t seen[most_findings];
};
Shared* shared = nullptr;
const char* stack_end = nullptr;

std::uint64_t hash(const void* data, std::size_t size, std::uint64_t h = 0xcbf29ce484222325u) {
  for (std::size_t i = 0; i < size; ++i)
    h = (h ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
  return h;
}

bool seen(std::uint64_t key) {
  return std::find(shared->seen, shared->seen + shared->seen_count, key) !=
         shared->seen + shared->seen_count;
}

void say(const char* what) { std::snprintf(shared->what, sizeof shared->what, "%s", what); }

std::string input(const Corpus& corpus, std::size_t index) {
  if (index < corpus.bytes.size()) return corpus.bytes[index];
  Random random(index - corpus.bytes.size());
  std::string bytes = corpus.bytes[random.below(corpus.bytes.size())];
  scorelab::fuzz::mutate(bytes, random, corpus.bytes, most_bytes);
  return bytes;
}

#ifndef SCORELAB_FUZZ_SANITIZED
bool at_stack_end(const void* address) {
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  const auto depth = stack_end - static_cast<const char*>(address);
  return depth > static_cast<std::ptrdiff_t>(limit.rlim_cur) - (1 << 20) &&
         depth < static_cast<std::ptrdiff_t>(limit.rlim_cur) + (1 << 20);
}

/// Equal for equal functions, whichever line of them it was.
std::uint64_t functions(void** frames, int n) {
  std::uint64_t key = 0;
  for (int i = 0; i < n; ++i) {
    Dl_info info{};
    if (dladdr(frames[i], &info) && info.dli_saddr) frames[i] = info.dli_saddr;
    key = hash(&frames[i], sizeof frames[i], key);
  }
  return key;
}

[[noreturn]] void end(int signal, siginfo_t* info, void*) {
  if (signal == SIGSEGV && at_stack_end(info->si_addr)) {
    say("the stack is used up");
    shared->key = 1;
  } else {
    say(signal == SIGPROF ? "takes longer than 5 s" : strsignal(signal));
    void* frames[24];
    const int n = backtrace(frames, 24);
    backtrace_symbols_fd(frames, std::min(n, 14), STDERR_FILENO);
    shared->key = signal == SIGPROF ? 2 : functions(frames, std::min(n, 10));
  }
  _exit(1);
}

void limit() {
  std::size_t pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  const rlim_t bytes = most_memory + pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  const rlimit memory{bytes, bytes};
  setrlimit(RLIMIT_AS, &memory);
  void* frame = nullptr;
  backtrace(&frame, 1);  // loads what it needs before a handler calls it
  static char own_stack[1 << 18];
  stack_t stack{};
  stack.ss_sp = own_stack;
  stack.ss_size = sizeof own_stack;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = end;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF})
    sigaction(signal, &action, nullptr);
}
#else
void limit() {}
#endif

/// One input in the child; false: an exception escaped that is to be told.
bool run(const std::string& bytes, bool always_told) {
  const itimerval time{{0, 0}, {most_seconds, 0}};
  setitimer(ITIMER_PROF, &time, nullptr);
  std::string type, words;
  try {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    return true;
  } catch (const std::exception& e) {
    type = typeid(e).name();
    words = e.what();
  } catch (...) {
    type = "no std::exception";
  }
  const std::string kind = type + words.substr(0, 40);
  shared->key = hash(kind.data(), kind.size());
  say((type + ": " + words).c_str());
  return !always_told && seen(shared->key);
}

[[noreturn]] void child(const Corpus& corpus, std::size_t total, const fs::path& said) {
  const int fd = open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, STDERR_FILENO);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  limit();
  for (; shared->input < total; ++shared->input) {
    shared->what[0] = 0;
    shared->key = 0;
    if (!run(input(corpus, shared->input), shared->input < corpus.files.size())) _exit(1);
  }
  _exit(0);
}

fs::path keep(const Options& o, const std::string& bytes) {
  char number[17];
  std::snprintf(number, sizeof number, "%016llx",
                static_cast<unsigned long long>(hash(bytes.data(), bytes.size())));
  fs::create_directories(o.findings);
  const fs::path file = fs::absolute(o.findings / (o.name + "-" + number));
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file;
}

/// What a child wrote to stderr: an assertion, a stack, the first part of a sanitizer's report.
void tell(const fs::path& said) {
  std::ifstream in(said);
  std::string line;
  for (int i = 0; i < 40 && std::getline(in, line); ++i)
    std::printf("    %s\n", line.substr(0, 400).c_str());
}

/// Runs children until all inputs are done; the number of findings.
std::size_t replay(const Options& o, const char* program, const Corpus& corpus, std::size_t total,
                   const fs::path& said) {
  std::size_t findings = 0;
  for (std::size_t ends = 0; shared->input < total; ++shared->input) {
    std::fflush(stdout);
    const pid_t process = fork();
    if (process < 0) throw std::runtime_error("cannot start a process");
    if (process == 0) child(corpus, total, said);
    int status = 0;
    waitpid(process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    if (WIFSIGNALED(status) && !shared->what[0]) {
      say(strsignal(WTERMSIG(status)));
      shared->key = static_cast<std::uint64_t>(WTERMSIG(status));
    } else if (!shared->what[0]) {
      say("ended by a sanitizer, or by exit()");
    }
    const std::size_t at = shared->input;
    if (shared->key == 0 || at < corpus.files.size() || !seen(shared->key)) {
      const fs::path file = keep(o, input(corpus, at));
      std::printf(
          "finding: %s: %s\n  input: %s%s\n  again: %s %s\n", o.name.c_str(), shared->what,
          file.c_str(),
          at < corpus.files.size() ? (", which is " + corpus.files[at].string()).c_str() : "",
          program, file.c_str());
      tell(said);
      if (shared->key != 0 && !seen(shared->key)) shared->seen[shared->seen_count++] = shared->key;
      if (++findings == most_findings) {
        std::printf("%s: the rest is not run\n", o.name.c_str());
        return findings;
      }
    }
    if (++ends == most_ends) {
      std::printf("%s: ends too often, the rest is not run\n", o.name.c_str());
      return findings;
    }
  }
  return findings;
}

Corpus read(const Options& o) {
  Corpus out;
  for (const auto& path : o.inputs)
    if (fs::is_directory(path))
      for (const auto& entry : fs::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) out.files.push_back(entry.path());
      }
    else
      out.files.push_back(path);
  std::sort(out.files.begin(), out.files.end());
  for (const auto& file : out.files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + file.string());
    out.bytes.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (out.files.empty()) throw std::runtime_error("no input: name files, or a folder of a corpus");
  return out;
}

Options options(int count, char** words) {
  Options o;
  o.name = fs::path(words[0]).filename().string();
  if (o.name.rfind("fuzz_", 0) == 0) o.name.erase(0, 5);
  bool files_alone = true, runs_given = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word.rfind("-runs=", 0) == 0) {
      o.runs = std::stoul(word.substr(6));
      runs_given = true;
    } else if (word.rfind("-findings=", 0) == 0)
      o.findings = word.substr(10);
    else {
      o.inputs.emplace_back(word);
      files_alone = files_alone && fs::is_regular_file(word);
    }
  }
  if (const char* runs = std::getenv("SCORELAB_FUZZ_RUNS"); runs && *runs) {
    o.runs = std::stoul(runs);
    runs_given = true;
  }
  if (files_alone && !runs_given) o.runs = 0;
  if (o.findings.empty()) o.findings = "findings";
  return o;
}

}  // namespace

int main(int count, char** words) try {
  const char here = 0;
  stack_end = &here;
  const Options o = options(count, words);
  const Corpus corpus = read(o);
  // many times as fast as a disk
  if (!std::getenv("TMPDIR") && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
  const scorelab::fuzz::Folder folder;
  setenv("TMPDIR", folder.path().c_str(), 1);
  shared = static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (shared == MAP_FAILED) throw std::runtime_error("cannot share memory");
  const std::size_t total = corpus.files.size() + o.runs,
                    findings = replay(o, words[0], corpus, total, folder.path() / "stderr");
  std::printf("%s: %zu files, %zu mutations, %zu findings\n", o.name.c_str(), corpus.files.size(),
              o.runs, findings);
  return findings ? 1 : 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
