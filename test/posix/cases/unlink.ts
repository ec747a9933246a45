import { AT, O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const semantics: readonly Case[] = [
  ...fileTypes
    .filter((type) => type !== "dir")
    .map((type): Case => ({
      name: `a ${type} is gone, and its name free for anything`,
      run: (t) => {
        t.create(type, "x")
        t.succeeds(t.root.unlink("x"))
        t.fails("ENOENT", t.root.lstat("x"))
        t.fails("ENOENT", t.root.unlink("x"))
        for (const next of fileTypes) {
          t.create(next, "x")
          t.ok(next === "dir" ? t.root.rmdir("x") : t.root.unlink("x"))
        }
        t.equal(t.ok(t.root.getdents(t.ok(t.root.open(".")))).length, 2, "entries left")
      },
    })),
  {
    name: "a directory is EISDIR, with or without content, for root and its owner",
    run: (t) => {
      t.dir("d", { owned: "owner" })
      for (const path of ["d", "d/"]) {
        t.fails("EISDIR", t.root.unlink(path))
        t.fails("EISDIR", t.owner.unlink(path))
      }
      t.file("d/x")
      t.fails("EISDIR", t.root.unlink("d"))
      t.succeeds(t.root.lstat("d/x"))
    },
  },
  {
    name: ". and .. are EISDIR, a slash behind a symbolic link to a directory ENOTDIR",
    run: (t) => {
      t.dir("d")
      for (const path of [".", "..", "d/.", "d/..", "/"]) t.fails("EISDIR", t.root.unlink(path))
      t.ok(t.root.symlink("d", "s"))
      t.fails("ENOTDIR", t.root.unlink("s/"))
    },
  },
  {
    name: "unlinkat refuses unknown flags",
    run: (t) => {
      t.file("x")
      t.fails("EINVAL", t.root.call("unlinkat", [AT.FDCWD, "x", 0x4000]))
    },
  },
  {
    name: "the permissions of the file itself do not matter",
    run: (t) => {
      t.file("x", { mode: 0 })
      t.succeeds(t.stranger.unlink("x"))
    },
  },
]

const stillOpen: readonly Case[] = [
  {
    name: "an unlinked file is read, written, truncated and changed through its descriptors as before",
    run: (t) => {
      t.file("x", { content: "content", owned: "owner" })
      const fd = t.ok(t.owner.open("x", O.RDWR))
      const second = t.ok(t.owner.open("x"))
      t.ok(t.owner.unlink("x"))
      t.equal(t.ok(t.owner.fstat(fd)).nlink, 0, "links")
      t.equal(t.ok(t.owner.pread(fd, 9, 0)), "content", "content")
      t.ok(t.owner.pwrite(fd, "changed!", 0))
      t.equal(t.ok(t.owner.pread(second, 9, 0)), "changed!", "content by another descriptor")
      t.ok(t.owner.ftruncate(fd, 3))
      t.equal(t.ok(t.owner.fstat(second)).size, 3, "size")
      t.succeeds(t.owner.fchmod(fd, 0o600))
      t.succeeds(t.owner.futimens(fd, [1n, 2n]))
      t.equal(t.ok(t.owner.fstat(fd)).mtime, 2n, "mtime")
      t.succeeds(t.owner.fsetxattr(fd, "user.x", "value"))
      t.equal(t.ok(t.owner.fgetxattr(fd, "user.x")), "value", "xattr")
      t.succeeds(t.owner.fsync(fd))
      t.succeeds(t.owner.open(`/proc/self/fd/${fd}`))
    },
  },
  {
    name: "a large unlinked file keeps its content until it is closed",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      for (let i = 0; i < 8; i++) t.ok(t.root.pfill(fd, 0x61 + i, 1 << 17, i << 17))
      t.ok(t.root.unlink("x"))
      t.file("y", { content: "something else" })
      for (let i = 0; i < 8; i++)
        t.equal(
          t.ok(t.root.pread(fd, 3, (i << 17) + 4095)),
          String.fromCharCode(0x61 + i).repeat(3),
          "content",
        )
    },
  },
  {
    name: "the inode number of an unlinked file is not used again while it is open",
    run: (t) => {
      t.file("x")
      const fd = t.ok(t.root.open("x"))
      const { ino } = t.ok(t.root.fstat(fd))
      t.ok(t.root.unlink("x"))
      for (let i = 0; i < 50; i++) {
        t.file(`n${i}`)
        t.that(t.lstat(`n${i}`).ino !== ino, "the inode number was reused")
      }
    },
  },
  {
    name: "a file recreated under the same name is a new file",
    run: (t) => {
      t.file("x", { content: "old" })
      const fd = t.ok(t.root.open("x"))
      t.ok(t.root.unlink("x"))
      t.file("x", { content: "brand new" })
      t.equal(t.ok(t.root.pread(fd, 99, 0)), "old", "content by the old descriptor")
      t.equal(t.ok(t.root.read(t.ok(t.root.open("x")), 99)), "brand new", "content by name")
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("unlink")), ...semantics, ...stillOpen]
