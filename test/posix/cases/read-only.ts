/** A read-only mount, beyond the EROFS of every path (path-cases.ts): descriptors, precedence, and what still works. */
import { O, R_OK, W_OK } from "../abi.ts"
import type { Case } from "../check.ts"

export const cases: readonly Case[] = (
  [
    {
      name: "nothing is changed through a descriptor: EROFS",
      run: (t) => {
        t.file("x", { content: "content" })
        t.dir("d")
        t.becomeReadOnly()
        for (const path of ["x", "d"]) {
          const fd = t.ok(t.root.open(path))
          t.fails("EROFS", t.root.fchmod(fd, 0o600))
          t.fails("EROFS", t.root.fchown(fd, 1, 1))
          t.fails("EROFS", t.root.futimens(fd))
          t.fails("EROFS", t.root.fsetxattr(fd, "user.posix", "v"))
          t.fails("EROFS", t.root.fremovexattr(fd, "user.posix"))
        }
      },
    },
    {
      name: "what exists is EEXIST and what is missing ENOENT before it is EROFS",
      run: (t) => {
        t.file("x")
        t.dir("d")
        t.becomeReadOnly()
        for (const path of ["x", "d"]) {
          t.fails("EEXIST", t.root.mkdir(path))
          t.fails("EEXIST", t.root.symlink("y", path))
          t.fails("EEXIST", t.root.mknod(path, 0o600))
        }
        t.fails("ENOENT", t.root.truncate("missing", 0))
        t.fails("ENOENT", t.root.chmod("missing", 0o600))
        t.succeeds(t.root.open("x", O.CREAT | O.RDONLY, 0o600))
      },
    },
    {
      name: "reading, listing, searching and locking work",
      run: (t) => {
        t.file("x", { content: "content" })
        t.ok(t.root.symlink("x", "s"))
        t.becomeReadOnly()
        const fd = t.ok(t.root.open("s"))
        t.equal(t.ok(t.root.read(fd, 99)), "content", "content")
        t.equal(t.ok(t.root.readlink("s")), "x", "target")
        t.equal(t.ok(t.root.getdents(t.ok(t.root.open(".")))).length, 4, "entries")
        t.succeeds(t.root.flock(fd, 2))
        t.succeeds(t.root.fsync(fd))
        t.succeeds(t.root.access("x", R_OK))
        t.fails("EROFS", t.root.access("x", W_OK))
      },
    },
    {
      name: "a fifo is not the filesystem's content: it opens for writing",
      run: (t) => {
        t.create("fifo", "fifo")
        t.becomeReadOnly()
        const fd = t.ok(t.root.open("fifo", O.RDWR | O.NONBLOCK))
        t.succeeds(t.root.write(fd, "through"))
        t.equal(t.ok(t.root.read(fd, 99)), "through", "bytes")
      },
    },
  ] satisfies Case[]
).map((item): Case => ({ ...item, group: "mounts" }))
