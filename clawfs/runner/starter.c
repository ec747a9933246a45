/*
 * starter WORD... [-- PROGRAM ARGUMENT...]: the first program of every sandbox, which becomes the tool's. It runs where that will
 * run, as the same user and under the same filter of system calls, after bubblewrap has done its last step, and does what can
 * be done from there alone: it takes rights away by Landlock, which would have kept bubblewrap from mounting, and takes
 * secrets from their pipes into the environment, so that they stand in no file and on no command line.
 *
 * Words: lABI        Landlock of this version (landlock.ts); before all rules
 *        rPATH       read and execute what is there and below
 *        wPATH       write to it, make and remove, too
 *        fPATH       read and write the files that are there
 *        dPATH       list directories
 *        tPORT       connect to this TCP port
 *        hFD         who calls, and what to run, come through the socket FD: a packet with the number of variables (32 bits),
 *                    the three standard descriptors, and a file of words with a NUL behind each: the AppArmor profile that
 *                    the program enters, or nothing; the working directory; the variables; the program and its arguments.
 *                    The sandbox may have been made before anybody called: an empty byte says that all before is done.
 *        eFD=NAME    the variable NAME has what the pipe FD gives
 *        pFD=NAME    the variable NAME has a path where the pipe can be opened
 *
 * bwrap.ts writes them. Its own exit statuses are those of a shell: 126 for what can't be executed or set up, 127 for what is not there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REFUSED = 126, MISSING = 127, MOST_VALUE = 64 * 1024, STANDARD = 3, FIRST_OTHER = 3 };
/* What comes through the socket: standard descriptors, words. */
enum { WORDS = STANDARD, GIVEN };
/* Linux 5.13, for every architecture; close_range(2) */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, CLOSE_RANGE = 436 };
enum { BELOW_PATH = 1, NET_PORT = 2 };

/* landlock(7): linux/landlock.h of distributions lacks the newer ones. */
enum {
  EXECUTE = 1 << 0,
  WRITE_FILE = 1 << 1,
  READ_FILE = 1 << 2,
  READ_DIRECTORY = 1 << 3,
  MAKE_CHARACTER_DEVICE = 1 << 6,
  MAKE_BLOCK_DEVICE = 1 << 11,
  TRUNCATE = 1 << 14,
  DEVICE_IOCTL = 1 << 15,
  CONNECT_TCP = 1 << 1,
  SCOPE_ABSTRACT_SOCKETS = 1 << 0,
  SCOPE_SIGNALS = 1 << 1,
};
struct ruleset {
  uint64_t files, network, scoped;
};
struct __attribute__((packed)) path_rule {
  uint64_t allowed;
  int32_t parent;
};
struct port_rule {
  uint64_t allowed, port;
};

static const uint64_t READ = EXECUTE | READ_FILE | READ_DIRECTORY;
static const uint64_t OF_FILES = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | DEVICE_IOCTL;
/* What rights there are, by version: number N has the lowest N bits. */
static const int RIGHTS_OF[] = {0, 13, 14, 15, 15, 16};

static int abi, ruleset = -1;
static uint64_t handled;
static const char *program = "tool";
/* The tool's own command. */
static char **command;

static void fail(int status, const char *what) {
  fprintf(stderr, "clawfs: %s: %s: %s\n", program, what, strerror(errno));
  exit(status);
}

static void begin_rules(int version) {
  struct ruleset wanted = {0};
  int newest = sizeof RIGHTS_OF / sizeof *RIGHTS_OF - 1;
  abi = version;
  handled = ((uint64_t)1 << RIGHTS_OF[abi < newest ? abi : newest]) - 1;
  wanted.files = handled;
  if (abi >= 4) wanted.network = CONNECT_TCP;
  if (abi >= 6) wanted.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
  size_t size = abi >= 6 ? sizeof wanted : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
  ruleset = (int)syscall(CREATE_RULESET, &wanted, size, 0);
  if (ruleset < 0) fail(REFUSED, "Landlock");
}

/* What is not on this machine needs no right. */
static void allow_path(const char *path, uint64_t rights) {
  int parent = open(path, O_PATH | O_CLOEXEC);
  if (parent < 0 && errno == ENOENT) return;
  if (parent < 0) fail(REFUSED, path);
  struct path_rule rule = {.allowed = rights & handled, .parent = parent};
  long rc = syscall(ADD_RULE, ruleset, BELOW_PATH, &rule, 0);
  /* Rights of directories are refused for a file. */
  rule.allowed &= OF_FILES;
  if (rc < 0 && errno == EINVAL) rc = syscall(ADD_RULE, ruleset, BELOW_PATH, &rule, 0);
  if (rc < 0) fail(REFUSED, path);
  close(parent);
}

static void allow_port(const char *port) {
  if (abi < 4) return;
  struct port_rule rule = {.allowed = CONNECT_TCP, .port = strtoull(port, NULL, 10)};
  if (syscall(ADD_RULE, ruleset, NET_PORT, &rule, 0) < 0) fail(REFUSED, "Landlock");
}

/* The caller's files, by whose descriptors a program may open them once more (/dev/stdout). Pipes and sockets need no rule. */
static void allow_standard(void) {
  for (int fd = 0; fd < STANDARD; fd++) {
    struct path_rule rule = {.allowed = OF_FILES & handled, .parent = fd};
    if (syscall(ADD_RULE, ruleset, BELOW_PATH, &rule, 0) < 0 && errno != EBADFD && errno != EINVAL) fail(REFUSED, "Landlock");
  }
}

/* bubblewrap has given up ever to gain privileges, which Landlock wants. */
static void end_rules(void) {
  if (ruleset < 0) return;
  allow_standard();
  if (syscall(RESTRICT_SELF, ruleset, 0) < 0) fail(REFUSED, "Landlock");
  close(ruleset);
}

static uint32_t receive(int fd, int *given) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * GIVEN)];
  } control;
  uint32_t number;
  struct iovec part = {.iov_base = &number, .iov_len = sizeof number};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (got != sizeof number || rights == NULL || rights->cmsg_len != CMSG_LEN(sizeof(int) * GIVEN)) fail(REFUSED, "no call");
  memcpy(given, CMSG_DATA(rights), sizeof(int) * GIVEN);
  return number;
}

static char **words_in(int fd) {
  struct stat about;
  size_t words = 0, word = 0;
  if (fstat(fd, &about) < 0) fail(REFUSED, "words");
  size_t size = (size_t)about.st_size;
  char *text = malloc(size + 1);
  if (text == NULL || pread(fd, text, size, 0) != (ssize_t)size) fail(REFUSED, "words");
  for (size_t at = 0; at < size; at++) words += text[at] == 0;
  char **list = calloc(words + 1, sizeof *list);
  if (list == NULL) fail(REFUSED, "words");
  for (size_t at = 0; word < words; at += strlen(text + at) + 1) list[word++] = text + at;
  return list;
}

static void name_program(void) {
  const char *slash = strrchr(command[0], '/');
  program = slash == NULL ? command[0] : slash + 1;
}

/* The kernel changes to it when the next program begins (aa_change_onexec(3)). */
static void enter_profile(const char *profile) {
  static const char *const places[] = {"/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"};
  char text[256];
  int fd = -1, size = snprintf(text, sizeof text, "exec %s", profile);
  for (int at = 0; fd < 0 && at < 2; at++) fd = open(places[at], O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, (size_t)size) != size) fail(REFUSED, profile);
  close(fd);
}

static void take_call(int fd) {
  int given[GIVEN];
  prctl(PR_SET_NAME, "clawfs-waiting");
  /* Nobody listens any more where the call is there already. */
  send(fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  uint32_t variables = receive(fd, given);
  for (int at = 0; at < STANDARD; at++)
    if (dup2(given[at], at) < 0) fail(REFUSED, "descriptors");
  char **word = words_in(given[WORDS]), *profile = word[0], *directory = profile == NULL ? NULL : word[1];
  errno = EINVAL;
  if (directory == NULL) fail(REFUSED, "no call");
  word += 2;
  clearenv();
  for (; variables > 0 && *word != NULL; variables--)
    if (putenv(*word++) != 0) fail(REFUSED, "environment");
  command = word;
  errno = EINVAL;
  if (*command == NULL) fail(REFUSED, "no program");
  name_program();
  if (*profile != 0) enter_profile(profile);
  if (chdir(directory) < 0) fail(REFUSED, directory);
}

/* "FD=NAME": the number, and where the name begins. */
static int number_of(const char *word, const char **name) {
  char *end;
  long fd = strtol(word, &end, 10);
  *name = end + 1;
  return (int)fd;
}

static void set_value(const char *word) {
  static char value[MOST_VALUE + 1];
  const char *name;
  int fd = number_of(word, &name);
  size_t have = 0;
  for (ssize_t got; have < MOST_VALUE; have += (size_t)got) {
    got = read(fd, value + have, MOST_VALUE - have);
    if (got < 0) fail(REFUSED, name);
    if (got == 0) break;
  }
  close(fd);
  value[have] = 0;
  errno = EINVAL;
  if (memchr(value, 0, have) != NULL) fail(REFUSED, name);
  if (setenv(name, value, 1) < 0) fail(REFUSED, name);
  explicit_bzero(value, sizeof value);
}

static void set_path(const char *word) {
  const char *name;
  char path[32];
  snprintf(path, sizeof path, "/dev/fd/%d", number_of(word, &name));
  if (setenv(name, path, 1) < 0) fail(REFUSED, name);
}

static void follow(const char *word) {
  const char *rest = word + 1;
  switch (word[0]) {
    case 'h': take_call(atoi(rest)); break;
    case 'l': begin_rules(atoi(rest)); break;
    case 'r': allow_path(rest, READ); break;
    case 'w': allow_path(rest, ~(uint64_t)(MAKE_CHARACTER_DEVICE | MAKE_BLOCK_DEVICE)); break;
    case 'f': allow_path(rest, OF_FILES | READ_DIRECTORY); break;
    case 'd': allow_path(rest, READ_DIRECTORY); break;
    case 't': allow_port(rest); break;
    case 'e': set_value(rest); break;
    case 'p': set_path(rest); break;
    default: errno = EINVAL; fail(REFUSED, word);
  }
}

/* Every number above the standard ones that is no secret's: the first is this program's own file. */
static void close_others(char **words) {
  for (int fd = FIRST_OTHER;;) {
    int next = -1;
    for (char **word = words; *word != NULL && strcmp(*word, "--") != 0; word++) {
      const char *name;
      int kept = (*word)[0] == 'p' ? number_of(*word + 1, &name) : -1;
      if (kept >= fd && (next < 0 || kept < next)) next = kept;
    }
    if (next != fd) syscall(CLOSE_RANGE, fd, next < 0 ? ~0U : (unsigned)next - 1, 0);
    if (next < 0) return;
    fd = next + 1;
  }
}

int main(int argc, char **argv) {
  char **word = argv + 1;
  while (word < argv + argc && strcmp(*word, "--") != 0) word++;
  if (word + 1 < argv + argc) {
    command = word + 1;
    name_program();
  }
  for (char **each = argv + 1; each < word; each++) follow(*each);
  errno = EINVAL;
  if (command == NULL) fail(REFUSED, "no program");
  end_rules();
  close_others(argv + 1);
  execv(command[0], command);
  fail(errno == ENOENT ? MISSING : REFUSED, command[0]);
}
