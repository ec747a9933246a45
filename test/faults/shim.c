/*
 * Preloaded below a program, makes the system calls that change files in one directory fail: a full disk, a broken one.
 * Everything in the process goes through it: Node's own calls, those of koffi, SQLite's. Stores to mapped memory don't:
 * the program has their space reserved before, and that is a call.
 *
 * FAULTS_DIR names the directory, FAULTS_CONTROL a file of eight 64-bit words (test/faults/shim.ts) that says what fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SEEN, AT, ERRNO, MODE, ROOM, KINDS, FIRED, WORDS };
enum { OFF, ONCE, FROM_THERE, FULL, SHORT };
enum { CHANGE = 1, SYNC = 2, READ = 4 };

static volatile int64_t *control;
static char directory[PATH_MAX], control_path[PATH_MAX];
static size_t directory_length;

__attribute__((constructor)) static void start(void) {
  const char *file = getenv("FAULTS_CONTROL"), *dir = getenv("FAULTS_DIR");
  if (!file || !dir) return;
  int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (page == MAP_FAILED) return;
  snprintf(control_path, sizeof control_path, "%s", file);
  directory_length = strlen(dir);
  memcpy(directory, dir, directory_length + 1);
  control = page;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* koffi opens libc by its name and would find the functions behind these. */
void *dlopen(const char *file, int flags) {
  static void *(*real)(const char *, int);
  if (!real) real = REAL(dlopen);
  if (file && strcmp(file, "libc.so.6") == 0) file = NULL;
  return real(file, flags);
}

static int is_below(const char *path) {
  if (strncmp(path, directory, directory_length) != 0 || path[directory_length] != '/') return 0;
  return strcmp(path, control_path) != 0;
}

static int concerns_fd(int fd) {
  char link[64], path[PATH_MAX];
  if (!control || control[KINDS] == 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int concerns_path(const char *path) { return control && path && is_below(path); }

/* Counts the call; says whether its number is one of those that fail. */
static int is_hit(int kind) {
  if (!(control[KINDS] & kind)) return 0;
  int64_t number = __atomic_add_fetch(&control[SEEN], 1, __ATOMIC_SEQ_CST);
  switch (control[MODE]) {
  case ONCE:
  case SHORT:
    return number == control[AT];
  case FROM_THERE:
  case FULL:
    return number >= control[AT];
  default:
    return 0;
  }
}

static int fail(void) {
  __atomic_add_fetch(&control[FIRED], 1, __ATOMIC_SEQ_CST);
  errno = (int)control[ERRNO];
  return -1;
}

static int64_t size_of(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_size : 0;
}

/*
 * How many of `length` bytes from `offset` on may be written (offset -1: at the end). On a full disk what is there already
 * can be overwritten, and what was deleted can be taken again. -1: none, with errno set.
 */
static int64_t allowed(int fd, int64_t offset, int64_t length) {
  if (!is_hit(CHANGE)) return length;
  if (control[MODE] == SHORT && length > 1) {
    __atomic_add_fetch(&control[FIRED], 1, __ATOMIC_SEQ_CST);
    return length / 2;
  }
  if (control[MODE] != FULL) return fail();
  int64_t size = size_of(fd);
  if (offset < 0) offset = size;
  int64_t growth = offset + length - size;
  if (growth <= 0) return length;
  if (growth <= control[ROOM]) {
    control[ROOM] -= growth;
    return length;
  }
  int64_t fits = length - (growth - control[ROOM]);
  if (fits <= 0) return fail();
  __atomic_add_fetch(&control[FIRED], 1, __ATOMIC_SEQ_CST);
  control[ROOM] = 0;
  return fits;
}

static void give_back(int64_t bytes) {
  if (control && control[MODE] == FULL && bytes > 0) control[ROOM] += bytes;
}

#define WRITE(name, parameters, arguments, offset)                                                               \
  ssize_t name parameters {                                                                                            \
    if (concerns_fd(fd)) {                                                                                             \
      int64_t can = allowed(fd, offset, (int64_t)count);                                                               \
      if (can < 0) return -1;                                                                                          \
      count = (size_t)can;                                                                                             \
    }                                                                                                                  \
    return REAL(name) arguments;                                                                                       \
  }
WRITE(write, (int fd, const void *data, size_t count), (fd, data, count), -1)
WRITE(pwrite, (int fd, const void *data, size_t count, off_t at), (fd, data, count, at), at)
WRITE(pwrite64, (int fd, const void *data, size_t count, off64_t at), (fd, data, count, at), at)

/* What of a vector may be written, as one buffer: short writes are rare. */
static ssize_t write_vector(int fd, const struct iovec *parts, int count, int64_t at) {
  int64_t length = 0;
  for (int i = 0; i < count; i++) length += (int64_t)parts[i].iov_len;
  int64_t can = concerns_fd(fd) ? allowed(fd, at, length) : length;
  if (can < 0) return -1;
  if (can == length) return at < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, at);
  char *whole = malloc((size_t)length), *end = whole;
  for (int i = 0; i < count; i++) end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
  ssize_t written =
      at < 0 ? REAL(write)(fd, whole, (size_t)can) : REAL(pwrite)(fd, whole, (size_t)can, at);
  free(whole);
  return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) { return write_vector(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_vector(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return write_vector(fd, parts, count, at);
}

static int resized(int fd, int64_t size) {
  int64_t before = size_of(fd);
  int result = REAL(ftruncate)(fd, size);
  if (result == 0) give_back(before - size);
  return result;
}

/* A hole takes no room: only a disk that is broken fails here. */
static int resize(int fd, int64_t size) {
  if (!concerns_fd(fd)) return REAL(ftruncate)(fd, size);
  if (is_hit(CHANGE) && control[MODE] != FULL) return fail();
  return resized(fd, size);
}

int ftruncate(int fd, off_t size) { return resize(fd, size); }
int ftruncate64(int fd, off64_t size) { return resize(fd, size); }

static int reserve(int fd, int mode, int64_t at, int64_t length) {
  if (concerns_fd(fd)) {
    int64_t can = allowed(fd, at, length);
    if (can < 0) return -1;
    if (can < length) {
      give_back(can);
      errno = ENOSPC;
      return -1;
    }
  }
  return REAL(fallocate)(fd, mode, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length) { return reserve(fd, mode, at, length); }
int fallocate64(int fd, int mode, off64_t at, off64_t length) { return reserve(fd, mode, at, length); }
int posix_fallocate(int fd, off_t at, off_t length) { return reserve(fd, 0, at, length) < 0 ? errno : 0; }
int posix_fallocate64(int fd, off64_t at, off64_t length) { return reserve(fd, 0, at, length) < 0 ? errno : 0; }

/* A new name or inode: a disk that is full to the last byte has none. */
static int is_new_refused(void) { return is_hit(CHANGE) && (control[MODE] != FULL || control[ROOM] == 0); }

static int may_open(const char *path, int flags) {
  if (!concerns_path(path) || !(flags & O_CREAT) || access(path, F_OK) == 0) return 1;
  return is_new_refused() ? (fail(), 0) : 1;
}

#define OPEN(name, parameters, arguments)                                                                              \
  int name parameters {                                                                                                \
    va_list list;                                                                                                      \
    va_start(list, flags);                                                                                             \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                                            \
    va_end(list);                                                                                                      \
    return may_open(path, flags) ? REAL(name) arguments : -1;                                                          \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

int mkdir(const char *path, mode_t mode) {
  return concerns_path(path) && is_new_refused() ? fail() : REAL(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
  return concerns_path(to) && is_new_refused() ? fail() : REAL(rename)(from, to);
}

/* Deleting takes no room. */
int unlink(const char *path) {
  struct stat st = {0};
  int concerned = concerns_path(path) && stat(path, &st) == 0;
  if (concerned && control[MODE] != FULL && is_hit(CHANGE)) return fail();
  int result = REAL(unlink)(path);
  if (concerned && result == 0) give_back(st.st_size);
  return result;
}

int fsync(int fd) { return concerns_fd(fd) && is_hit(SYNC) ? fail() : REAL(fsync)(fd); }
int fdatasync(int fd) { return concerns_fd(fd) && is_hit(SYNC) ? fail() : REAL(fdatasync)(fd); }

#define READS(name, parameters, arguments)                                                                             \
  ssize_t name parameters { return concerns_fd(fd) && is_hit(READ) ? fail() : REAL(name) arguments; }
READS(pread, (int fd, void *data, size_t count, off_t at), (fd, data, count, at))
READS(pread64, (int fd, void *data, size_t count, off64_t at), (fd, data, count, at))
READS(preadv, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
READS(preadv64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
READS(read, (int fd, void *data, size_t count), (fd, data, count))
