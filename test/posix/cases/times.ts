/** What each call does to the times of the files and directories it touches, and that a failure does nothing. */
import { FALLOC, FS, O, S } from "../abi.ts"
import { type Case, type Expected, type Group, type Test, DEVICE } from "../check.ts"
import type { Outcome } from "../posix.ts"

/** letters of the times that move: m(time) and c(time) */
type Moves = "" | "c" | "mc"

interface Row {
  readonly name: string
  readonly prepare?: (t: Test) => void
  readonly act: (t: Test) => Outcome<unknown>
  /** by path as seen before the call; everything else that is watched must stay. New paths begin with "+". */
  readonly moves: Readonly<Record<string, Moves>>
  /** the file whose atime may move */
  readonly reads?: string
  readonly result?: Expected
  readonly group?: Group
}

/** Before each row: a file x with content and attribute, two directories with one file each, a link, a fifo. */
function setup(t: Test): void {
  t.dir("d", { mode: 0o777 })
  t.dir("e", { mode: 0o777 })
  t.dir("d/empty")
  t.file("d/f", { content: "content", mode: 0o666, owned: "owner" })
  t.file("e/f", { content: "content" })
  t.ok(t.root.setxattr("d/f", "user.a", "v"))
  t.ok(t.root.symlink("f", "d/s"))
  t.ok(t.root.mkfifo("d/p"))
}

const watched = ["d", "e", "d/empty", "d/f", "e/f", "d/s", "d/p"]
const fd = (t: Test, flags: number) => t.ok(t.root.open("d/f", flags))

const making: readonly Row[] = [
  {
    name: "open O_CREAT, new",
    act: (t) => t.root.open("d/n", O.CREAT | O.RDWR, 0o644),
    moves: { d: "mc", "+d/n": "mc" },
  },
  { name: "open O_CREAT, old", act: (t) => t.root.open("d/f", O.CREAT | O.RDWR, 0o644), moves: {} },
  { name: "mkdir", act: (t) => t.root.mkdir("d/n"), moves: { d: "mc", "+d/n": "mc" } },
  { name: "mkfifo", act: (t) => t.root.mkfifo("d/n"), moves: { d: "mc", "+d/n": "mc" } },
  {
    name: "mknod",
    act: (t) => t.root.mknod("d/n", S.IFCHR | 0o600, DEVICE),
    moves: { d: "mc", "+d/n": "mc" },
  },
  { name: "symlink", act: (t) => t.root.symlink("x", "d/n"), moves: { d: "mc", "+d/n": "mc" } },
  { name: "link", act: (t) => t.root.link("d/f", "e/n"), moves: { e: "mc", "d/f": "c" } },
  { name: "link of a fifo", act: (t) => t.root.link("d/p", "e/n"), moves: { e: "mc", "d/p": "c" } },
  { name: "link of a symbolic link", act: (t) => t.root.link("d/s", "d/n"), moves: { d: "mc", "d/s": "c" } },
]

const removing: readonly Row[] = [
  { name: "unlink of the last name", act: (t) => t.root.unlink("d/p"), moves: { d: "mc", "d/p": "c" } },
  {
    name: "unlink of one of two names",
    prepare: (t) => void t.ok(t.root.link("d/f", "d/second")),
    act: (t) => t.root.unlink("d/second"),
    moves: { d: "mc", "d/f": "c" },
  },
  { name: "rmdir", act: (t) => t.root.rmdir("d/empty"), moves: { d: "mc", "d/empty": "c" } },
]

const renaming: readonly Row[] = [
  {
    name: "rename within a directory",
    act: (t) => t.root.rename("d/f", "d/n"),
    moves: { d: "mc", "d/f": "c" },
  },
  {
    name: "rename to another",
    act: (t) => t.root.rename("d/f", "e/n"),
    moves: { d: "mc", e: "mc", "d/f": "c" },
  },
  {
    name: "rename onto a file",
    act: (t) => t.root.rename("d/f", "e/f"),
    moves: { d: "mc", e: "mc", "d/f": "c", "e/f": "c" },
  },
  {
    name: "rename of a directory",
    act: (t) => t.root.rename("d/empty", "d/n"),
    moves: { d: "mc", "d/empty": "c" },
  },
  {
    name: "exchange",
    act: (t) => t.root.exchange("d/f", "e/f"),
    moves: { d: "mc", e: "mc", "d/f": "c", "e/f": "c" },
  },
  { name: "rename to its own name", act: (t) => t.root.rename("d/f", "d/f"), moves: {} },
]

const changing: readonly Row[] = [
  { name: "chmod", act: (t) => t.root.chmod("d/f", 0o600), moves: { "d/f": "c" } },
  { name: "chmod to the same mode", act: (t) => t.root.chmod("d/f", 0o666), moves: { "d/f": "c" } },
  { name: "fchmod", act: (t) => t.root.fchmod(fd(t, O.RDONLY), 0o600), moves: { "d/f": "c" } },
  { name: "chmod of a directory", act: (t) => t.root.chmod("d", 0o700), moves: { d: "c" } },
  { name: "chmod of a fifo", act: (t) => t.root.chmod("d/p", 0o600), moves: { "d/p": "c" } },
  { name: "chown", act: (t) => t.root.chown("d/f", 1, 1), moves: { "d/f": "c" } },
  { name: "chown to the same owner", act: (t) => t.root.chown("d/f", 71001, 71001), moves: { "d/f": "c" } },
  { name: "lchown", act: (t) => t.root.lchown("d/s", 1, 1), moves: { "d/s": "c" } },
  { name: "fchown", act: (t) => t.root.fchown(fd(t, O.RDONLY), 1, 1), moves: { "d/f": "c" } },
  { name: "setxattr", act: (t) => t.root.setxattr("d/f", "user.b", "v"), moves: { "d/f": "c" } },
  { name: "setxattr of a directory", act: (t) => t.root.setxattr("d", "user.b", "v"), moves: { d: "c" } },
  { name: "removexattr", act: (t) => t.root.removexattr("d/f", "user.a"), moves: { "d/f": "c" } },
  {
    name: "FS_IOC_SETFLAGS",
    act: (t) => t.root.setFlags(fd(t, O.RDONLY), t.root.getFlags(fd(t, O.RDONLY)).value | FS.NODUMP),
    moves: { "d/f": "c" },
    group: "flags",
  },
]

const writing: readonly Row[] = [
  { name: "write", act: (t) => t.root.write(fd(t, O.WRONLY), "x"), moves: { "d/f": "mc" } },
  {
    name: "pwrite behind the end",
    act: (t) => t.root.pwrite(fd(t, O.WRONLY), "x", 100_000),
    moves: { "d/f": "mc" },
  },
  { name: "append", act: (t) => t.root.write(fd(t, O.WRONLY | O.APPEND), "x"), moves: { "d/f": "mc" } },
  { name: "write of nothing", act: (t) => t.root.write(fd(t, O.WRONLY), ""), moves: {} },
  { name: "truncate to less", act: (t) => t.root.truncate("d/f", 1), moves: { "d/f": "mc" } },
  { name: "truncate to more", act: (t) => t.root.truncate("d/f", 100_000), moves: { "d/f": "mc" } },
  { name: "ftruncate to less", act: (t) => t.root.ftruncate(fd(t, O.WRONLY), 1), moves: { "d/f": "mc" } },
  {
    name: "ftruncate to more",
    act: (t) => t.root.ftruncate(fd(t, O.WRONLY), 100_000),
    moves: { "d/f": "mc" },
  },
  { name: "open O_TRUNC", act: (t) => t.root.open("d/f", O.WRONLY | O.TRUNC), moves: { "d/f": "mc" } },
  {
    name: "fallocate that grows",
    act: (t) => t.root.fallocate(fd(t, O.WRONLY), 0, 0, 100_000),
    moves: { "d/f": "mc" },
  },
  {
    name: "a punched hole",
    act: (t) => t.root.fallocate(fd(t, O.WRONLY), FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 4),
    moves: { "d/f": "mc" },
  },
  {
    name: "copy_file_range, for the target",
    act: (t) => t.root.copyFileRange(t.ok(t.root.open("e/f")), fd(t, O.WRONLY), 5),
    moves: { "d/f": "mc" },
    reads: "e/f",
  },
]

const nothing: readonly Row[] = [
  { name: "stat", act: (t) => t.root.stat("d/f"), moves: {} },
  { name: "access", act: (t) => t.root.access("d/f", 4), moves: {} },
  { name: "open", act: (t) => t.root.open("d/f", O.RDWR), moves: {} },
  { name: "fsync", act: (t) => t.root.fsync(fd(t, O.RDWR)), moves: {} },
  { name: "getxattr", act: (t) => t.root.getxattr("d/f", "user.a"), moves: {} },
  { name: "failed chmod", act: (t) => t.stranger.chmod("d/f", 0o777), moves: {}, result: "EPERM" },
  { name: "failed chown", act: (t) => t.stranger.chown("d/f", 71004, -1), moves: {}, result: "EPERM" },
  { name: "failed utimes", act: (t) => t.stranger.utimens("d/f", [1n, 1n]), moves: {}, result: "EPERM" },
  { name: "failed truncate", act: (t) => t.stranger.truncate("e/f", 1), moves: {}, result: "EACCES" },
  { name: "failed truncate, size", act: (t) => t.root.truncate("d/f", -1), moves: {}, result: "EINVAL" },
  {
    name: "failed open O_TRUNC",
    act: (t) => t.stranger.open("e/f", O.WRONLY | O.TRUNC),
    moves: {},
    result: "EACCES",
  },
  {
    name: "failed open O_EXCL",
    act: (t) => t.root.open("d/f", O.CREAT | O.EXCL | O.RDWR, 0o600),
    moves: {},
    result: "EEXIST",
  },
  {
    name: "failed open O_CREAT",
    act: (t) => t.stranger.open("d/empty/n", O.CREAT | O.RDWR, 0o600),
    moves: {},
    result: "EACCES",
  },
  { name: "failed mkdir", act: (t) => t.root.mkdir("d/f"), moves: {}, result: "EEXIST" },
  {
    name: "failed mkdir, permission",
    act: (t) => t.stranger.mkdir("d/empty/n"),
    moves: {},
    result: "EACCES",
  },
  { name: "failed mknod", act: (t) => t.root.mknod("d/f", 0o600), moves: {}, result: "EEXIST" },
  { name: "failed symlink", act: (t) => t.root.symlink("x", "d/f"), moves: {}, result: "EEXIST" },
  { name: "failed link", act: (t) => t.root.link("d/f", "e/f"), moves: {}, result: "EEXIST" },
  {
    name: "failed link, permission",
    act: (t) => t.stranger.link("d/f", "d/empty/n"),
    moves: {},
    result: "EACCES",
  },
  { name: "failed unlink", act: (t) => t.root.unlink("d/empty"), moves: {}, result: "EISDIR" },
  { name: "failed rmdir", act: (t) => t.root.rmdir("d"), moves: {}, result: "ENOTEMPTY" },
  { name: "failed rename", act: (t) => t.root.rename("d/f", "d/empty"), moves: {}, result: "EISDIR" },
  {
    name: "failed rename of a directory",
    act: (t) => t.root.rename("d", "d/empty/n"),
    moves: {},
    result: "EINVAL",
  },
  {
    name: "failed setxattr",
    act: (t) => t.root.setxattr("d/f", "user.a", "v", 1),
    moves: {},
    result: "EEXIST",
  },
  {
    name: "failed removexattr",
    act: (t) => t.root.removexattr("d/f", "user.none"),
    moves: {},
    result: "ENODATA",
  },
]

function run(t: Test, { prepare, act, moves, reads, result = "ok" }: Row): void {
  setup(t)
  prepare?.(t)
  const look = (handle: number) => t.ok(t.root.fstat(handle))
  const objects = watched.map((path) => {
    const handle = t.ok(t.root.open(path, O.PATH | O.NOFOLLOW))
    return { path, handle, old: look(handle) }
  })
  const since = t.tick()
  t.expect(result, act(t))
  const until = t.now()
  const isNew = (stamp: bigint) => stamp >= since && stamp <= until
  for (const { path, handle, old } of objects) {
    const now = look(handle)
    const moved = `${now.mtime === old.mtime ? "" : "m"}${now.ctime === old.ctime ? "" : "c"}`
    t.equal(moved, moves[path] ?? "", `times of ${path} that moved`)
    if (path !== reads) t.equal(now.atime, old.atime, `atime of ${path}`)
    if (moved.includes("m")) t.that(isNew(now.mtime), `mtime of ${path} is not the time of the call`)
    if (moved.includes("c")) t.that(isNew(now.ctime), `ctime of ${path} is not the time of the call`)
  }
  for (const path of Object.keys(moves).filter((name) => name.startsWith("+"))) {
    const { atime, mtime, ctime } = t.lstat(path.slice(1))
    for (const stamp of [atime, mtime, ctime])
      t.that(isNew(stamp), `a time of ${path} is not the time of the call`)
  }
}

export const cases: readonly Case[] = [
  ...[...making, ...removing, ...renaming, ...changing, ...writing, ...nothing].map((row): Case => ({
    name: `${row.name}: ${
      Object.entries(row.moves)
        .map(([path, moves]) => `${moves} of ${path}`)
        .join(", ") || "nothing moves"
    }`,
    ...(row.group === undefined ? {} : { group: row.group }),
    run: (t) => run(t, row),
  })),
  {
    name: "the time of birth is that of the making, and stays",
    group: "birthTime",
    run: (t) => {
      const since = t.tick()
      t.file("x")
      const { btime } = t.lstat("x")
      t.that(btime !== undefined && btime >= since && btime <= t.now(), `born at ${btime}`)
      t.tick()
      t.ok(t.root.chmod("x", 0o600))
      t.ok(t.root.utimens("x", [1n, 1n]))
      t.ok(t.root.rename("x", "y"))
      t.ok(t.root.truncate("y", 100))
      t.equal(t.lstat("y").btime, btime, "time of birth")
    },
  },
]
