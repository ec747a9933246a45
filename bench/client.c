/*
 * The benchmark's client: the same system calls against any directory, timed from outside the filesystem.
 *
 *   client micro     DIR MNT FILES BATCHES       uncached.* and hot.*      ns per operation
 *   client small     DIR BIG APPENDS WRITES SYNCS small.*                  ns per operation
 *   client seq-write FILE MIB                    write, sync               ns per MiB
 *   client seq-read  FILE                        read                      ns per MiB
 *   client fill      DIR FROM TO BYTES           fill                      ns per file
 *   client grow      DIR MNT TOTAL OPS BATCHES   stat, open, create, ...   ns per operation
 *   client walk      DIR                         walk                      ns per entry (readdir + lstat)
 *   client touch     MIB                         makes the machine own MIB of free memory, measures nothing
 *
 * MNT is the mount whose dentries and inodes are to be dropped before an uncached batch, or "-" when DIR is not
 * on a FUSE mount. Every figure is the median of its batches; the result is one line of JSON.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROWS 32
#define MAX_BATCHES 64
#define KIB4 4096
#define MIB (1 << 20)

static const char *dir, *mnt;
static char *buffer;
static int *order;

static void die(const char *what, const char *path) {
  fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;
static uint64_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

/* ---- results ---- */

static struct {
  char name[48];
  double batch[MAX_BATCHES];
  int count;
} rows[MAX_ROWS];
static int row_count;

static void record(const char *name, double value) {
  int i = 0;
  while (i < row_count && strcmp(rows[i].name, name) != 0) i++;
  if (i == row_count) snprintf(rows[row_count++].name, sizeof rows[0].name, "%s", name);
  rows[i].batch[rows[i].count++] = value;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_rows(void) {
  for (int i = 0; i < row_count; i++) {
    double *v = rows[i].batch;
    int n = rows[i].count;
    qsort(v, n, sizeof *v, ascending);
    double median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    printf("%s\"%s\":%.1f", i ? "," : "{", rows[i].name, median);
  }
  puts(row_count ? "}" : "{}");
}

/* ---- caches ---- */

/* A remount shrinks the dentry cache of this one superblock (reconfigure_super), and a FUSE inode without a dentry
 * goes with its attributes and pages. Nothing is asked of the server but FORGETs. The server's own caches, and the
 * filesystem below it, stay warm: only the kernel's view of this mount is cold. */
static void drop_mount(void) {
  struct statvfs s;
  if (statvfs(mnt, &s)) die("statvfs", mnt);
  unsigned long keep = (s.f_flag & ST_RDONLY ? MS_RDONLY : 0) | (s.f_flag & ST_NOSUID ? MS_NOSUID : 0) |
                       (s.f_flag & ST_NODEV ? MS_NODEV : 0) | (s.f_flag & ST_NOEXEC ? MS_NOEXEC : 0) |
                       (s.f_flag & ST_NOATIME ? MS_NOATIME : 0) | (s.f_flag & ST_RELATIME ? MS_RELATIME : 0);
  if (mount(NULL, mnt, NULL, MS_REMOUNT | keep, NULL)) die("remount", mnt);
}

static void drop_slab(void) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || syncfs(fd)) die("syncfs", dir);
  close(fd);
  fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
  if (fd < 0 || write(fd, "2\n", 2) != 2) die("write", "/proc/sys/vm/drop_caches");
  close(fd);
}

/* Leaves DIR as the working directory with nothing below it cached, the FORGETs answered and both CPUs awake: the
 * statvfs round trips (never cached) take the wake-up of an idle CPU out of the measurement. */
static void drop(long entries) {
  struct statvfs s;
  if (chdir("/")) die("chdir", "/");
  if (strcmp(mnt, "-") == 0) drop_slab();
  else drop_mount();
  usleep(20000 + entries * 10);
  if (chdir(dir)) die("chdir", dir);
  for (int i = 0; i < 100; i++)
    if (statvfs(".", &s)) die("statvfs", dir);
}

/* ---- operations on file number i of the working directory ---- */

static char *name(char prefix, int i) {
  static char text[2][32];
  static int turn;
  turn ^= 1;
  snprintf(text[turn], sizeof text[0], "%c%07d", prefix, i);
  return text[turn];
}

static void op_create(int i) {
  int fd = open(name('f', i), O_CREAT | O_WRONLY, 0644);
  if (fd < 0) die("create", name('f', i));
  if (write(fd, buffer, KIB4) != KIB4) die("write", name('f', i));
  if (close(fd)) die("close", name('f', i));
}

static void op_stat(int i) {
  struct stat s;
  if (stat(name('f', i), &s)) die("stat", name('f', i));
}

static int read_bytes = KIB4;
static void op_read(int i) {
  char bytes[KIB4];
  int fd = open(name('f', i), O_RDONLY);
  if (fd < 0) die("open", name('f', i));
  if (pread(fd, bytes, KIB4, 0) != read_bytes) die("read", name('f', i));
  if (close(fd)) die("close", name('f', i));
}

static void op_rename(int i) {
  if (rename(name('f', i), name('r', i))) die("rename", name('f', i));
}

static void op_unlink(int i) {
  if (unlink(name('r', i))) die("unlink", name('r', i));
}

static double each(void (*op)(int), int n) {
  double start = now();
  for (int i = 0; i < n; i++) op(order[i]);
  return (now() - start) / n;
}

static double list(const char *path, int *entries) {
  double start = now();
  DIR *d = opendir(path);
  if (!d) die("opendir", path);
  *entries = 0;
  while (readdir(d)) ++*entries;
  closedir(d);
  return (now() - start) / *entries;
}

/* 0 .. n-1 in one fixed random order, so that no target profits from an order of its own. */
static void shuffle(int n) {
  order = realloc(order, n * sizeof *order);
  for (int i = 0; i < n; i++) order[i] = i;
  for (int i = n - 1; i > 0; i--) {
    int j = next_random() % (i + 1), swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

/* ---- modes ---- */

static void uncached_batch(int files) {
  int entries;
  drop(files);
  record("uncached.create", each(op_create, files));
  drop(files);
  record("uncached.stat", each(op_stat, files));
  drop(files);
  record("uncached.open", each(op_read, files));
  drop(files);
  record("uncached.readdir", list(".", &entries));
  drop(files);
  record("uncached.rename", each(op_rename, files));
  drop(files);
  record("uncached.unlink", each(op_unlink, files));
}

/* Each operation after an unmeasured pass of its own: a read that reached the server makes the kernel ask for the
 * attributes again (atime), which would turn a hot stat behind it into a cold one. */
static void hot_batch(int files) {
  int entries;
  double stats = 0, reads = 0, lists = 0;
  drop(files);
  for (int i = 0; i < files; i++) op_create(i), op_rename(i), op_unlink(i);
  record("hot.create", each(op_create, files));
  each(op_stat, files);
  for (int i = 0; i < 5; i++) stats += each(op_stat, files);
  each(op_read, files);
  for (int i = 0; i < 5; i++) reads += each(op_read, files);
  list(".", &entries);
  for (int i = 0; i < 5; i++) lists += list(".", &entries);
  record("hot.stat", stats / 5);
  record("hot.open", reads / 5);
  record("hot.readdir", lists / 5);
  each(op_stat, files);
  record("hot.rename", each(op_rename, files));
  record("hot.unlink", each(op_unlink, files));
}

static void micro(int files, int batches) {
  shuffle(files);
  for (int i = 0; i < batches; i++) uncached_batch(files), hot_batch(files);
}

static void small(const char *big, int appends, int writes, int syncs) {
  struct stat s;
  char path[4096];
  snprintf(path, sizeof path, "%s/append", dir);
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
  if (fd < 0) die("create", path);
  double start = now();
  for (int i = 0; i < appends; i++)
    if (write(fd, buffer, 100) != 100) die("append", path);
  record("small.append", (now() - start) / appends);
  if (fsync(fd)) die("fsync", path);
  start = now();
  for (int i = 0; i < syncs; i++)
    if (write(fd, buffer, 512) != 512 || fsync(fd)) die("fsync", path);
  record("small.fsync", (now() - start) / syncs);
  close(fd);
  unlink(path);

  fd = open(big, O_WRONLY);
  if (fd < 0 || fstat(fd, &s)) die("open", big);
  start = now();
  for (int i = 0; i < writes; i++)
    if (pwrite(fd, buffer, KIB4, next_random() % (s.st_size / KIB4) * KIB4) != KIB4) die("overwrite", big);
  record("small.overwrite", (now() - start) / writes);
  if (fsync(fd)) die("fsync", big);
  close(fd);
}

static void seq_write(const char *path, int mib) {
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0) die("create", path);
  double start = now();
  for (int i = 0; i < mib; i++) {
    memcpy(buffer, &i, sizeof i);
    if (write(fd, buffer, MIB) != MIB) die("write", path);
  }
  double written = now();
  if (fsync(fd) || close(fd)) die("fsync", path);
  record("write", (written - start) / mib);
  record("sync", (now() - start) / mib);
}

static void seq_read(const char *path) {
  long total = 0, n;
  int fd = open(path, O_RDONLY);
  if (fd < 0) die("open", path);
  double start = now();
  while ((n = read(fd, buffer, MIB)) > 0) total += n;
  if (n < 0 || total < MIB) die("read", path);
  record("read", (now() - start) / (total / MIB));
  close(fd);
}

static void fill(int from, int to, int bytes) {
  if (chdir(dir)) die("chdir", dir);
  double start = now();
  for (int i = from; i < to; i++) {
    int fd = open(name('f', i), O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || write(fd, buffer, bytes) != bytes || close(fd)) die("fill", name('f', i));
  }
  record("fill", (now() - start) / (to - from));
}

/* The directory holds f0 .. f(total-1) before and after. New files are numbered from `total`. */
static void grow(int total, int ops, int batches) {
  int entries;
  struct stat s;
  if (chdir(dir) || stat(name('f', 0), &s)) die("stat", dir);
  read_bytes = s.st_size < KIB4 ? s.st_size : KIB4;
  order = malloc(ops * sizeof *order);
  for (int b = 0; b < batches; b++) {
    int start = next_random() % total, stride = total / ops;
    for (int i = 0; i < ops; i++) order[i] = (int)((start + (long)i * stride) % total);
    drop(ops);
    record("stat", each(op_stat, ops));
    drop(ops);
    record("open", each(op_read, ops));
    for (int i = 0; i < ops; i++) order[i] = total + i;
    drop(ops);
    record("create", each(op_create, ops));
    drop(ops);
    record("rename", each(op_rename, ops));
    drop(ops);
    record("unlink", each(op_unlink, ops));
  }
  drop(ops);
  record("readdir", list(".", &entries));
  drop(entries);
}

static void walk(void) {
  struct stat s;
  struct dirent *e;
  long entries = 0;
  double start = now();
  DIR *d = opendir(dir);
  if (!d) die("opendir", dir);
  for (; (e = readdir(d)); entries++)
    if (fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW)) die("lstat", e->d_name);
  closedir(d);
  record("walk", (now() - start) / entries);
}

/* A virtual machine that returns free pages to its host (free page reporting) pays some 8 us for each one it takes
 * back, ten times what writing it costs. Pages freed here are the next ones that anybody gets. */
static void touch(long mib) {
  char *pages = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) die("mmap", "anonymous memory");
  for (long i = 0; i < mib * MIB; i += KIB4) pages[i] = 1;
  munmap(pages, mib * MIB);
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
#define IS(text, count) (strcmp(mode, text) == 0 && argc == (count))
#define NUMBER(i) atoi(argv[i])
  buffer = malloc(MIB);
  for (int i = 0; i < MIB / 8; i++) ((uint64_t *)buffer)[i] = next_random();
  dir = argc > 2 ? argv[2] : "";
  mnt = argc > 3 ? argv[3] : "-";
  if (IS("micro", 6)) micro(NUMBER(4), NUMBER(5));
  else if (IS("small", 7)) small(argv[3], NUMBER(4), NUMBER(5), NUMBER(6));
  else if (IS("seq-write", 4)) seq_write(dir, NUMBER(3));
  else if (IS("seq-read", 3)) seq_read(dir);
  else if (IS("fill", 6)) fill(NUMBER(3), NUMBER(4), NUMBER(5));
  else if (IS("grow", 7)) grow(NUMBER(4), NUMBER(5), NUMBER(6));
  else if (IS("walk", 3)) walk();
  else if (IS("touch", 3)) touch(NUMBER(2));
  else {
    fprintf(stderr, "client: usage: see the head of client.c\n");
    return 64;
  }
  print_rows();
  return 0;
}
