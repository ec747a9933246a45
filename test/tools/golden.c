/* Does one thing of each kind that the monitor tells, in a fixed order; its argument is a directory that it may write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int made(int fd) {
  if (fd >= 0) close(fd);
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (strcmp(argv[1], "child") == 0) return 7;
  if (chdir(argv[1]) != 0) return 3;
  made(open("/usr/bin/true", O_RDONLY));
  made(open("golden.txt", O_WRONLY | O_CREAT | O_EXCL, 0600));
  made(open("golden.txt", O_RDWR));
  rename("golden.txt", "golden-2.txt");
  unlink("golden-2.txt");
  mkdir("golden.d", 0700);
  rmdir("golden.d");
  made(open("/no/such/golden", O_RDONLY));
  made(open("/usr/golden", O_WRONLY | O_CREAT, 0600));
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
  int tcp = socket(AF_INET, SOCK_STREAM, 0);
  connect(tcp, (struct sockaddr *)&to, sizeof to);
  struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(4711), .sin6_addr = in6addr_any};
  int bound = socket(AF_INET6, SOCK_STREAM, 0);
  bind(bound, (struct sockaddr *)&own, sizeof own);
  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  to.sin_port = htons(53);
  sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0golden"};
  int local = socket(AF_UNIX, SOCK_STREAM, 0);
  connect(local, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 7);
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  mount("golden", "/tmp", "tmpfs", 0, "");
  setuid(0);
  pid_t child = fork();
  if (child == 0) {
    char *words[] = {argv[0], "child", NULL};
    execv("/proc/self/exe", words);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (fork() == 0) raise(SIGKILL);
  wait(NULL);
  return WEXITSTATUS(status);
}
