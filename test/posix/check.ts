/** What a case sees: the agents by role, checks that are counted, and a fresh directory as everyone's working directory. */
import { type ErrnoName, CLOCK, MS, O, S } from "./abi.ts"
import type { Crew, Role } from "./crew.ts"
import type { Outcome, Posix } from "./posix.ts"
import type { Stat } from "./structs.ts"
import type { Credentials } from "./wire.ts"

/** Parts that a mount may be unable to offer for a reason; all are on unless switched off. */
const groups = {
  acl: "POSIX access control lists",
  atime: "atime by relatime",
  birthTime: "statx tells the time of birth",
  dirLinks: "a directory has two links and one for each directory in it",
  execution: "programs can be run (a mount without noexec)",
  flags: "FS_IOC_SETFLAGS: immutable and append-only",
  mounts: "cases that mount something",
  openChecks: "an immutable file refuses the open, not only the write",
  sgidNoExec: "a stranger's write takes set-group-id also where it has no effect",
} as const

export type Group = keyof typeof groups

export function isGroup(name: string): name is Group {
  return Object.hasOwn(groups, name)
}

export interface Case {
  /** the promise, in plain words */
  readonly name: string
  readonly group?: Group
  readonly run: (t: Test) => void
}

export type Expected = ErrnoName | "ok"

/** Ends a case whose setup failed; the failure itself is recorded already. */
export class Aborted extends Error {}

export interface Recorder {
  readonly check: () => void
  readonly fail: (message: string) => void
}

export const fileTypes = ["regular", "dir", "fifo", "block", "char", "socket", "symlink"] as const
export type FileType = (typeof fileTypes)[number]

/** A device number that no driver answers to: memory "devices" of a nonexistent minor. */
export const DEVICE = (1 << 8) | 255

const nodeTypes = {
  regular: S.IFREG,
  fifo: S.IFIFO,
  block: S.IFBLK,
  char: S.IFCHR,
  socket: S.IFSOCK,
} as const

export class Test {
  readonly directory: string
  readonly #crew: Crew
  readonly #recorder: Recorder
  #serial = 0
  readonly #cleanups: (() => void)[] = []

  constructor(crew: Crew, recorder: Recorder, directory: string) {
    this.#crew = crew
    this.#recorder = recorder
    this.directory = directory
    this.ok(this.root.mkdir(directory, 0o777))
    this.as("root")
  }

  as(role: Role): Posix {
    return this.#crew.enter(role, this.directory)
  }
  get root(): Posix {
    return this.#crew.get("root")
  }
  get owner(): Posix {
    return this.as("owner")
  }
  get mate(): Posix {
    return this.as("mate")
  }
  get member(): Posix {
    return this.as("member")
  }
  get stranger(): Posix {
    return this.as("stranger")
  }

  // ---- checks

  /** A step on the way, not counted: must succeed, or the rest of the case makes no sense. */
  ok<T>(outcome: Outcome<T>): T {
    if (outcome.isOk) return outcome.value
    this.#recorder.fail(`${outcome.toString()}: must succeed here, got ${outcome.error}`)
    throw new Aborted()
  }
  succeeds(outcome: Outcome<unknown>): boolean {
    return this.expect("ok", outcome)
  }
  fails(error: ErrnoName, outcome: Outcome<unknown>): boolean {
    return this.expect(error, outcome)
  }
  expect(expected: Expected, outcome: Outcome<unknown>): boolean {
    return this.that(
      (outcome.isOk ? "ok" : outcome.error) === expected,
      () => `${outcome.toString()}: expected ${expected}, got ${outcome.isOk ? "ok" : outcome.error}`,
    )
  }
  equal(actual: unknown, expected: unknown, what: string): boolean {
    return this.that(
      Object.is(actual, expected),
      () => `${what}: expected ${show(expected)}, got ${show(actual)}`,
    )
  }
  that(isTrue: boolean, what: string | (() => string)): boolean {
    this.#recorder.check()
    if (!isTrue) this.#recorder.fail(typeof what === "string" ? what : what())
    return isTrue
  }

  // ---- setup

  /** Something of this type, with content or target that does not matter. */
  create(type: FileType, path: string, options: { mode?: number; by?: Posix } = {}): void {
    const { mode = 0o644, by = this.root } = options
    if (type === "dir") this.ok(by.mkdir(path, mode))
    else if (type === "symlink") this.ok(by.symlink("nowhere", path))
    else this.ok(by.mknod(path, nodeTypes[type] | mode, type === "block" || type === "char" ? DEVICE : 0))
  }
  /** A regular file with this content; `owned` by that role. */
  file(path: string, options: { mode?: number; content?: string; owned?: Role } = {}): void {
    const { mode = 0o644, content = "", owned = "root" } = options
    const fd = this.ok(this.root.open(path, O.CREAT | O.EXCL | O.WRONLY, 0o600))
    if (content !== "") this.ok(this.root.write(fd, content))
    this.#give(path, mode, owned)
    this.ok(this.root.close(fd))
  }
  dir(path: string, options: { mode?: number; owned?: Role } = {}): void {
    const { mode = 0o755, owned = "root" } = options
    this.ok(this.root.mkdir(path, 0o700))
    this.#give(path, mode, owned)
  }
  #give(path: string, mode: number, owned: Role): void {
    const { uid, gid } = this.#crew.credentials(owned)
    this.ok(this.root.lchown(path, uid, gid))
    this.ok(this.root.chmod(path, mode))
  }

  credentials(role: Role): Credentials {
    return this.#crew.credentials(role)
  }
  /** A number for names that must not meet. */
  serial(): number {
    return this.#serial++
  }

  /** Runs when the case ends, however it ends; the last one first. */
  defer(cleanup: () => void): void {
    this.#cleanups.push(cleanup)
  }
  finish(): void {
    this.#crew.allow(Infinity)
    for (const cleanup of this.#cleanups.reverse()) cleanup()
    this.#crew.leave()
  }

  /** From here on root works in a read-only view of the directory (a bind mount that only agents see). */
  becomeReadOnly(): void {
    const { root, directory } = this
    this.ok(root.call("mount", [directory, directory, 0, MS.BIND, 0]))
    this.defer(() => root.call("umount2", [directory, MNT_DETACH]))
    this.ok(root.call("mount", [0, directory, 0, MS.BIND | MS.REMOUNT | MS.RDONLY, 0]))
    this.ok(root.chdir(directory))
  }
  /** Another filesystem at `path`, which only the agents see. */
  mountOther(path: string): void {
    this.ok(this.root.mkdir(path, 0o777))
    this.ok(this.root.call("mount", ["none", path, "tmpfs", 0, "mode=777"]))
    this.defer(() => this.root.call("umount2", [path, MNT_DETACH]))
  }

  /** Root may not make files larger than this for a while, and gets EFBIG instead of the signal SIGXFSZ. */
  withFileSizeLimit(bytes: number, body: () => void): void {
    const limit = (soft: bigint) => {
      const b = Buffer.alloc(16)
      b.writeBigUInt64LE(soft, 0)
      b.writeBigUInt64LE(RLIM_INFINITY, 8)
      return this.root.call("prlimit64", [0, RLIMIT_FSIZE, { bytes: b.toString("base64") }, 0])
    }
    const ignore = Buffer.alloc(32)
    ignore.writeBigUInt64LE(SIG_IGN, 0)
    this.ok(this.root.call("rt_sigaction", [SIGXFSZ, { bytes: ignore.toString("base64") }, 0, 8]))
    this.ok(limit(BigInt(bytes)))
    this.defer(() => limit(RLIM_INFINITY))
    body()
  }

  // ---- time

  /** Waits until the clock that stamps files has moved on; every stamp from now on is later than every one before. */
  tick(): bigint {
    const before = this.root.clock(CLOCK.REALTIME_COARSE)
    let now = before
    while (now === before) {
      sleep(1)
      now = this.root.clock(CLOCK.REALTIME_COARSE)
    }
    return now
  }
  now(): bigint {
    return this.root.clock(CLOCK.REALTIME)
  }
  lstat(path: string): Stat {
    return this.ok(this.root.lstat(path))
  }
}

/** Modes are read in octal. */
function show(value: unknown): string {
  return typeof value === "number" && value > 7 ? `${value} (0${value.toString(8)})` : String(value)
}

const MNT_DETACH = 2
const RLIMIT_FSIZE = 1
const RLIM_INFINITY = 2n ** 64n - 1n
const SIGXFSZ = 25
const SIG_IGN = 1n

export function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
