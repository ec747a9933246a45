/**
 * Every call that takes a path, described well enough to generate what holds for all of them (path-cases.ts): one
 * probe per path argument, so link(2) and rename(2) have several.
 */
import { AT, O, RENAME, S } from "./abi.ts"
import { type Expected, type Test, DEVICE } from "./check.ts"
import type { Outcome, Path, Posix } from "./posix.ts"

export interface PathProbe {
  /** the call, and which of its paths this is */
  readonly name: string
  /** what must be at the path for the call to succeed */
  readonly needs: "file" | "dir" | "symlink" | "nothing"
  /** a symbolic link as last component is followed */
  readonly follows: boolean
  /** what the call changes, hence what a read-only mount forbids; "elsewhere": the parent of the other path */
  readonly writes: "parent" | "inode" | "elsewhere" | "nothing"
  /** takes a directory descriptor */
  readonly hasAt: boolean
  readonly rootOnly?: true
  /** for names that must be new: what a slash behind the name comes to */
  readonly slash?: Expected
  /** for names that must be new: EEXIST if there is anything */
  readonly exclusive?: true
  /** in the case's directory, before anything else */
  readonly setup?: (t: Test) => void
  /** for what `needs` put there */
  readonly prepare?: (t: Test, path: string) => void
  readonly call: (by: Posix, path: Path, at?: number) => Outcome<unknown>
}

const SOURCE = "source"
const source = (t: Test) => t.file(SOURCE, { mode: 0o666 })
const sourceDir = (t: Test) => t.dir(SOURCE, { mode: 0o777 })
const attribute = (t: Test, path: string) => void t.ok(t.root.setxattr(path, "user.x", "value"))

const attributes: PathProbe[] = [
  {
    ...{ name: "chmod", needs: "file", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.chmod(path, 0o640, at),
  },
  {
    ...{ name: "chmod of a directory", needs: "dir", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.chmod(path, 0o750, at),
  },
  {
    ...{ name: "chown", needs: "file", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.chown(path, -1, -1, at),
  },
  {
    ...{ name: "lchown", needs: "file", follows: false, writes: "inode", hasAt: true },
    call: (by, path, at) => by.lchown(path, -1, -1, at),
  },
  {
    ...{ name: "utimensat", needs: "file", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.utimens(path, undefined, at),
  },
  {
    ...{ name: "utimensat NOFOLLOW", needs: "file", follows: false, writes: "inode", hasAt: true },
    call: (by, path, at) => by.lutimens(path, [1n, 1n], at),
  },
  {
    ...{ name: "truncate", needs: "file", follows: true, writes: "inode", hasAt: false },
    call: (by, path) => by.truncate(path, 1),
  },
  {
    ...{ name: "stat", needs: "file", follows: true, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.stat(path, at),
  },
  {
    ...{ name: "lstat", needs: "file", follows: false, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.lstat(path, at),
  },
  {
    ...{ name: "access", needs: "file", follows: true, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.access(path, 0, at),
  },
  {
    ...{ name: "statfs", needs: "file", follows: true, writes: "nothing", hasAt: false },
    call: (by, path) => by.statfs(path),
  },
]

const opening: PathProbe[] = [
  {
    ...{ name: "open O_RDONLY", needs: "file", follows: true, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.open(path, O.RDONLY, 0, at),
  },
  {
    ...{ name: "open O_RDWR", needs: "file", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.open(path, O.RDWR, 0, at),
  },
  {
    ...{ name: "open O_WRONLY|O_TRUNC", needs: "file", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.open(path, O.WRONLY | O.TRUNC, 0, at),
  },
  {
    ...{ name: "open O_NOFOLLOW", needs: "file", follows: false, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.open(path, O.RDONLY | O.NOFOLLOW, 0, at),
  },
  {
    ...{ name: "open O_PATH", needs: "file", follows: true, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.open(path, O.PATH, 0, at),
  },
  {
    ...{ name: "open O_DIRECTORY", needs: "dir", follows: true, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.open(path, O.RDONLY | O.DIRECTORY, 0, at),
  },
  {
    ...{ name: "open O_TMPFILE", needs: "dir", follows: true, writes: "inode", hasAt: true },
    call: (by, path, at) => by.open(path, O.TMPFILE | O.RDWR, 0o600, at),
  },
  {
    ...{
      name: "open O_CREAT",
      needs: "nothing",
      follows: true,
      writes: "parent",
      hasAt: true,
      slash: "EISDIR",
    },
    call: (by, path, at) => by.open(path, O.CREAT | O.RDWR, 0o644, at),
  },
  {
    ...{ name: "open O_CREAT|O_EXCL", needs: "nothing", follows: false, writes: "parent", hasAt: true },
    ...{ slash: "EISDIR", exclusive: true },
    call: (by, path, at) => by.open(path, O.CREAT | O.EXCL | O.WRONLY, 0o644, at),
  },
]

const nodes = (
  [
    ["mknod regular", S.IFREG, 0, {}],
    ["mkfifo", S.IFIFO, 0, {}],
    ["mknod socket", S.IFSOCK, 0, {}],
    ["mknod block", S.IFBLK, DEVICE, { rootOnly: true }],
    ["mknod char", S.IFCHR, DEVICE, { rootOnly: true }],
  ] as const
).map(([name, type, device, extra]): PathProbe => ({
  ...{
    name,
    needs: "nothing",
    follows: false,
    writes: "parent",
    hasAt: true,
    slash: "ENOENT",
    exclusive: true,
  },
  ...extra,
  call: (by, path, at) => by.mknod(path, type | 0o644, device, at),
}))

const creating: PathProbe[] = [
  {
    ...{ name: "mkdir", needs: "nothing", follows: false, writes: "parent", hasAt: true },
    ...{ slash: "ok", exclusive: true },
    call: (by, path, at) => by.mkdir(path, 0o755, at),
  },
  ...nodes,
  {
    ...{ name: "symlink", needs: "nothing", follows: false, writes: "parent", hasAt: true },
    ...{ slash: "ENOENT", exclusive: true },
    call: (by, path, at) => by.symlink("nowhere", path, at),
  },
  {
    ...{ name: "link, new name", needs: "nothing", follows: false, writes: "parent", hasAt: true },
    ...{ slash: "ENOENT", exclusive: true, setup: source },
    call: (by, path, at = AT.FDCWD) => by.link(SOURCE, path, { toAt: at }),
  },
  {
    ...{ name: "rename, new name", needs: "nothing", follows: false, writes: "parent", hasAt: true },
    ...{ slash: "ENOTDIR", setup: source },
    call: (by, path, at = AT.FDCWD) => by.rename(SOURCE, path, { toAt: at }),
  },
  {
    ...{
      name: "rename of a directory, new name",
      needs: "nothing",
      follows: false,
      writes: "parent",
      hasAt: true,
    },
    ...{ slash: "ok", setup: sourceDir, rootOnly: true },
    call: (by, path, at = AT.FDCWD) => by.rename(SOURCE, path, { toAt: at }),
  },
  {
    ...{
      name: "rename NOREPLACE, new name",
      needs: "nothing",
      follows: false,
      writes: "parent",
      hasAt: true,
    },
    ...{ slash: "ENOTDIR", exclusive: true, setup: source },
    call: (by, path, at = AT.FDCWD) => by.rename(SOURCE, path, { toAt: at, flags: RENAME.NOREPLACE }),
  },
]

const existing: PathProbe[] = [
  {
    ...{ name: "link, old name", needs: "file", follows: false, writes: "elsewhere", hasAt: true },
    call: (by, path, at = AT.FDCWD) => by.link(path, "target", { fromAt: at }),
  },
  {
    ...{
      name: "link AT_SYMLINK_FOLLOW, old name",
      needs: "file",
      follows: true,
      writes: "elsewhere",
      hasAt: true,
    },
    call: (by, path, at = AT.FDCWD) => by.link(path, "target", { fromAt: at, flags: AT.SYMLINK_FOLLOW }),
  },
  {
    ...{ name: "rename, old name", needs: "file", follows: false, writes: "parent", hasAt: true },
    call: (by, path, at = AT.FDCWD) => by.rename(path, "target", { fromAt: at }),
  },
  {
    ...{
      name: "rename of a directory, old name",
      needs: "dir",
      follows: false,
      writes: "parent",
      hasAt: true,
    },
    call: (by, path, at = AT.FDCWD) => by.rename(path, "target", { fromAt: at }),
  },
  {
    ...{
      name: "rename EXCHANGE, old name",
      needs: "file",
      follows: false,
      writes: "parent",
      hasAt: true,
      setup: source,
    },
    call: (by, path, at = AT.FDCWD) => by.rename(path, SOURCE, { fromAt: at, flags: RENAME.EXCHANGE }),
  },
  {
    ...{
      name: "rename EXCHANGE, new name",
      needs: "file",
      follows: false,
      writes: "parent",
      hasAt: true,
      setup: source,
    },
    call: (by, path, at = AT.FDCWD) => by.rename(SOURCE, path, { toAt: at, flags: RENAME.EXCHANGE }),
  },
  {
    ...{ name: "readlink", needs: "symlink", follows: false, writes: "nothing", hasAt: true },
    call: (by, path, at) => by.readlink(path, at),
  },
  {
    ...{ name: "unlink", needs: "file", follows: false, writes: "parent", hasAt: true },
    call: (by, path, at) => by.unlink(path, at),
  },
  {
    ...{ name: "unlink of a symbolic link", needs: "symlink", follows: false, writes: "parent", hasAt: true },
    call: (by, path, at) => by.unlink(path, at),
  },
  {
    ...{ name: "rmdir", needs: "dir", follows: false, writes: "parent", hasAt: true },
    call: (by, path, at) => by.rmdir(path, at),
  },
]

type Writes = PathProbe["writes"]

const xattrs = (
  [
    ["setxattr", true, "inode", (by, path) => by.setxattr(path, "user.x", "new")],
    ["lsetxattr", false, "inode", (by, path) => by.lsetxattr(path, "user.x", "new")],
    ["getxattr", true, "nothing", (by, path) => by.getxattr(path, "user.x")],
    ["lgetxattr", false, "nothing", (by, path) => by.lgetxattr(path, "user.x")],
    ["listxattr", true, "nothing", (by, path) => by.listxattr(path)],
    ["llistxattr", false, "nothing", (by, path) => by.llistxattr(path)],
    ["removexattr", true, "inode", (by, path) => by.removexattr(path, "user.x")],
    ["lremovexattr", false, "inode", (by, path) => by.lremovexattr(path, "user.x")],
  ] satisfies [string, boolean, Writes, PathProbe["call"]][]
).map(([name, follows, writes, call]): PathProbe => ({
  ...{ name, needs: "file", follows, writes, hasAt: false, prepare: attribute, call },
}))

export const pathProbes: readonly PathProbe[] = [
  ...attributes,
  ...opening,
  ...creating,
  ...existing,
  ...xattrs,
]

/** The probes of one call, by the first word of their names. */
export function probesOf(...calls: readonly string[]): PathProbe[] {
  const found = pathProbes.filter((probe) => calls.includes(probe.name.split(/[ ,]/)[0] ?? ""))
  if (found.length === 0) throw new Error(`no probe for ${calls.join()}`)
  return found
}
