/** open(2): descriptors without data (O_PATH), files without names (O_TMPFILE), and the modes of access. */
import { AT, O, S } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { TEAM } from "../crew.ts"

const pathOnly: readonly Case[] = [
  {
    name: "an O_PATH descriptor can be asked about, not read, written or changed",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.PATH))
      t.equal(t.ok(t.root.fstat(fd)).size, 7, "size")
      t.succeeds(t.root.fstatfs(fd))
      t.fails("EBADF", t.root.read(fd, 1))
      t.fails("EBADF", t.root.write(fd, "x"))
      t.fails("EBADF", t.root.ftruncate(fd, 0))
      t.fails("EBADF", t.root.fsync(fd))
      t.fails("EBADF", t.root.futimens(fd))
      t.fails("EBADF", t.root.lseek(fd, 0))
      t.fails("EBADF", t.root.fgetxattr(fd, "user.x"))
      t.fails("EBADF", t.root.fallocate(fd, 0, 0, 1))
      t.fails("EBADF", t.root.flock(fd, 1))
      t.fails("EBADF", t.root.mmap(fd, 4096, 1, 1))
    },
  },
  {
    name: "O_PATH needs no permission on the file itself",
    run: (t) => {
      t.file("x", { mode: 0 })
      t.dir("d", { mode: 0 })
      for (const path of ["x", "d"]) t.succeeds(t.stranger.open(path, O.PATH))
      const fd = t.ok(t.stranger.open("x", O.PATH))
      t.fails("EACCES", t.stranger.open(`/proc/self/fd/${fd}`))
    },
  },
  {
    name: "O_PATH|O_NOFOLLOW names a symbolic link itself",
    run: (t) => {
      t.ok(t.root.symlink("nowhere", "s"))
      const fd = t.ok(t.root.open("s", O.PATH | O.NOFOLLOW))
      t.equal(t.ok(t.root.fstat(fd)).type, S.IFLNK, "type")
      t.equal(t.ok(t.root.readlink("", fd)), "nowhere", "target")
    },
  },
  {
    name: "an O_PATH descriptor of each type says what it is, also after an unlink",
    run: (t) => {
      for (const type of fileTypes) {
        t.create(type, type)
        const fd = t.ok(t.root.open(type, O.PATH | O.NOFOLLOW))
        const { ino, mode } = t.lstat(type)
        t.ok(type === "dir" ? t.root.rmdir(type) : t.root.unlink(type))
        t.equal(t.ok(t.root.fstat(fd)).ino, ino, `inode number of the ${type}`)
        t.equal(t.ok(t.root.fstat(fd)).mode, mode, `mode of the ${type}`)
        t.equal(t.ok(t.root.fstat(fd)).nlink, 0, `links of the ${type}`)
      }
    },
  },
  {
    name: "an O_PATH descriptor can be opened for real through /proc",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.PATH))
      t.ok(t.root.rename("x", "y"))
      t.equal(t.ok(t.root.read(t.ok(t.root.open(`/proc/self/fd/${fd}`)), 9)), "content", "content")
    },
  },
]

const nameless: readonly Case[] = [
  {
    name: "O_TMPFILE makes a file without a name, with mode, umask and owner, that holds data",
    run: (t) => {
      t.ok(t.owner.umask(0o027))
      const fd = t.ok(t.owner.open(".", O.TMPFILE | O.RDWR, 0o666))
      const { mode, nlink, uid, gid, size } = t.ok(t.owner.fstat(fd))
      t.equal(mode, S.IFREG | 0o640, "mode")
      t.equal(`${nlink} ${uid}:${gid} ${size}`, `0 71001:${TEAM} 0`, "links, owner, size")
      t.ok(t.owner.write(fd, "content"))
      t.equal(t.ok(t.owner.pread(fd, 99, 0)), "content", "content")
      const entries = t.ok(t.root.getdents(t.ok(t.root.open("."))))
      t.equal(entries.length, 2, "entries of the directory")
    },
  },
  {
    name: "linkat gives an O_TMPFILE file its name, once or more, and the data stays",
    run: (t) => {
      const fd = t.ok(t.owner.open(".", O.TMPFILE | O.RDWR, 0o644))
      t.ok(t.owner.write(fd, "content"))
      t.succeeds(t.owner.link(`/proc/self/fd/${fd}`, "x", { flags: AT.SYMLINK_FOLLOW }))
      t.equal(t.lstat("x").nlink, 1, "links")
      t.succeeds(t.owner.link("x", "y"))
      t.equal(t.lstat("x").nlink, 2, "links")
      t.ok(t.owner.close(fd))
      t.equal(t.ok(t.owner.read(t.ok(t.owner.open("y")), 99)), "content", "content")
    },
  },
  {
    name: "linkat AT_EMPTY_PATH gives an O_TMPFILE file its name, EEXIST does not replace",
    run: (t) => {
      t.file("taken")
      const fd = t.ok(t.root.open(".", O.TMPFILE | O.WRONLY, 0o600))
      t.fails("EEXIST", t.root.link("", "taken", { fromAt: fd, flags: AT.EMPTY_PATH }))
      t.succeeds(t.root.link("", "x", { fromAt: fd, flags: AT.EMPTY_PATH }))
      t.equal(t.lstat("x").ino, t.ok(t.root.fstat(fd)).ino, "inode number")
    },
  },
  {
    name: "O_TMPFILE|O_EXCL never gets a name: ENOENT",
    run: (t) => {
      const fd = t.ok(t.root.open(".", O.TMPFILE | O.RDWR | O.EXCL, 0o600))
      t.fails("ENOENT", t.root.link(`/proc/self/fd/${fd}`, "x", { flags: AT.SYMLINK_FOLLOW }))
      t.fails("ENOENT", t.root.link("", "x", { fromAt: fd, flags: AT.EMPTY_PATH }))
    },
  },
  {
    name: "O_TMPFILE must be writable and in a directory one may write to; with O_CREAT it is EINVAL",
    run: (t) => {
      t.file("x")
      t.dir("d")
      t.fails("EINVAL", t.root.open(".", O.TMPFILE | O.RDONLY, 0o600))
      t.fails("EINVAL", t.root.open(".", O.TMPFILE | O.RDWR | O.CREAT, 0o600))
      t.fails("ENOTDIR", t.root.open("x", O.TMPFILE | O.RDWR, 0o600))
      t.fails("EACCES", t.stranger.open("d", O.TMPFILE | O.RDWR, 0o600))
      t.fails("ENOENT", t.root.open("missing", O.TMPFILE | O.RDWR, 0o600))
    },
  },
  {
    name: "an O_TMPFILE file in a set-group-id directory gets that group",
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      const fd = t.ok(t.stranger.open("d", O.TMPFILE | O.RDWR, 0o600))
      t.equal(t.ok(t.stranger.fstat(fd)).gid, TEAM, "group")
    },
  },
]

const access: readonly Case[] = [
  {
    name: "a descriptor open for reading cannot write, one for writing cannot read: EBADF",
    run: (t) => {
      t.file("x", { content: "content" })
      const [r, w] = [t.ok(t.root.open("x", O.RDONLY)), t.ok(t.root.open("x", O.WRONLY))]
      t.fails("EBADF", t.root.write(r, "x"))
      t.fails("EBADF", t.root.pwrite(r, "x", 0))
      t.fails("EINVAL", t.root.ftruncate(r, 0))
      t.fails("EBADF", t.root.fallocate(r, 0, 0, 10))
      t.fails("EBADF", t.root.read(w, 1))
      t.fails("EBADF", t.root.pread(w, 1, 0))
      t.equal(t.lstat("x").size, 7, "size")
    },
  },
  {
    name: "a directory can be opened for reading only, and not read as a file",
    run: (t) => {
      t.dir("d")
      for (const flags of [O.WRONLY, O.RDWR, O.WRONLY | O.APPEND, O.RDONLY | O.TRUNC, O.RDONLY | O.CREAT])
        t.fails("EISDIR", t.root.open("d", flags))
      const fd = t.ok(t.root.open("d"))
      t.fails("EISDIR", t.root.read(fd, 1))
      t.fails("EBADF", t.root.write(fd, "x"))
      t.fails("EINVAL", t.root.ftruncate(fd, 0))
    },
  },
  {
    name: "O_NOATIME is for the owner and root: EPERM for everyone else",
    run: (t) => {
      t.file("x", { mode: 0o666, owned: "owner" })
      t.succeeds(t.owner.open("x", O.RDONLY | O.NOATIME))
      t.succeeds(t.root.open("x", O.RDONLY | O.NOATIME))
      for (const role of ["mate", "member", "stranger"] as const)
        t.fails("EPERM", t.as(role).open("x", O.RDONLY | O.NOATIME))
    },
  },
  {
    name: "O_SYNC writes what can be read back at once",
    run: (t) => {
      t.file("x")
      t.ok(t.root.pfill(t.ok(t.root.open("x", O.WRONLY | O.SYNC)), 0x61, 10_000, 0))
      t.equal(t.ok(t.root.pread(t.ok(t.root.open("x")), 3, 9997)), "aaa", "content")
    },
  },
  {
    name: "two opens have an offset each, a dup shares it",
    run: (t) => {
      t.file("x", { content: "0123456789" })
      const [a, b] = [t.ok(t.root.open("x")), t.ok(t.root.open("x"))]
      const c = t.ok(t.root.dup(a))
      t.equal(t.ok(t.root.read(a, 3)), "012", "first read")
      t.equal(t.ok(t.root.read(b, 3)), "012", "read by another open")
      t.equal(t.ok(t.root.read(c, 3)), "345", "read by a dup")
    },
  },
]

export const cases: readonly Case[] = [...pathOnly, ...nameless, ...access]
