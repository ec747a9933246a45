/** Immutable and append-only files and directories (chattr +i, +a), set by FS_IOC_SETFLAGS. */
import { FALLOC, FS, O, RENAME } from "../abi.ts"
import type { Case, Expected, Group, Test } from "../check.ts"
import type { Outcome } from "../posix.ts"
import { writeAcl } from "../structs.ts"

type Flag = "immutable" | "append-only"
const flagBits: Record<Flag, number> = { immutable: FS.IMMUTABLE, "append-only": FS.APPEND }

/** Sets the flag until the case ends. */
function mark(t: Test, path: string, flag: Flag): void {
  const fd = t.ok(t.root.open(path))
  const flags = t.ok(t.root.getFlags(fd))
  t.ok(t.root.setFlags(fd, flags | flagBits[flag]))
  t.defer(() => t.root.setFlags(fd, flags))
}

interface Attempt {
  readonly name: string
  readonly call: (t: Test) => Outcome<unknown>
  readonly immutable: Expected
  readonly append: Expected
  readonly group?: Group
}

/** On a file "f" with content, mode 0666, attribute user.a, and a second file "g". */
const onFile: readonly Attempt[] = [
  { name: "unlink", call: (t) => t.root.unlink("f"), immutable: "EPERM", append: "EPERM" },
  { name: "rename", call: (t) => t.root.rename("f", "h"), immutable: "EPERM", append: "EPERM" },
  { name: "replace by rename", call: (t) => t.root.rename("g", "f"), immutable: "EPERM", append: "EPERM" },
  { name: "exchange", call: (t) => t.root.exchange("g", "f"), immutable: "EPERM", append: "EPERM" },
  { name: "link", call: (t) => t.root.link("f", "h"), immutable: "EPERM", append: "EPERM" },
  { name: "truncate", call: (t) => t.root.truncate("f", 1), immutable: "EPERM", append: "EPERM" },
  {
    name: "truncate to a larger size",
    call: (t) => t.root.truncate("f", 100),
    immutable: "EPERM",
    append: "EPERM",
  },
  { name: "chmod", call: (t) => t.root.chmod("f", 0o600), immutable: "EPERM", append: "EPERM" },
  {
    name: "fchmod",
    call: (t) => t.root.fchmod(t.ok(t.root.open("f")), 0o600),
    immutable: "EPERM",
    append: "EPERM",
  },
  { name: "chown", call: (t) => t.root.chown("f", 1, 1), immutable: "EPERM", append: "EPERM" },
  {
    name: "utimes with values",
    call: (t) => t.root.utimens("f", [1n, 1n]),
    immutable: "EPERM",
    append: "EPERM",
  },
  { name: "utimes to now", call: (t) => t.root.utimens("f"), immutable: "EPERM", append: "ok" },
  {
    name: "setxattr user.",
    call: (t) => t.root.setxattr("f", "user.b", "v"),
    immutable: "EPERM",
    append: "EPERM",
  },
  {
    name: "setxattr trusted.",
    call: (t) => t.root.setxattr("f", "trusted.b", "v"),
    immutable: "EPERM",
    append: "EPERM",
  },
  {
    name: "removexattr",
    call: (t) => t.root.removexattr("f", "user.a"),
    immutable: "EPERM",
    append: "EPERM",
  },
  {
    name: "set an ACL",
    call: (t) => t.root.setxattr("f", "system.posix_acl_access", writeAcl("u::rwx,g::r--,m::rwx,o::---")),
    immutable: "EPERM",
    append: "EPERM",
    group: "acl",
  },
  { name: "stat", call: (t) => t.root.stat("f"), immutable: "ok", append: "ok" },
  { name: "open for reading", call: (t) => t.root.open("f"), immutable: "ok", append: "ok" },
  { name: "getxattr", call: (t) => t.root.getxattr("f", "user.a"), immutable: "ok", append: "ok" },
  {
    name: "open for writing",
    call: (t) => t.root.open("f", O.WRONLY),
    immutable: "EPERM",
    append: "EPERM",
    group: "openChecks",
  },
  {
    name: "open for both",
    call: (t) => t.root.open("f", O.RDWR),
    immutable: "EPERM",
    append: "EPERM",
    group: "openChecks",
  },
  {
    name: "open for appending",
    call: (t) => t.root.open("f", O.WRONLY | O.APPEND),
    ...{ immutable: "EPERM", append: "ok", group: "openChecks" },
  },
  {
    name: "open O_TRUNC",
    call: (t) => t.root.open("f", O.WRONLY | O.TRUNC),
    immutable: "EPERM",
    append: "EPERM",
  },
  {
    name: "open O_TRUNC|O_APPEND",
    call: (t) => t.root.open("f", O.WRONLY | O.TRUNC | O.APPEND),
    immutable: "EPERM",
    append: "EPERM",
  },
]

/** On a directory "d" with a file "f" and a directory "e" in it, and a file "g" beside it. */
const onDirectory: readonly Attempt[] = [
  {
    name: "open O_CREAT",
    call: (t) => t.root.open("d/n", O.CREAT | O.WRONLY, 0o600),
    immutable: "EPERM",
    append: "ok",
  },
  { name: "mkdir", call: (t) => t.root.mkdir("d/n"), immutable: "EPERM", append: "ok" },
  { name: "mkfifo", call: (t) => t.root.mkfifo("d/n"), immutable: "EPERM", append: "ok" },
  { name: "symlink", call: (t) => t.root.symlink("x", "d/n"), immutable: "EPERM", append: "ok" },
  { name: "link into", call: (t) => t.root.link("g", "d/n"), immutable: "EPERM", append: "ok" },
  { name: "rename into", call: (t) => t.root.rename("g", "d/n"), immutable: "EPERM", append: "ok" },
  { name: "unlink in", call: (t) => t.root.unlink("d/f"), immutable: "EPERM", append: "EPERM" },
  { name: "rmdir in", call: (t) => t.root.rmdir("d/e"), immutable: "EPERM", append: "EPERM" },
  { name: "rename within", call: (t) => t.root.rename("d/f", "d/n"), immutable: "EPERM", append: "EPERM" },
  { name: "rename out of", call: (t) => t.root.rename("d/f", "n"), immutable: "EPERM", append: "EPERM" },
  { name: "replace in", call: (t) => t.root.rename("g", "d/f"), immutable: "EPERM", append: "EPERM" },
  { name: "exchange in", call: (t) => t.root.exchange("g", "d/f"), immutable: "EPERM", append: "EPERM" },
  {
    name: "rename NOREPLACE out of",
    call: (t) => t.root.rename("d/f", "n", { flags: RENAME.NOREPLACE }),
    immutable: "EPERM",
    append: "EPERM",
  },
  { name: "rename the directory", call: (t) => t.root.rename("d", "n"), immutable: "EPERM", append: "EPERM" },
  { name: "rmdir the directory", call: (t) => t.root.rmdir("d"), immutable: "EPERM", append: "EPERM" },
  { name: "chmod", call: (t) => t.root.chmod("d", 0o700), immutable: "EPERM", append: "EPERM" },
  { name: "chown", call: (t) => t.root.chown("d", 1, 1), immutable: "EPERM", append: "EPERM" },
  { name: "utimes", call: (t) => t.root.utimens("d", [1n, 1n]), immutable: "EPERM", append: "EPERM" },
  { name: "setxattr", call: (t) => t.root.setxattr("d", "user.a", "v"), immutable: "EPERM", append: "EPERM" },
  { name: "change a file in", call: (t) => t.root.truncate("d/f", 1), immutable: "ok", append: "ok" },
  { name: "chmod a file in", call: (t) => t.root.chmod("d/f", 0o600), immutable: "ok", append: "ok" },
  {
    name: "make a file in a subdirectory of",
    call: (t) => t.root.mknod("d/e/n", 0o600),
    immutable: "ok",
    append: "ok",
  },
]

function setup(t: Test): void {
  t.file("g")
  t.file("f", { content: "content", mode: 0o666 })
  t.ok(t.root.setxattr("f", "user.a", "v"))
  t.dir("d", { mode: 0o777 })
  t.dir("d/e")
  t.file("d/f", { content: "content" })
}

function attempts(kind: string, path: string, rows: readonly Attempt[]): Case[] {
  return rows.flatMap(({ name, call, immutable, append, group }) =>
    (["immutable", "append-only"] as const).map((flag) => {
      const want = flag === "immutable" ? immutable : append
      return {
        name: `${name} on an ${flag} ${kind}: ${want}`,
        ...(group === undefined ? {} : { group }),
        run: (t: Test) => {
          setup(t)
          mark(t, path, flag)
          const before = t.lstat(path)
          t.expect(want, call(t))
          const after = t.lstat(path)
          for (const field of ["ino", "size", "ctime", "mtime", "mode", "nlink"] as const)
            if (want !== "ok") t.equal(after[field], before[field], `${field} after the refusal`)
        },
      }
    }),
  )
}

/** Whether open says so or the write itself. */
function refusesToWrite(t: Test, flags: number): void {
  const opened = t.root.open("f", flags)
  t.fails("EPERM", opened.isOk ? t.root.write(opened.value, "x") : opened)
}

const content: readonly Case[] = [
  {
    name: "an immutable file cannot be written to, be it that open fails or write",
    run: (t) => {
      setup(t)
      mark(t, "f", "immutable")
      for (const flags of [O.WRONLY, O.RDWR, O.WRONLY | O.APPEND]) refusesToWrite(t, flags)
      t.equal(t.ok(t.root.read(t.ok(t.root.open("f")), 99)), "content", "content")
    },
  },
  {
    name: "a descriptor that was open before a file became immutable cannot change it any more",
    run: (t) => {
      setup(t)
      const fd = t.ok(t.root.open("f", O.RDWR))
      mark(t, "f", "immutable")
      t.fails("EPERM", t.root.pwrite(fd, "x", 0))
      t.fails("EPERM", t.root.ftruncate(fd, 1))
      t.fails("EPERM", t.root.fallocate(fd, 0, 0, 1000))
      t.fails("EPERM", t.root.fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 5))
      t.fails("EPERM", t.root.fchmod(fd, 0o600))
      t.fails("EPERM", t.root.fsetxattr(fd, "user.b", "v"))
      t.equal(t.ok(t.root.pread(fd, 99, 0)), "content", "content")
    },
  },
  {
    name: "an append-only file grows by O_APPEND, and nothing written is ever changed",
    run: (t) => {
      setup(t)
      mark(t, "f", "append-only")
      refusesToWrite(t, O.WRONLY)
      const fd = t.ok(t.root.open("f", O.RDWR | O.APPEND))
      t.succeeds(t.root.write(fd, " and more"))
      t.fails("EPERM", t.root.ftruncate(fd, 3))
      t.fails("EPERM", t.root.fallocate(fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 5))
      t.equal(t.ok(t.root.pread(fd, 99, 0)), "content and more", "content")
    },
  },
]

const setting: readonly Case[] = [
  {
    name: "flags are kept, shown, and taken back; then everything works again",
    run: (t) => {
      setup(t)
      for (const path of ["f", "d"]) {
        const fd = t.ok(t.root.open(path))
        const plain = t.ok(t.root.getFlags(fd))
        for (const flag of [FS.IMMUTABLE, FS.APPEND, FS.NODUMP, FS.NOATIME, FS.NODUMP | FS.NOATIME]) {
          t.ok(t.root.setFlags(fd, plain | flag))
          t.equal(t.ok(t.root.getFlags(fd)), plain | flag, "flags")
        }
        t.ok(t.root.setFlags(fd, plain))
        t.equal(t.ok(t.root.getFlags(fd)), plain, "flags")
        t.succeeds(t.root.chmod(path, 0o700))
      }
      t.succeeds(t.root.unlink("f"))
    },
  },
  {
    name: "users can set neither, not even on their own files; harmless flags are for the owner",
    run: (t) => {
      t.file("f", { owned: "owner", mode: 0o666 })
      const fd = t.ok(t.owner.open("f"))
      const flags = t.ok(t.owner.getFlags(fd))
      for (const flag of [FS.IMMUTABLE, FS.APPEND]) t.fails("EPERM", t.owner.setFlags(fd, flags | flag))
      t.succeeds(t.owner.setFlags(fd, flags | FS.NODUMP))
      t.fails("EPERM", t.stranger.setFlags(t.ok(t.stranger.open("f")), flags))
      t.equal(t.ok(t.root.getFlags(t.ok(t.root.open("f")))), flags | FS.NODUMP, "flags")
      t.ok(t.root.setFlags(t.ok(t.root.open("f")), flags | FS.IMMUTABLE))
      t.defer(() => t.root.setFlags(t.root.open("f").value, flags))
      t.fails("EPERM", t.owner.setFlags(fd, flags))
    },
  },
  {
    name: "a change of flags moves ctime only",
    run: (t) => {
      t.file("f")
      const before = t.lstat("f")
      const fd = t.ok(t.root.open("f"))
      t.tick()
      t.ok(t.root.setFlags(fd, t.ok(t.root.getFlags(fd)) | FS.NODUMP))
      const after = t.lstat("f")
      t.that(after.ctime > before.ctime, "ctime stayed")
      t.equal(after.mtime, before.mtime, "mtime")
    },
  },
]

export const cases: readonly Case[] = [
  ...attempts("file", "f", onFile),
  ...attempts("directory", "d", onDirectory),
  ...content,
  ...setting,
].map((item): Case => ({ group: "flags", ...item }))
