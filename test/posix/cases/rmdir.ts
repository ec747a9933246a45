import { O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const semantics: readonly Case[] = [
  ...fileTypes.map((type): Case => ({
    name: `ENOTEMPTY while there is a ${type} in it, and gone when that is gone`,
    run: (t) => {
      t.dir("d")
      t.create(type, "d/x")
      t.fails("ENOTEMPTY", t.root.rmdir("d"))
      t.succeeds(t.root.lstat("d/x"))
      t.ok(type === "dir" ? t.root.rmdir("d/x") : t.root.unlink("d/x"))
      t.succeeds(t.root.rmdir("d"))
      t.fails("ENOENT", t.root.lstat("d"))
    },
  })),
  ...fileTypes
    .filter((type) => type !== "dir")
    .map((type): Case => ({
      name: `ENOTDIR for a ${type}`,
      run: (t) => {
        t.create(type, "x")
        t.fails("ENOTDIR", t.root.rmdir("x"))
        t.succeeds(t.root.lstat("x"))
      },
    })),
  {
    name: "ENOTDIR for a symbolic link to a directory, with a slash behind it or not",
    run: (t) => {
      t.dir("d")
      t.ok(t.root.symlink("d", "s"))
      for (const path of ["s", "s/"]) t.fails("ENOTDIR", t.root.rmdir(path))
      t.succeeds(t.root.lstat("d"))
    },
  },
  {
    name: "EINVAL for . and ENOTEMPTY for .. as last component",
    run: (t) => {
      t.dir("d")
      t.dir("d/e")
      for (const path of [".", "d/.", "d/e/.", "d/e/./"]) t.fails("EINVAL", t.root.rmdir(path))
      for (const path of ["..", "d/..", "d/e/.."]) t.fails("ENOTEMPTY", t.root.rmdir(path))
      t.fails("EBUSY", t.root.rmdir("/"))
    },
  },
  {
    name: "EBUSY for a mount point",
    group: "mounts",
    run: (t) => {
      t.mountOther("other")
      t.fails("EBUSY", t.root.rmdir("other"))
    },
  },
  {
    name: "a removed directory that is still open has no links, no entries, and takes no new ones",
    run: (t) => {
      t.dir("d", { mode: 0o777 })
      const fd = t.ok(t.root.open("d"))
      t.ok(t.root.rmdir("d"))
      t.equal(t.ok(t.root.fstat(fd)).nlink, 0, "links")
      t.fails("ENOENT", t.root.getdents(fd))
      t.fails("ENOENT", t.root.mkdir("e", 0o755, fd))
      t.fails("ENOENT", t.root.open("x", O.CREAT | O.WRONLY, 0o644, fd))
      t.fails("ENOENT", t.root.symlink("x", "s", fd))
      t.succeeds(t.root.fchmod(fd, 0o700))
      t.equal(t.ok(t.root.fstat(fd)).perm, 0o700, "mode")
    },
  },
  {
    name: "a new directory of the same name is another one",
    run: (t) => {
      t.dir("d")
      const fd = t.ok(t.root.open("d"))
      t.ok(t.root.rmdir("d"))
      t.dir("d")
      t.that(
        t.lstat("d").ino !== t.ok(t.root.fstat(fd)).ino,
        "the inode number of an open directory was reused",
      )
      t.file("d/x")
      t.fails("ENOENT", t.root.lstat("x", fd))
    },
  },
  {
    name: "the owner of a directory cannot remove it without permission to write to its parent",
    run: (t) => {
      t.dir("p")
      t.dir("p/d", { owned: "owner", mode: 0o777 })
      t.fails("EACCES", t.owner.rmdir("p/d"))
      t.ok(t.root.chmod("p", 0o777))
      t.ok(t.root.chmod("p/d", 0))
      t.succeeds(t.stranger.rmdir("p/d"))
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("rmdir")), ...semantics]
