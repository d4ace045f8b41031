/* LD_PRELOAD: makes chosen calls of chosen programs fail, so that what a full disk or a broken one does can be tried at every call.
 *
 * FAULTY="RULE;RULE.." with RULE = CALLS:PATH:FIRST:TIMES:WHAT:PROGRAM
 *   CALLS    names separated by commas: a function (pwrite64) or its kind: open write sync close rename mkdir lock truncate unlink
 *   PATH     a part of the path (of a descriptor what /proc/self/fd says), or several that occur one after the other, separated by commas
 *   FIRST    the first matching call that is hit, from 1, counted over all processes
 *   TIMES    how many calls from there on; 0: all
 *   WHAT     ENOSPC EIO EMFILE EACCES EDQUOT ENOLCK, or SHORT (half is written), STOP (SIGSTOP, then the call is made), KILL (SIGKILL)
 *   PROGRAM  the end of the program's path (/scorelab, /scorelab-host); empty: any
 * FAULTY_COUNT=FILE  holds the counts, 8 bytes a rule; it must exist and be long enough
 * FAULTY_LOG=FILE    gets a line for each matching call: rule, count, hit or miss, function, path */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { rules_most = 8, path_most = 4096 };
enum what { no_fault = 0, shorter = -1, stop_here = -2, kill_here = -3 };

static struct rule {
  char calls[128], path[256], program[64];
  long first, times;
  int what;
} rules[rules_most];
static int rules_count;
static _Atomic long* counts;
static int log_to = -1;
static char program[path_most];
static atomic_int state; /* 0 new, 1 at work, 2 ready */

static const struct {
  const char* name;
  int number;
} names[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},         {"EMFILE", EMFILE},   {"EACCES", EACCES},   {"EDQUOT", EDQUOT},
             {"ENOLCK", ENOLCK}, {"SHORT", shorter}, {"STOP", stop_here}, {"KILL", kill_here}};

static int raw_open(const char* path, int flags, mode_t mode) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); }

/* Moved above the descriptors that a program opens: closed standard descriptors stay closed. */
static int raw_open_high(const char* path, int flags) {
  const int fd = raw_open(path, flags | O_CLOEXEC, 0666);
  if (fd < 0) return fd;
  const int high = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700);
  syscall(SYS_close, fd);
  return high;
}

static void field(char** text, char* to, size_t size) {
  char* part = strsep(text, ":");
  snprintf(to, size, "%s", part ? part : "");
}

static void read_rules(void) {
  const char* given = getenv("FAULTY");
  if (!given || !*given) return;
  const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  program[n > 0 ? n : 0] = 0;
  char *copy = strdup(given), *rest = copy, *one;
  while ((one = strsep(&rest, ";")) && rules_count < rules_most) {
    char number[32], word[32];
    struct rule* r = &rules[rules_count++];
    field(&one, r->calls, sizeof r->calls), field(&one, r->path, sizeof r->path);
    field(&one, number, sizeof number), r->first = atol(number);
    field(&one, number, sizeof number), r->times = atol(number);
    field(&one, word, sizeof word), field(&one, r->program, sizeof r->program);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
      if (strcmp(word, names[i].name) == 0) r->what = names[i].number;
  }
  free(copy);
  const char *count = getenv("FAULTY_COUNT"), *log = getenv("FAULTY_LOG");
  static _Atomic long own[rules_most];
  counts = own;
  if (count) {
    const int fd = raw_open(count, O_RDWR | O_CLOEXEC, 0);
    if (fd >= 0) {
      void* shared = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (shared != MAP_FAILED) counts = shared;
      syscall(SYS_close, fd);
    }
  }
  if (log) log_to = raw_open_high(log, O_WRONLY | O_APPEND);
}

static int ready(void) {
  int fresh = 0;
  if (atomic_load(&state) == 2) return rules_count;
  if (!atomic_compare_exchange_strong(&state, &fresh, 1)) return 0;
  read_rules();
  atomic_store(&state, 2);
  return rules_count;
}

static int listed(const char* list, const char* word) {
  const size_t n = strlen(word);
  for (const char* at = list; (at = strstr(at, word)); at += n)
    if ((at == list || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return 1;
  return 0;
}

/* Two parts may share a slash. */
static int has_all(const char* path, const char* parts) {
  char copy[256], *rest = copy, *one;
  snprintf(copy, sizeof copy, "%s", parts);
  while ((one = strsep(&rest, ","))) {
    if (!(path = strstr(path, one))) return 0;
    if (*one) path += strlen(one) - 1;
  }
  return 1;
}

static int served(const char* end) {
  const size_t n = strlen(program), m = strlen(end);
  return m <= n && strcmp(program + n - m, end) == 0;
}

/* What befalls this call: an errno, `shorter`, or nothing. */
static int fault(const char* kind, const char* function, const char* path) {
  const int before = errno;
  int found = no_fault;
  for (int i = 0; i < rules_count; ++i) {
    const struct rule* r = &rules[i];
    if (!(listed(r->calls, kind) || listed(r->calls, function)) || !has_all(path, r->path) || !served(r->program)) continue;
    const long n = atomic_fetch_add(&counts[i], 1) + 1;
    const int hit = n >= r->first && (r->times == 0 || n < r->first + r->times);
    if (log_to >= 0) {
      char line[path_most + 128];
      const int size = snprintf(line, sizeof line, "%d %ld %s %s %s\n", i, n, hit ? "hit" : "miss", function, path);
      syscall(SYS_write, log_to, line, (size_t)size);
    }
    if (hit && r->what == stop_here) raise(SIGSTOP);
    if (hit && r->what == kill_here) raise(SIGKILL);
    if (hit && (r->what > 0 || r->what == shorter)) found = r->what;
  }
  errno = before;
  return found;
}

static int fault_fd(const char* kind, const char* function, int fd) {
  if (!ready()) return no_fault;
  char link[64], path[path_most];
  const int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  errno = before;
  path[n > 0 ? n : 0] = 0;
  return fault(kind, function, path);
}

static int fault_path(const char* kind, const char* function, const char* path) {
  return ready() && path ? fault(kind, function, path) : no_fault;
}

#define FAIL_IF(what)                       \
  do {                                      \
    const int number = (what);              \
    if (number > 0) return errno = number, -1; \
  } while (0)

#define SHORTEN_IF(what, size)                                    \
  do {                                                            \
    const int number = (what);                                    \
    if (number > 0) return errno = number, -1;                    \
    if (number == shorter && (size) > 1) (size) = ((size) + 1) / 2; \
  } while (0)

ssize_t write(int fd, const void* data, size_t size) {
  SHORTEN_IF(fault_fd("write", "write", fd), size);
  return syscall(SYS_write, fd, data, size);
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
  SHORTEN_IF(fault_fd("write", "writev", fd), count);
  return syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  SHORTEN_IF(fault_fd("write", "pwrite", fd), size);
  return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  SHORTEN_IF(fault_fd("write", "pwrite64", fd), size);
  return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t sendfile(int to, int from, off_t* at, size_t size) {
  SHORTEN_IF(fault_fd("write", "sendfile", to), size);
  return syscall(SYS_sendfile, to, from, at, size);
}
ssize_t copy_file_range(int from, off64_t* at, int to, off64_t* there, size_t size, unsigned flags) {
  SHORTEN_IF(fault_fd("write", "copy_file_range", to), size);
  return syscall(SYS_copy_file_range, from, at, to, there, size, flags);
}
int fsync(int fd) {
  FAIL_IF(fault_fd("sync", "fsync", fd));
  return (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
  FAIL_IF(fault_fd("sync", "fdatasync", fd));
  return (int)syscall(SYS_fdatasync, fd);
}
int ftruncate(int fd, off_t size) {
  FAIL_IF(fault_fd("truncate", "ftruncate", fd));
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) {
  FAIL_IF(fault_fd("truncate", "ftruncate64", fd));
  return (int)syscall(SYS_ftruncate, fd, size);
}
int flock(int fd, int operation) {
  FAIL_IF(fault_fd("lock", "flock", fd));
  return (int)syscall(SYS_flock, fd, operation);
}
/* As in Linux, the descriptor is gone even where close fails. Only what was open for writing has something to lose. */
int close(int fd) {
  const long flags = ready() ? syscall(SYS_fcntl, fd, F_GETFL) : -1;
  const int writes = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
  const int number = writes ? fault_fd("close", "close", fd) : no_fault, status = (int)syscall(SYS_close, fd);
  if (number > 0) return errno = number, -1;
  return status;
}
int rename(const char* from, const char* to) {
  FAIL_IF(fault_path("rename", "rename", to));
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_fd, const char* from, int to_fd, const char* to) {
  FAIL_IF(fault_path("rename", "renameat", to));
  return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  FAIL_IF(fault_path("rename", "renameat2", to));
  return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}
int mkdir(const char* path, mode_t mode) {
  FAIL_IF(fault_path("mkdir", "mkdir", path));
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int mkdirat(int fd, const char* path, mode_t mode) {
  FAIL_IF(fault_path("mkdir", "mkdirat", path));
  return (int)syscall(SYS_mkdirat, fd, path, mode);
}
int unlink(const char* path) {
  FAIL_IF(fault_path("unlink", "unlink", path));
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int rmdir(const char* path) {
  FAIL_IF(fault_path("unlink", "rmdir", path));
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
/* std::filesystem removes relative to a folder's descriptor: where it lies is part of the path. */
int unlinkat(int fd, const char* path, int flags) {
  char link[64], full[2 * path_most], folder[path_most];
  if (ready()) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = fd == AT_FDCWD ? 0 : readlink(link, folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = 0;
    snprintf(full, sizeof full, "%s/%s", folder, path);
    FAIL_IF(fault("unlink", "unlinkat", full));
  }
  return (int)syscall(SYS_unlinkat, fd, path, flags);
}

static mode_t mode_of(int flags, va_list more) { return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0; }

#define OPEN(function)                                     \
  int function(const char* path, int flags, ...) {         \
    va_list more;                                          \
    va_start(more, flags);                                 \
    const mode_t mode = mode_of(flags, more);              \
    va_end(more);                                          \
    FAIL_IF(fault_path("open", #function, path));          \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(function)                                   \
  int function(int fd, const char* path, int flags, ...) { \
    va_list more;                                          \
    va_start(more, flags);                                 \
    const mode_t mode = mode_of(flags, more);              \
    va_end(more);                                          \
    FAIL_IF(fault_path("open", #function, path));          \
    return (int)syscall(SYS_openat, fd, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char* path, int flags) { return open(path, flags); }
int __open64_2(const char* path, int flags) { return open64(path, flags); }
int __openat_2(int fd, const char* path, int flags) { return openat(fd, path, flags); }
int __openat64_2(int fd, const char* path, int flags) { return openat64(fd, path, flags); }

#define FOPEN(function)                                                                                 \
  FILE* function(const char* path, const char* how) {                                                   \
    const int number = fault_path("open", #function, path);                                             \
    if (number > 0) return errno = number, NULL;                                                        \
    return ((FILE * (*)(const char*, const char*)) dlsym(RTLD_NEXT, #function))(path, how);             \
  }
FOPEN(fopen)
FOPEN(fopen64)
