import { AT, O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const linkable = fileTypes.filter((type) => type !== "dir")

const counting: readonly Case[] = linkable.flatMap((type) => [
  {
    name: `each link to a ${type} is the same object, and the count of links follows`,
    run: (t) => {
      t.create(type, "1")
      const { ino } = t.lstat("1")
      for (let count = 2; count <= 6; count++) {
        t.ok(t.root.link("1", String(count)))
        for (let i = 1; i <= count; i++) {
          t.equal(t.lstat(String(i)).nlink, count, `links of ${i}`)
          t.equal(t.lstat(String(i)).ino, ino, `inode number of ${i}`)
        }
      }
      for (let left = 5; left >= 1; left--) {
        t.ok(t.root.unlink(String(left + 1)))
        t.equal(t.lstat("1").nlink, left, "links after an unlink")
      }
    },
  },
  {
    name: `a change of a ${type} through one link shows through the other`,
    run: (t) => {
      t.create(type, "a")
      t.dir("d")
      t.ok(t.root.link("a", "d/b"))
      t.ok(t.root.lchown("a", 7, 8))
      if (type !== "symlink") t.ok(t.root.chmod("d/b", 0o606))
      const [a, b] = [t.lstat("a"), t.lstat("d/b")]
      for (const field of ["mode", "uid", "gid", "rdev", "size", "atime", "mtime", "ctime"] as const)
        t.equal(a[field], b[field], field)
    },
  },
])

const special: readonly Case[] = [
  {
    name: "what is written through one link is read through the other, also after the first is gone",
    run: (t) => {
      t.file("a", { content: "one" })
      t.ok(t.root.link("a", "b"))
      t.ok(t.root.pwrite(t.ok(t.root.open("b", O.WRONLY)), "two", 0))
      const fd = t.ok(t.root.open("a"))
      t.equal(t.ok(t.root.pread(fd, 10, 0)), "two", "content through the first")
      t.ok(t.root.unlink("a"))
      t.equal(t.ok(t.root.pread(t.ok(t.root.open("b")), 10, 0)), "two", "content through the second")
    },
  },
  {
    name: "a directory cannot be linked: EPERM, also for root, and its count stays",
    run: (t) => {
      t.dir("d", { owned: "owner" })
      t.fails("EPERM", t.root.link("d", "e"))
      t.fails("EPERM", t.owner.link("d", "e"))
      t.fails("EEXIST", t.root.link("d", "d"))
      t.fails("ENOENT", t.root.lstat("e"))
    },
  },
  {
    name: "a symbolic link itself is linked, with AT_SYMLINK_FOLLOW its target",
    run: (t) => {
      t.file("x")
      t.ok(t.root.symlink("x", "s"))
      t.ok(t.root.link("s", "as-link"))
      t.ok(t.root.link("s", "as-target", { flags: AT.SYMLINK_FOLLOW }))
      t.equal(t.lstat("as-link").ino, t.lstat("s").ino, "inode number")
      t.equal(t.lstat("as-target").ino, t.lstat("x").ino, "inode number")
      t.equal(t.lstat("x").nlink, 2, "links of the target")
      t.equal(t.lstat("s").nlink, 2, "links of the link")
    },
  },
  {
    name: "a failed link leaves the count as it was",
    run: (t) => {
      t.file("x")
      t.file("y")
      t.fails("EEXIST", t.root.link("x", "y"))
      t.fails("EEXIST", t.root.link("x", "x"))
      t.fails("ENOENT", t.root.link("x", "missing/y"))
      t.equal(t.lstat("x").nlink, 1, "links of the source")
      t.equal(t.lstat("y").nlink, 1, "links of the other file")
    },
  },
  {
    name: "EXDEV to another filesystem",
    group: "mounts",
    run: (t) => {
      t.file("x")
      t.mountOther("other")
      t.fails("EXDEV", t.root.link("x", "other/x"))
      t.ok(t.root.mknod("other/y", 0o644))
      t.fails("EXDEV", t.root.link("other/y", "y"))
    },
  },
  {
    name: "unknown flags are EINVAL",
    run: (t) => {
      t.file("x")
      t.fails("EINVAL", t.root.link("x", "y", { flags: 0x4000 }))
    },
  },
  {
    name: "AT_EMPTY_PATH links what a descriptor names, a file without a name is ENOENT",
    run: (t) => {
      t.file("x")
      const fd = t.ok(t.root.open("x"))
      t.succeeds(t.root.link("", "y", { fromAt: fd, flags: AT.EMPTY_PATH }))
      t.equal(t.lstat("y").ino, t.lstat("x").ino, "inode number")
      t.ok(t.root.unlink("x"))
      t.ok(t.root.unlink("y"))
      t.fails("ENOENT", t.root.link("", "z", { fromAt: fd, flags: AT.EMPTY_PATH }))
      t.fails("ENOENT", t.root.link(`/proc/self/fd/${fd}`, "z", { flags: AT.SYMLINK_FOLLOW }))
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("link")), ...counting, ...special]
