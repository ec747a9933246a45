/*
 * stage FD,FD,... PROGRAM ARGUMENTS: as root, puts what the descriptors stand for where user 65534 can name it, becomes that
 * user, and executes bubblewrap, which takes paths alone and resolves them with its own rights: a directory below one that is
 * closed to others it could not bind. The places are /tmp/0, /tmp/1 and so on in a mount namespace of their own; they are
 * moved there by descriptor, so no name is looked up again.
 *
 * Exit status 125, with a line on stderr, when something fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FAILED = 125, NOBODY = 65534 };

static void check(long rc, const char *what) {
  if (rc >= 0) return;
  fprintf(stderr, "clawfs: the sandbox can't be prepared: %s: %s\n", what, strerror(errno));
  exit(FAILED);
}

/* open_tree(2), move_mount(2): Linux 5.2, glibc 2.36 */
enum { OPEN_TREE = 428, MOVE_MOUNT = 429, TREE_CLONE = 1, EMPTY_PATH = 0x1000, FROM_EMPTY_PATH = 4, MOST = 80 };

/* A mount of what `fd` stands for that belongs to no namespace yet: one of another namespace could not be bound. */
static int tree_of(int fd) {
  long tree = syscall(OPEN_TREE, fd, "", TREE_CLONE | EMPTY_PATH | O_CLOEXEC);
  check(tree, "open_tree");
  return (int)tree;
}

static void place(int tree, int number) {
  char to[64];
  struct stat about;
  snprintf(to, sizeof to, "/tmp/%d", number);
  check(fstat(tree, &about), "fstat");
  if (S_ISDIR(about.st_mode)) check(mkdir(to, 0755), to);
  else check(close(open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)), to);
  check(syscall(MOVE_MOUNT, tree, "", AT_FDCWD, to, FROM_EMPTY_PATH), "move_mount");
  close(tree);
}

/* This namespace must not keep a mount alive that is taken away outside: its daemon would wait for us. */
static void forget_mounts(void) {
  FILE *mounts = setmntent("/proc/self/mounts", "re");
  if (mounts == NULL) check(-1, "/proc/self/mounts");
  for (struct mntent *each; (each = getmntent(mounts)) != NULL;)
    if (strcmp(each->mnt_type, "fuse.clawfs") == 0) umount2(each->mnt_dir, MNT_DETACH);
  endmntent(mounts);
}

int main(int argc, char **argv) {
  if (argc < 3) return FAILED;
  int trees[MOST], count = 0;
  for (char *word = strtok(argv[1], ","); word != NULL && count < MOST; word = strtok(NULL, ",")) {
    trees[count++] = tree_of(atoi(word));
    close(atoi(word));
  }
  check(unshare(CLONE_NEWNS), "unshare");
  /* Nothing of this gets out, and what is unmounted outside is unmounted here. */
  check(mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL), "propagation");
  forget_mounts();
  check(mount("clawfs-stage", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=256k"), "/tmp");
  for (int at = 0; at < count; at++) place(trees[at], at);
  check(setgroups(0, NULL), "setgroups");
  check(setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
  check(setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
  execv(argv[2], argv + 2);
  check(-1, argv[2]);
}
