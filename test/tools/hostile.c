/*
 * What a hostile tool tries, one attack by name. Exit status 0: it was held, 1: it got through. What the attack met is printed.
 * Linked statically, so that it needs nothing of the sandbox.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv);
static const char *argument = "", *second = "";

/* A call that must fail. */
static int held(long rc) {
  if (rc >= 0) {
    printf("ESCAPED: it returned %ld\n", rc);
    return 1;
  }
  printf("held: %s\n", strerror(errno));
  return 0;
}

static int read_file(void) { return held(open(argument, O_RDONLY)); }
static int write_file(void) { return held(open(argument, O_WRONLY | O_CREAT, 0600)); }
static int list(void) {
  DIR *directory = opendir(argument);
  return directory == NULL ? held(-1) : held(0);
}
static int overwrite_self(void) {
  int self = open("/proc/self/exe", O_WRONLY), first = open("/proc/1/exe", O_WRONLY);
  return held(self >= 0 || first >= 0 ? 0 : -1);
}
static int by_handle(void) {
  struct { struct file_handle head; char bytes[16]; } handle = {.head = {.handle_bytes = 8, .handle_type = 1}};
  return held(syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
}
/* In a directory that it may write: links to what it may not see. */
static int link_out(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/link-%d", argument, getpid());
  if (symlink("/etc/shadow", path) != 0) return held(0);
  int rc = open(path, O_RDONLY);
  unlink(path);
  snprintf(path, sizeof path, "%s/../../vault", argument);
  return held(rc >= 0 || open(path, O_RDONLY) >= 0 ? 0 : -1);
}
static int become_root(void) { return held(setuid(0) == 0 || setgid(0) == 0 ? 0 : -1); }
/* Run as a setuid file of root's: it must have no effect. */
static int is_root(void) {
  printf("euid %d\n", geteuid());
  return geteuid() == 0;
}
static int run_setuid(void) {
  execl(argument, argument, "is-root", "", (char *)NULL);
  return held(-1);
}
static int device(void) { return held(mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0))); }
static int new_user(void) { return held(unshare(CLONE_NEWUSER)); }
static int new_user_by_clone(void) { return held(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static int new_user_by_clone3(void) {
  uint64_t arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  return held(syscall(SYS_clone3, arguments, sizeof arguments));
}
static int enter_namespace(void) { return held(setns(open("/proc/1/ns/mnt", O_RDONLY), 0)); }
static int mount_something(void) { return held(mount("none", "/tmp", "tmpfs", 0, "")); }
static int bind_over(void) { return held(mount("/proc/1/root", "/tmp", NULL, MS_BIND, NULL)); }
static int mount_new_way(void) { return held(syscall(SYS_fsopen, "tmpfs", 0)); }
static int unmount(void) { return held(umount2("/tmp", MNT_DETACH)); }
static int change_root(void) { return held(chroot("/tmp")); }
static int trace(void) { return held(ptrace(PTRACE_ATTACH, 1, NULL, NULL)); }
static int other_memory(void) {
  char byte;
  struct iovec mine = {&byte, 1}, its = {(void *)&argument, 1};
  return held(syscall(SYS_process_vm_readv, getppid(), &mine, 1, &its, 1, 0));
}
/* bubblewrap's, which has begun before rights were taken away. */
static int first_memory(void) { return held(open("/proc/1/mem", O_RDWR)); }
static int keyring(void) { return held(syscall(SYS_keyctl, 0, -3, 0)); }
static int key(void) { return held(syscall(SYS_add_key, "user", "x", "y", 1, -3)); }
static int ask_key(void) { return held(syscall(SYS_request_key, "user", "clawfs", NULL, -3)); }
static int uring(void) {
  char parameters[120] = {0};
  return held(syscall(SYS_io_uring_setup, 4, parameters));
}
static int bpf(void) { return held(syscall(SYS_bpf, 5, NULL, 0)); }
static int perf(void) { return held(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)); }
static int faults(void) { return held(syscall(SYS_userfaultfd, 1)); }
static int type_into_terminal(void) { return held(ioctl(0, TIOCSTI, "x")); }
static int type_with_high_bits(void) { return held(syscall(SYS_ioctl, 0, (1UL << 32) | TIOCSTI, "x")); }
static int paste(void) {
  char order = 3;
  return held(ioctl(0, TIOCLINUX, &order));
}
static int raw_socket(void) { return held(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int packet_socket(void) { return held(socket(AF_PACKET, SOCK_RAW, 0)); }
static int netlink_socket(void) { return held(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int vsock(void) { return held(socket(AF_VSOCK, SOCK_STREAM, 0)); }

static long reach4(const char *host, int type, int protocol, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  int fd = socket(AF_INET, type, protocol);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return -1;
  return send(fd, "x", 1, MSG_NOSIGNAL);
}
static int tcp(void) { return held(reach4("127.0.0.1", SOCK_STREAM, 0, atoi(argument))); }
static int mptcp(void) { return held(reach4("127.0.0.1", SOCK_STREAM, 262, atoi(argument))); }
static int internet(void) { return held(reach4("1.1.1.1", SOCK_STREAM, 0, 80)); }
static int dns(void) { return held(reach4("1.1.1.1", SOCK_DGRAM, 0, 53)); }
static int tcp6(void) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(argument)), .sin6_addr = in6addr_loopback};
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  return held(connect(fd, (struct sockaddr *)&to, sizeof to));
}
static int from_5432(void) {
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(5432)}, to = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, "1.1.1.1", &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) return held(-1);
  return held(connect(fd, (struct sockaddr *)&to, sizeof to));
}
/* What listens for a grant was there before. */
static int bind_port(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument))};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  return held(bind(fd, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : listen(fd, 1));
}

static int connect_abstract(void) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t length = strlen(argument);
  memcpy(to.sun_path + 1, argument, length);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  int rc = connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
  return rc < 0 ? rc : fd;
}
static int abstract_socket(void) { return held(connect_abstract()); }
/* Says what it likes, in hexadecimal, to the runner, and prints how much comes back before the end. */
static int talk(void) {
  int fd = connect_abstract();
  if (fd < 0) return held(fd);
  for (const char *at = second; at[0] != 0 && at[1] != 0; at += 2) {
    char digits[3] = {at[0], at[1], 0}, byte = (char)strtol(digits, NULL, 16);
    if (send(fd, &byte, 1, MSG_NOSIGNAL) < 0) break;
  }
  shutdown(fd, SHUT_WR);
  char answer[4096];
  ssize_t got, all = 0;
  while ((got = recv(fd, answer, sizeof answer, 0)) > 0) all += got;
  printf("%zd bytes\n", all);
  return 0;
}
/* A launcher of one's own, with this program in the place of the tool's file: prints the answer's status. */
static int forge(void) {
  int fd = connect_abstract();
  if (fd < 0) return held(fd);
  uint32_t header[8] = {0x54574c43, 1, (uint32_t)strlen(second) + 3, 0, 0, 0, 0, 0}, answer[2] = {0, 0};
  int descriptors[4] = {0, 1, 2, open("/proc/self/exe", O_RDONLY)};
  union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof descriptors)]; } control = {0};
  struct iovec part = {header, sizeof header};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof descriptors);
  memcpy(CMSG_DATA(rights), descriptors, sizeof descriptors);
  if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) return held(-1);
  /* The name, and an empty directory. */
  char text[256];
  int length = snprintf(text, sizeof text - 2, "%s", second);
  text[length + 1] = '/';
  text[length + 2] = 0;
  send(fd, text, (size_t)length + 3, MSG_NOSIGNAL);
  if (recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer) return held(-1);
  printf("status %u\n", answer[0]);
  return 0;
}
/* Another architecture's numbers: the filter knows those of this one only. */
static int other_architecture(void) {
#ifdef __x86_64__
  pid_t child = fork();
  if (child == 0) {
    long rc;
    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(20L) : "memory");
    _exit(rc > 0 ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("status %x\n", status);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
#else
  return 0;
#endif
}
/* Prints how many there were; the test knows how many there may be. */
static int fork_bomb(void) {
  int made = 0;
  for (; made < 5000; made++) {
    pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      pause();
      _exit(0);
    }
  }
  printf("%d %s\n", made, strerror(errno));
  return 0;
}
static int fork_once(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  return held(child);
}
static int memory_bomb(void) {
  for (size_t all = 0; all < (size_t)4 << 30; all += 1 << 20) {
    char *piece = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) return held(-1);
    memset(piece, 1, 1 << 20);
  }
  return held(0);
}
/* Prints the bytes that fitted. */
static int fill(void) {
  static char piece[1 << 16];
  char path[4096];
  snprintf(path, sizeof path, "%s/big", argument);
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  size_t all = 0;
  while (fd >= 0 && write(fd, piece, sizeof piece) == (ssize_t)sizeof piece) all += sizeof piece;
  printf("%zu %s\n", all, strerror(errno));
  return 0;
}
static int inode_bomb(void) {
  for (int at = 0; at < 3000000; at++) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/%d", at);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) return held(-1);
    close(fd);
  }
  return held(0);
}
static int __attribute__((noreturn)) spin(void) {
  for (volatile unsigned long at = 0;; at = at + 1);
}
static int flood(void) {
  static char piece[1 << 16];
  memset(piece, 'x', sizeof piece);
  for (int at = 0; at < 1024; at++)
    if (write(1, piece, sizeof piece) < 0) return 0;
  return 0;
}
static int __attribute__((noreturn)) ignore_signals(void) {
  for (int number = 1; number < 64; number++) signal(number, SIG_IGN);
  printf("ready\n");
  fflush(stdout);
  for (;;) sleep(1);
}
static int stay(void) {
  if (fork() != 0) return 0;
  setsid();
  if (fork() != 0) _exit(0);
  for (;;) sleep(1);
}
/* All that a process can do to be there when its time is over. */
static int __attribute__((noreturn)) outlive(void) {
  for (int number = 1; number < 64; number++) signal(number, SIG_IGN);
  if (fork() == 0) setsid();
  fork();
  prctl(PR_SET_NAME, "clawfs-keeper");
  for (;;) sleep(1);
}
/* Before main, in six processes: whoever watches had to be ready. */
static void __attribute__((constructor)) at_once(int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "at-once") != 0) return;
  for (int at = 0; at < 5; at++)
    if (fork() == 0) _exit(open("/etc/shadow", O_RDONLY) >= 0);
  int escaped = open("/etc/shadow", O_RDONLY) >= 0, status;
  while (wait(&status) > 0) escaped |= status != 0;
  _exit(escaped);
}
static int dump_core(void) { abort(); }
/* Descriptors besides the three, and the one that lists them. */
static int descriptors(void) {
  int more = 0;
  for (int fd = 3; fd < 4096; fd++)
    if (fcntl(fd, F_GETFD) >= 0) more++;
  printf("%d more\n", more);
  return more != 0;
}
static int identity(void) {
  printf("%d %d %d %d\n", getuid(), getgid(), getgroups(0, NULL), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  return 0;
}
static int kill_all(void) {
  kill(-1, SIGKILL);
  return 0;
}
static int __attribute__((noreturn)) wait_for_end(void) {
  printf("ready\n");
  fflush(stdout);
  for (;;) pause();
}
static volatile sig_atomic_t got;
static void note(int number) { got = number; }
static int wait_for_signal(void) {
  for (int number = 1; number < 32; number++) signal(number, note);
  printf("ready\n");
  fflush(stdout);
  while (got == 0) pause();
  printf("%d\n", (int)got);
  return 0;
}

static const struct { const char *name; int (*attack)(void); } attacks[] = {
    {"read", read_file}, {"write", write_file}, {"list", list}, {"overwrite-self", overwrite_self},
    {"by-handle", by_handle}, {"link-out", link_out}, {"become-root", become_root}, {"is-root", is_root},
    {"run-setuid", run_setuid}, {"device", device}, {"new-user", new_user}, {"new-user-by-clone", new_user_by_clone},
    {"new-user-by-clone3", new_user_by_clone3}, {"enter-namespace", enter_namespace}, {"mount", mount_something},
    {"bind-over", bind_over}, {"first-memory", first_memory}, {"outlive", outlive}, {"mount-new-way", mount_new_way}, {"unmount", unmount}, {"change-root", change_root}, {"trace", trace},
    {"other-memory", other_memory}, {"keyring", keyring}, {"key", key}, {"ask-key", ask_key}, {"uring", uring},
    {"bpf", bpf}, {"perf", perf}, {"faults", faults}, {"type-into-terminal", type_into_terminal},
    {"type-with-high-bits", type_with_high_bits}, {"paste", paste}, {"raw-socket", raw_socket},
    {"packet-socket", packet_socket}, {"netlink-socket", netlink_socket}, {"vsock", vsock}, {"tcp", tcp}, {"bind-port", bind_port},
    {"mptcp", mptcp}, {"internet", internet}, {"dns", dns}, {"tcp6", tcp6}, {"from-5432", from_5432},
    {"abstract-socket", abstract_socket}, {"talk", talk}, {"forge", forge}, {"other-architecture", other_architecture}, {"fork-bomb", fork_bomb},
    {"fork-once", fork_once}, {"memory-bomb", memory_bomb}, {"fill", fill}, {"inode-bomb", inode_bomb},
    {"spin", spin}, {"flood", flood}, {"ignore-signals", ignore_signals}, {"stay", stay}, {"dump-core", dump_core},
    {"descriptors", descriptors}, {"identity", identity}, {"kill-all", kill_all}, {"wait-for-end", wait_for_end},
    {"wait-for-signal", wait_for_signal},
};

int main(int argc, char **argv) {
  if (argc > 2) argument = argv[2];
  if (argc > 3) second = argv[3];
  for (size_t at = 0; argc > 1 && at < sizeof attacks / sizeof attacks[0]; at++)
    if (strcmp(attacks[at].name, argv[1]) == 0) return attacks[at].attack();
  fprintf(stderr, "no such attack\n");
  return 2;
}
