/*
 * The program behind every file of tools/bin. It hands its descriptors, words and signals to the runner of the mount that it
 * lies on, waits, and ends as the tool did. wire.ts has the other side. It is linked statically: nothing of the caller's
 * environment (LD_PRELOAD and the like) counts, and it starts in a fraction of a millisecond.
 *
 * Its own exit statuses are those of env(1): 125 when the daemon can't be reached or goes away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Made by seccomp/launcher-header-main.ts from seccomp/launcher-list.ts. */
#include "launcher-filter.h"

enum { FAILED = 125, VERSION = 1, HEADER_WORDS = 8, MOST_DESCRIPTORS = 5, ANSWER_HEAD = 8 };
static const uint32_t MAGIC = 0x54574c43;
/* A runner that has just been started, or started again, is there within this time, on a machine with much else to do. */
static const int CONNECT_MS = 30000;
static const int CONNECT_PAUSE_MS = 10;

static const char *tool = "tool";

static void fail(const char *what) {
  if (errno != 0) fprintf(stderr, "clawfs: %s: %s: %s\n", tool, what, strerror(errno));
  else fprintf(stderr, "clawfs: %s: %s\n", tool, what);
  exit(FAILED);
}

/* A descriptor that is closed would be taken by the next file that is opened, and handed on as what it is not. */
static void open_standard(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(FAILED);
}

/*
 * What it does from here on is not much: should anything that it reads lead it astray, it can do nothing else. A kernel without
 * filters (EINVAL) has none for tools either, which `clawfs sandbox status` tells.
 */
static void confine(void) {
  struct sock_fprog filter = {.len = FILTER_LENGTH, .filter = (struct sock_filter *)FILTER};
  if (FILTER_LENGTH == 0) return;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("no new privileges");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 && errno != EINVAL) fail("seccomp");
  errno = 0;
}

/* The name under which this file was executed: it says which tool is meant. */
static void find_name(void) {
  static char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length < 0) fail("/proc is needed");
  path[length] = 0;
  char *deleted = strstr(path, " (deleted)");
  if (deleted != NULL) *deleted = 0;
  char *slash = strrchr(path, '/');
  tool = slash == NULL ? path : slash + 1;
  errno = 0;
  if (tool[0] == '.') fail("this file is not a tool, the others beside it are");
}

static int connect_once(const struct sockaddr_un *address, socklen_t length) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  if (connect(fd, (const struct sockaddr *)address, length) == 0) return fd;
  int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

/* The runner listens in the abstract namespace, under the number of the device that this file lies on. */
static int connect_runner(void) {
  struct stat self;
  if (stat("/proc/self/exe", &self) < 0) fail("/proc/self/exe");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "clawfs-tools/%llu", (unsigned long long)self.st_dev);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
  struct timespec pause = {.tv_nsec = CONNECT_PAUSE_MS * 1000000L};
  int fd = -1;
  for (int waited = 0; (fd = connect_once(&address, size)) < 0; waited += CONNECT_PAUSE_MS) {
    if (errno != ECONNREFUSED || waited > CONNECT_MS) {
      errno = 0;
      fail("no daemon of this mount runs tools (clawfs sandbox status)");
    }
    nanosleep(&pause, NULL);
  }
  struct ucred peer;
  socklen_t peer_size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0) fail("SO_PEERCRED");
  errno = 0;
  /* Anybody may take a name in the abstract namespace: our descriptors are for root, the file's owner or ourselves. */
  if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != self.st_uid) fail("another user pretends to be the daemon");
  return fd;
}

/* When the kernel runs a script that names this file behind #!, the script is what was executed. */
static int script_index(int argc, char **argv) {
  const char *executed = (const char *)getauxval(AT_EXECFN);
  struct stat self, file;
  if (executed == NULL || argc < 2) return 0;
  if (stat("/proc/self/exe", &self) < 0 || stat(executed, &file) < 0) return 0;
  if (self.st_dev == file.st_dev && self.st_ino == file.st_ino) return 0;
  for (int at = 1; at < argc && at <= 2; at++)
    if (strcmp(argv[at], executed) == 0) return at;
  return 0;
}

static void add(char **to, const char *text) {
  size_t size = strlen(text) + 1;
  memcpy(*to, text, size);
  *to += size;
}

static void send_all(int fd, const char *from, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, from, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return; /* the runner says why, or is gone: both are seen when its answer is read */
    from += sent;
    size -= (size_t)sent;
  }
}

/* With as much of the text as the socket takes; how much that was. */
static size_t send_first(int fd, const uint32_t *header, char *text, size_t size, const int *descriptors, int count) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)];
  } control;
  memset(&control, 0, sizeof control);
  size_t header_size = sizeof(uint32_t) * HEADER_WORDS;
  struct iovec parts[2] = {{.iov_base = (void *)header, .iov_len = header_size}, {.iov_base = text, .iov_len = size}};
  size_t bytes = sizeof(int) * (size_t)count;
  struct msghdr message = {
      .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(bytes)};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(bytes);
  memcpy(CMSG_DATA(rights), descriptors, bytes);
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent < (ssize_t)header_size) fail("the daemon does not listen");
  return (size_t)sent - header_size;
}

static void send_request(int fd, int argc, char **argv, char **envp) {
  static char directory[PATH_MAX];
  if (getcwd(directory, sizeof directory) == NULL) directory[0] = 0;
  int script = script_index(argc, argv), envc = 0;
  size_t size = strlen(tool) + strlen(directory) + 2;
  for (int at = 1; at < argc; at++) size += strlen(argv[at]) + 1;
  for (; envp[envc] != NULL; envc++) size += strlen(envp[envc]) + 1;
  char *text = malloc(size), *end = text;
  if (text == NULL) fail("memory");
  add(&end, tool);
  add(&end, directory);
  for (int at = 1; at < argc; at++) add(&end, argv[at]);
  for (int at = 0; at < envc; at++) add(&end, envp[at]);

  int descriptors[MOST_DESCRIPTORS] = {0, 1, 2, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -1};
  if (descriptors[3] < 0) fail("/proc/self/exe");
  if (script > 0 && (descriptors[4] = open(argv[script], O_RDONLY | O_CLOEXEC)) < 0) fail(argv[script]);
  uint32_t header[HEADER_WORDS] = {MAGIC, VERSION, (uint32_t)size, (uint32_t)(argc - 1), (uint32_t)envc, (uint32_t)script};
  size_t sent = send_first(fd, header, text, size, descriptors, script > 0 ? 5 : 4);
  send_all(fd, text + sent, size - sent);
  free(text);
}

/* Ctrl-Z stops the tool and the caller; a shell's fg continues both. */
static void pass_on(int fd, int signal) {
  char byte = (char)(signal == SIGTSTP ? SIGSTOP : signal);
  send_all(fd, &byte, 1);
  if (signal == SIGTSTP) raise(SIGSTOP);
}

static int finish(int fd) {
  uint32_t head[ANSWER_HEAD / sizeof(uint32_t)];
  char text[4096];
  if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head) {
    errno = 0;
    fail("the daemon has ended, and the tool with it");
  }
  size_t left = head[1];
  while (left > 0) {
    ssize_t got = recv(fd, text, left < sizeof text ? left : sizeof text, 0);
    if (got <= 0) break;
    if (write(2, text, (size_t)got) < 0) break;
    left -= (size_t)got;
  }
  return (int)head[0];
}

int main(int argc, char **argv, char **envp) {
  open_standard();
  confine();
  find_name();
  sigset_t signals;
  sigfillset(&signals);
  sigdelset(&signals, SIGCHLD);
  sigdelset(&signals, SIGTTIN);
  sigdelset(&signals, SIGTTOU);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int fd = connect_runner();
  send_request(fd, argc, argv, envp);
  int arrived = signalfd(-1, &signals, SFD_CLOEXEC);
  if (arrived < 0) fail("signalfd");
  for (;;) {
    struct pollfd wanted[2] = {{.fd = fd, .events = POLLIN}, {.fd = arrived, .events = POLLIN}};
    if (poll(wanted, 2, -1) < 0 && errno != EINTR) fail("poll");
    struct signalfd_siginfo info;
    if ((wanted[1].revents & POLLIN) != 0 && read(arrived, &info, sizeof info) == sizeof info) pass_on(fd, (int)info.ssi_signo);
    if (wanted[0].revents != 0) return finish(fd);
  }
}
