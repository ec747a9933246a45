/*
 * keeper BWRAP: starts every sandbox of one runner, which speaks to it through the socket that is its descriptor 3, and sees
 * to it that none outlives the runner, whatever kills that at whatever moment.
 *
 * For each sandbox it forks a process ahead of time, which enters a mount namespace of its own and the control groups, and
 * waits for a tool. Told one, it becomes user 65534 (as root) and executes bubblewrap: the program and its descriptors come
 * through a socket of its own. bubblewrap takes paths alone and resolves them with its own rights, so what is granted is put
 * where it can name it, as /given/0, /given/1 and so on, by descriptor: no name is looked up again. The namespace holds those,
 * the programs and libraries of the machine, /proc and /dev, and nothing else of the machine's files.
 *
 * Orphans below the keeper become its children. What it has not forked itself is the first process of a sandbox whose
 * bubblewrap has ended, and is killed: bubblewrap that is killed while it starts may leave one that waits for ever.
 *
 * keeper.ts has the other side: numbers of 32 bits, one message a packet.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL = 3, FAILED = 125, NOBODY = 65534, MOST = 96, SANDBOXES = 4096 };
/* From the runner, and to it. */
enum { PREPARE = 1, KILL = 2, ENDED = 3 };
/* What the child gets: standard descriptors, words of the command, what bubblewrap gets from number 3 on, mounts. */
enum { WORDS = 3, OPTIONS = 4, LEAST = 8, FIRST_NUMBER = 3 };
/* move_mount(2), close_range(2), mount_setattr(2): Linux 5.2, 5.9, 5.12 */
enum { MOVE_MOUNT = 429, FROM_EMPTY_PATH = 4, CLOSE_RANGE = 436, CLOSE_RANGE_CLOSE_ON_EXEC = 4 };
enum { MOUNT_SETATTR = 442, RECURSIVE = 0x8000 /* AT_RECURSIVE */ };

struct sandbox {
  uint32_t id;
  pid_t pid;
};
static struct sandbox sandboxes[SANDBOXES];
static int count;
static const char *bwrap;
/* Of a child: where it says why it failed. */
static int runner = -1;

static void fail(const char *what) {
  char text[256];
  int size = snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
  if (runner >= 0) send(runner, text, (size_t)size, MSG_NOSIGNAL);
  else fprintf(stderr, "clawfs: keeper: %s\n", text);
  _exit(FAILED);
}

static void check(long rc, const char *what) {
  if (rc < 0) fail(what);
}

/* One packet with its descriptors; its length, 0 when the other end is gone. */
static ssize_t receive(int fd, uint32_t *words, size_t bytes, int *descriptors, int *descriptor_count) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MOST)];
  } control;
  struct iovec part = {.iov_base = words, .iov_len = bytes};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got;
  do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  *descriptor_count = 0;
  if (got <= 0) return 0;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    *descriptor_count = (int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(descriptors, CMSG_DATA(rights), sizeof(int) * (size_t)*descriptor_count);
  }
  return got;
}

/* ---- the child ---- */

/* Its end is ours; one that has ended before this was asked for is not our parent any more. */
static void die_with(pid_t parent) {
  check(prctl(PR_SET_PDEATHSIG, SIGKILL), "PR_SET_PDEATHSIG");
  if (getppid() != parent) _exit(FAILED);
}

/* Shows what is at `path` at the same place below the working directory; what is not there on this machine is left out. */
static void show(const char *path) {
  struct stat about;
  char target[PATH_MAX];
  const char *here = path + 1;
  if (lstat(path, &about) < 0) return;
  if (S_ISLNK(about.st_mode)) {
    ssize_t length = readlink(path, target, sizeof target - 1);
    check(length, path);
    target[length] = 0;
    check(symlink(target, here), path);
    return;
  }
  if (S_ISDIR(about.st_mode)) check(mkdir(here, 0755), path);
  else check(close(open(here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)), path);
  check(mount(path, here, NULL, MS_BIND | MS_REC, NULL), path);
}

/* What a program finds of the machine. */
static void show_machine(void) {
  /* base() of bwrap.ts has the same list. */
  static const char *const shown[] = {"/usr",   "/bin",   "/sbin",            "/lib",
                                      "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives",
                                      "/etc/localtime", "/etc/ssl/certs"};
  check(mkdir("etc", 0755), "/etc");
  check(mkdir("etc/ssl", 0755), "/etc/ssl");
  for (size_t at = 0; at < sizeof shown / sizeof *shown; at++) show(shown[at]);
}

/*
 * Below /base, the root of a sandbox as far as it is the same for all: bubblewrap, which looks through all mounts for each that
 * it makes, then makes nine fewer. A kernel without mount_setattr(2) (before 5.12) has none, and bubblewrap does it all.
 */
static void make_base(void) {
  struct {
    uint64_t set, clear, propagation, user_namespace;
  } fixed = {.set = 1 | 2 | 4 /* MOUNT_ATTR_RDONLY, NOSUID, NODEV */};
  check(mkdir("base", 0755), "/base");
  check(mount("clawfs-base", "base", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256k"), "/base");
  check(chdir("base"), "/base");
  show_machine();
  long rc = syscall(MOUNT_SETATTR, AT_FDCWD, ".", RECURSIVE, &fixed, sizeof fixed);
  if (rc < 0 && errno != ENOSYS) check(rc, "mount_setattr");
  check(chdir(".."), "/base");
  if (rc < 0) check(umount2("base", MNT_DETACH), "/base");
  /* bubblewrap makes mount points in it, then takes the right to write away again. */
  else check(mount(NULL, "base", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL), "/base");
  if (rc < 0) return;
  check(chown("base", NOBODY, NOBODY), "/base");
  check(chown("base/etc", NOBODY, NOBODY), "/base/etc");
}

/* A ClawFS that is mounted somewhere below /usr is not for tools, and this namespace must not keep it alive. */
static void forget_mounts(void) {
  FILE *mounts = setmntent("/proc/self/mounts", "re");
  if (mounts == NULL) fail("/proc/self/mounts");
  for (struct mntent *each; (each = getmntent(mounts)) != NULL;)
    if (strcmp(each->mnt_type, "fuse.clawfs") == 0) umount2(each->mnt_dir, MNT_DETACH);
  endmntent(mounts);
}

/* What bubblewrap itself needs, and no other file of the machine. */
static void make_place(void) {
  check(unshare(CLONE_NEWNS), "unshare");
  /* Nothing of this gets out, and nothing that is mounted outside while this waits gets in. */
  check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "propagation");
  forget_mounts();
  check(mount("clawfs-keeper", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256k"), "/tmp");
  check(chdir("/tmp"), "/tmp");
  check(mkdir("tmp", 0755), "/tmp");
  check(mkdir("given", 0755), "/given");
  show_machine();
  show("/proc");
  show("/dev");
  make_base();
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount");
  check(chdir("/"), "/");
}

/* A detached mount (open_tree(2)) gets a name. */
static void place(int tree, int number) {
  char to[32];
  struct stat about;
  snprintf(to, sizeof to, "/given/%d", number);
  check(fstat(tree, &about), to);
  if (S_ISDIR(about.st_mode)) check(mkdir(to, 0755), to);
  else check(close(open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)), to);
  check(syscall(MOVE_MOUNT, tree, "", AT_FDCWD, to, FROM_EMPTY_PATH), "move_mount");
}

/* "bwrap --args 3 -- WORDS", of a file that holds them with a NUL behind each. */
static char **command_in(int fd) {
  static const char *const before[] = {"bwrap", "--args", "3", "--"};
  enum { BEFORE = sizeof before / sizeof *before };
  struct stat about;
  check(fstat(fd, &about), "words");
  size_t size = (size_t)about.st_size, words = 0;
  char *text = malloc(size + 1);
  if (text == NULL || pread(fd, text, size, 0) != (ssize_t)size) fail("words");
  for (size_t at = 0; at < size; at++) words += text[at] == 0;
  char **argv = calloc(BEFORE + words + 1, sizeof *argv);
  if (argv == NULL) fail("words");
  memcpy(argv, before, sizeof before);
  for (size_t at = 0, word = 0; word < words; at += strlen(text + at) + 1, word++) argv[BEFORE + word] = text + at;
  return argv;
}

static void become_nobody(void) {
  check(setgroups(0, NULL), "setgroups");
  check(setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
  check(setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
}

static void run_sandbox(int own, const int *groups, int group_count, pid_t parent) {
  runner = own;
  die_with(parent);
  close(CONTROL);
  prctl(PR_SET_NAME, "clawfs-ready");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int is_root = geteuid() == 0;
  if (is_root) make_place();
  /* Last, so that none of this counts there. It can take milliseconds: the kernel waits for all CPUs. */
  for (int at = 0; at < group_count; at++) {
    check(write(groups[at], "0", 1), "control group");
    close(groups[at]);
  }
  uint32_t numbered;
  int given[MOST], given_count;
  if (receive(own, &numbered, sizeof numbered, given, &given_count) == 0) _exit(0);
  if (given_count < LEAST || numbered > (uint32_t)(given_count - OPTIONS)) _exit(FAILED);
  int last = OPTIONS + (int)numbered;
  char **argv = command_in(given[WORDS]);
  /* Above every number that they get in the end. */
  for (int at = 0; at < given_count; at++) check(given[at] = fcntl(given[at], F_DUPFD_CLOEXEC, 2 * MOST), "descriptors");
  if (is_root) {
    for (int at = last; at < given_count; at++) place(given[at], at - last);
    become_nobody();
    die_with(parent); /* another user is not told any more */
  }
  check(runner = fcntl(own, F_DUPFD_CLOEXEC, 2 * MOST), "descriptors");
  for (int fd = 0; fd < WORDS; fd++) check(dup2(given[fd], fd), "descriptors");
  for (int at = OPTIONS; at < last; at++) check(dup2(given[at], FIRST_NUMBER + at - OPTIONS), "descriptors");
  check(syscall(CLOSE_RANGE, FIRST_NUMBER + (int)numbered, ~0U, CLOSE_RANGE_CLOSE_ON_EXEC), "descriptors");
  char *environment[] = {NULL};
  execve(bwrap, argv, environment);
  fail(bwrap);
}

/* ---- the keeper ---- */

static void tell(uint32_t id, int status) {
  uint32_t words[] = {ENDED, id, (uint32_t)status};
  /* A runner that is gone is noticed by the next read. */
  send(CONTROL, words, sizeof words, MSG_NOSIGNAL);
}

static void prepare(uint32_t id, const int *descriptors, int descriptor_count) {
  pid_t parent = getpid(), child = descriptor_count > 0 && count < SANDBOXES ? fork() : -1;
  if (child == 0) run_sandbox(descriptors[0], descriptors + 1, descriptor_count - 1, parent);
  if (child < 0) tell(id, FAILED << 8);
  else sandboxes[count++] = (struct sandbox){.id = id, .pid = child};
}

static struct sandbox *find(pid_t pid) {
  for (int at = 0; at < count; at++)
    if (sandboxes[at].pid == pid) return &sandboxes[at];
  return NULL;
}

/* Kills the children that were not forked here. */
static void kill_orphans(void) {
  char path[64];
  long pid;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *children = fopen(path, "re");
  if (children == NULL) return;
  while (fscanf(children, "%ld", &pid) == 1)
    if (find((pid_t)pid) == NULL) kill((pid_t)pid, SIGKILL);
  fclose(children);
}

static void reaped(pid_t pid, int status) {
  struct sandbox *ended = find(pid);
  if (ended == NULL) return;
  uint32_t id = ended->id;
  *ended = sandboxes[--count];
  kill_orphans();
  tell(id, status);
}

static void end_all(void) {
  int status;
  pid_t pid;
  for (int at = 0; at < count; at++) kill(sandboxes[at].pid, SIGKILL);
  while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) reaped(pid, status);
}

static int serve(void) {
  uint32_t words[2];
  int descriptors[MOST], descriptor_count;
  ssize_t got = receive(CONTROL, words, sizeof words, descriptors, &descriptor_count);
  if (got == 0) return 0;
  if (got == sizeof words && words[0] == PREPARE) prepare(words[1], descriptors, descriptor_count);
  if (got == sizeof words && words[0] == KILL)
    for (int at = 0; at < count; at++)
      if (sandboxes[at].id == words[1]) kill(sandboxes[at].pid, SIGKILL);
  for (int at = 0; at < descriptor_count; at++) close(descriptors[at]);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 2) return FAILED;
  bwrap = argv[1];
  prctl(PR_SET_NAME, "clawfs-keeper");
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER");
  sigset_t all, children;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  int arrived = signalfd(-1, &children, SFD_CLOEXEC);
  check(arrived, "signalfd");
  for (;;) {
    struct pollfd wanted[2] = {{.fd = CONTROL, .events = POLLIN}, {.fd = arrived, .events = POLLIN}};
    if (poll(wanted, 2, -1) < 0 && errno != EINTR) fail("poll");
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    if ((wanted[1].revents & POLLIN) != 0) {
      check(read(arrived, &info, sizeof info), "signalfd");
      while ((pid = waitpid(-1, &status, WNOHANG)) > 0) reaped(pid, status);
    }
    if (wanted[0].revents != 0 && !serve()) break;
  }
  end_all();
  return 0;
}
