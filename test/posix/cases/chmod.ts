import { AT, O, S } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import type { Role } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const types = fileTypes.filter((type) => type !== "symlink")
const others: readonly Role[] = ["mate", "member", "stranger"]
const modes = [0, 0o1, 0o111, 0o222, 0o444, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6555, 0o7777]

const setting: readonly Case[] = types.flatMap((type) => [
  {
    name: `every mode of a ${type} can be set by path and by descriptor, and nothing else changes`,
    run: (t) => {
      t.create(type, "x")
      const before = t.lstat("x")
      const fd = type === "regular" || type === "dir" ? t.ok(t.root.open("x")) : undefined
      for (const mode of modes) {
        t.ok(t.root.chmod("x", mode))
        t.equal(t.lstat("x").perm, mode, `mode after chmod ${mode.toString(8)}`)
        if (fd === undefined) continue
        t.ok(t.root.fchmod(fd, mode ^ 0o777))
        t.equal(t.ok(t.root.fstat(fd)).perm, mode ^ 0o777, `mode after fchmod ${(mode ^ 0o777).toString(8)}`)
      }
      const after = t.lstat("x")
      for (const field of ["type", "ino", "nlink", "uid", "gid", "size", "mtime", "rdev"] as const)
        t.equal(after[field], before[field], field)
    },
  },
  {
    name: `only the owner and root may change the mode of a ${type}: EPERM for everyone else`,
    run: (t) => {
      t.create(type, "x", { mode: 0o777 })
      t.ok(t.root.chown("x", 71001, 71001))
      t.ok(t.root.chmod("x", 0o777))
      for (const role of others) {
        t.fails("EPERM", t.as(role).chmod("x", 0o700))
        t.equal(t.lstat("x").perm, 0o777, "mode after the refusal")
      }
      t.succeeds(t.owner.chmod("x", 0o700))
      t.equal(t.lstat("x").perm, 0o700, "mode set by the owner")
    },
  },
])

const byDescriptor: readonly Case[] = [
  {
    name: "fchmod works on a descriptor open for reading only, and on one whose file was unlinked",
    run: (t) => {
      t.file("x", { owned: "owner" })
      const fd = t.ok(t.owner.open("x"))
      t.succeeds(t.owner.fchmod(fd, 0o600))
      t.ok(t.root.unlink("x"))
      t.succeeds(t.owner.fchmod(fd, 0o640))
      t.equal(t.ok(t.owner.fstat(fd)).perm, 0o640, "mode of the unlinked file")
    },
  },
  {
    name: "fchmod by someone who is not the owner is EPERM, even if the file is open for writing",
    run: (t) => {
      t.file("x", { owned: "owner", mode: 0o666 })
      for (const role of others)
        t.fails("EPERM", t.as(role).fchmod(t.ok(t.as(role).open("x", O.RDWR)), 0o777))
    },
  },
  {
    name: "fchmod of an O_PATH or a bad descriptor is EBADF",
    run: (t) => {
      t.file("x")
      t.fails("EBADF", t.root.fchmod(t.ok(t.root.open("x", O.PATH)), 0o600))
      t.fails("EBADF", t.root.fchmod(9999, 0o600))
      t.fails("EBADF", t.root.fchmod(-1, 0o600))
    },
  },
]

const special: readonly Case[] = [
  {
    name: "chmod of a symbolic link changes its target, and the link itself has no mode to change",
    run: (t) => {
      t.file("x")
      t.ok(t.root.symlink("x", "s"))
      t.succeeds(t.root.chmod("s", 0o604))
      t.equal(t.lstat("x").perm, 0o604, "mode of the target")
      t.equal(t.lstat("s").perm, 0o777, "mode of the link")
      t.fails("EOPNOTSUPP", t.root.call("fchmodat2", [AT.FDCWD, "s", 0o600, AT.SYMLINK_NOFOLLOW]))
      t.equal(t.lstat("s").perm, 0o777, "mode of the link")
    },
  },
  {
    name: "fchmodat2 NOFOLLOW changes anything but symbolic links, AT_EMPTY_PATH what the descriptor names",
    run: (t) => {
      for (const type of types) {
        t.create(type, type)
        t.succeeds(t.root.call("fchmodat2", [AT.FDCWD, type, 0o610, AT.SYMLINK_NOFOLLOW]))
        t.equal(t.lstat(type).perm, 0o610, `mode of the ${type}`)
        const fd = t.ok(t.root.open(type, O.PATH))
        t.succeeds(t.root.call("fchmodat2", [fd, "", 0o601, AT.EMPTY_PATH]))
        t.equal(t.lstat(type).perm, 0o601, `mode of the ${type}`)
      }
      t.fails("EINVAL", t.root.call("fchmodat2", [AT.FDCWD, "regular", 0o600, 0x4000]))
    },
  },
  {
    name: "bits above 07777 are ignored",
    run: (t) => {
      t.file("x")
      t.succeeds(t.root.chmod("x", S.IFDIR | 0o654))
      t.equal(t.lstat("x").mode, S.IFREG | 0o654, "mode")
    },
  },
  ...(["file", "dir"] as const).map((kind): Case => ({
    name: `an owner outside the group of a ${kind} loses the set-group-id bit, a member and root keep it`,
    run: (t) => {
      t[kind]("x", { owned: "owner" })
      for (const [gid, mode] of [
        [71001, 0o2755],
        [71010, 0o2755],
        [71004, 0o755],
      ] as const) {
        t.ok(t.root.chown("x", 71001, gid))
        t.ok(t.root.chmod("x", 0o700))
        t.succeeds(t.owner.chmod("x", 0o2755))
        t.equal(t.lstat("x").perm, mode, `mode set by the owner, group ${gid}`)
        t.succeeds(t.root.chmod("x", 0o2755))
        t.equal(t.lstat("x").perm, 0o2755, `mode set by root, group ${gid}`)
      }
    },
  })),
  {
    name: "an owner may set the set-user-id and sticky bits",
    run: (t) => {
      t.file("x", { owned: "owner" })
      t.dir("d", { owned: "owner" })
      for (const path of ["x", "d"]) {
        t.succeeds(t.owner.chmod(path, 0o5755))
        t.equal(t.lstat(path).perm, 0o5755, `mode of ${path}`)
      }
    },
  },
  {
    name: "a file made unreadable stays readable through a descriptor that was open before",
    run: (t) => {
      t.file("x", { owned: "owner", content: "still here" })
      const fd = t.ok(t.owner.open("x", O.RDWR))
      t.ok(t.owner.chmod("x", 0))
      t.fails("EACCES", t.owner.open("x"))
      t.equal(t.ok(t.owner.pread(fd, 10, 0)), "still here", "content")
      t.succeeds(t.owner.pwrite(fd, "and writable", 0))
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(probesOf("chmod")),
  ...setting,
  ...byDescriptor,
  ...special,
]
