/*
 * What is measured beside, or under, the monitor: `client CPU CALLS open|getppid` prints "ready", waits for a line, makes so
 * many calls on that CPU, and prints the nanoseconds of one: of CPU time, which a busy machine does not change, and of time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(atoi(argv[1]), &set);
  sched_setaffinity(0, sizeof set, &set);
  long calls = atol(argv[2]);
  int opens = strcmp(argv[3], "open") == 0;
  char line[8];
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 1;
  double begin = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
  for (long made = 0; made < calls; made++) {
    if (opens) {
      int fd = open("/etc/hostname", O_RDONLY);
      if (fd < 0) return 1;
      close(fd);
    } else
      syscall(SYS_getppid);
  }
  used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
  printf("%.1f %.1f\n", used / (double)calls, (now(CLOCK_MONOTONIC) - begin) / (double)calls);
  return 0;
}
