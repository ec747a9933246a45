/** symlink(2) and readlink(2) */
import { O, S } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { TEAM } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const PATH_MAX = 4096
const everyByte = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).join("")

const making: readonly Case[] = [
  {
    name: "any target is kept to the byte, and its length is the size",
    run: (t) => {
      const lengths = [1, 2, 59, 60, 61, 255, 256, 1023, 1024, 2048, 4094, PATH_MAX - 1]
      const targets = ["/", ".", "..", "//a//b/", "with\nnewline", "a/../b", everyByte]
      for (const [index, target] of [...targets, ...lengths.map((length) => "t".repeat(length))].entries()) {
        t.ok(t.root.symlink(target, String(index)))
        t.equal(t.ok(t.root.readlink(String(index))), target, "target")
        t.equal(t.lstat(String(index)).size, target.length, "size")
      }
    },
  },
  {
    name: "an empty target is ENOENT, one of PATH_MAX bytes ENAMETOOLONG, a bad pointer EFAULT",
    run: (t) => {
      t.fails("ENOENT", t.root.symlink("", "s"))
      t.fails("ENAMETOOLONG", t.root.symlink("t".repeat(PATH_MAX), "s"))
      for (const pointer of [0, 1, 0x7ffffffff000]) t.fails("EFAULT", t.root.symlink(pointer, "s"))
      t.fails("ENOENT", t.root.lstat("s"))
    },
  },
  {
    name: "its mode is 0777 whatever the umask, and it belongs to whoever made it",
    run: (t) => {
      t.ok(t.owner.umask(0o077))
      t.ok(t.owner.symlink("x", "s"))
      const { mode, uid, gid, nlink } = t.lstat("s")
      t.equal(mode, S.IFLNK | 0o777, "mode")
      t.equal(`${uid}:${gid} ${nlink}`, `71001:${TEAM} 1`, "owner, links")
    },
  },
  {
    name: "in a set-group-id directory it gets that group",
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      t.ok(t.stranger.symlink("x", "d/s"))
      t.equal(t.lstat("d/s").gid, TEAM, "group")
    },
  },
]

const reading: readonly Case[] = [
  ...fileTypes
    .filter((type) => type !== "symlink")
    .map((type): Case => ({
      name: `readlink of a ${type} is EINVAL`,
      run: (t) => {
        t.create(type, "x")
        t.fails("EINVAL", t.root.readlink("x"))
      },
    })),
  {
    name: "readlink cuts off what does not fit, without a NUL; no room at all is EINVAL",
    run: (t) => {
      t.ok(t.root.symlink("0123456789", "s"))
      for (const length of [1, 5, 9, 10, 11]) {
        t.equal(
          t.ok(t.root.readlink("s", -100, length)),
          "0123456789".slice(0, length),
          `first ${length} bytes`,
        )
      }
      t.fails("EINVAL", t.root.readlink("s", -100, 0))
      t.fails("EFAULT", t.root.call("readlinkat", [-100, "s", 1, 10]))
    },
  },
  {
    name: "readlink needs no permission on the link, only to search the way to it",
    run: (t) => {
      t.dir("d", { mode: 0o711 })
      t.ok(t.root.symlink("x", "d/s"))
      t.succeeds(t.stranger.readlink("d/s"))
      t.ok(t.root.chmod("d", 0o766))
      t.fails("EACCES", t.stranger.readlink("d/s"))
    },
  },
  {
    name: "readlinkat with an empty path reads what an O_PATH descriptor names",
    run: (t) => {
      t.ok(t.root.symlink("target", "s"))
      t.file("x")
      t.equal(t.ok(t.root.readlink("", t.ok(t.root.open("s", O.PATH | O.NOFOLLOW)))), "target", "target")
      t.fails("ENOENT", t.root.readlink("", t.ok(t.root.open("x", O.PATH))))
    },
  },
  {
    name: "a new link of the same name has the new target, and so has a renamed one",
    run: (t) => {
      for (const target of ["one", "two", "three"]) {
        t.ok(t.root.symlink(target, "s"))
        t.equal(t.ok(t.root.readlink("s")), target, "target")
        t.ok(t.root.unlink("s"))
      }
      t.ok(t.root.symlink("a", "s1"))
      t.ok(t.root.symlink("b", "s2"))
      t.ok(t.root.rename("s1", "s2"))
      t.equal(t.ok(t.root.readlink("s2")), "a", "target after a rename over it")
    },
  },
]

const following: readonly Case[] = [
  {
    name: "a relative target begins where the link lies, also after the link moved",
    run: (t) => {
      t.dir("a")
      t.dir("b")
      t.file("a/x", { content: "in a" })
      t.file("b/x", { content: "in b" })
      t.ok(t.root.symlink("x", "a/s"))
      t.equal(t.ok(t.root.read(t.ok(t.root.open("a/s")), 9)), "in a", "content")
      t.ok(t.root.rename("a/s", "b/s"))
      t.equal(t.ok(t.root.read(t.ok(t.root.open("b/s")), 9)), "in b", "content")
    },
  },
  {
    name: "permissions are checked along the target too",
    run: (t) => {
      t.dir("closed", { mode: 0o700 })
      t.file("closed/x", { mode: 0o666 })
      t.ok(t.root.symlink("closed/x", "s"))
      t.fails("EACCES", t.stranger.open("s"))
      t.fails("EACCES", t.stranger.stat("s"))
      t.succeeds(t.stranger.lstat("s"))
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(probesOf("symlink", "readlink")),
  ...making,
  ...reading,
  ...following,
]
