/**
 * Environmental failures: a full disk, a damaged block, a lock that is held. Thrown by store, sys, api; turned into
 * an errno or an exit code in one place each. Expected outcomes of file operations are `Errno` values instead.
 */
import { E, errnoOf, type Errno } from "./errno.ts"

export type FaultKind =
  | "not-found"
  | "exists"
  | "not-empty"
  | "invalid"
  | "name-too-long"
  | "denied"
  | "read-only"
  | "unsupported"
  | "no-space"
  | "corrupt"
  | "busy"
  | "interrupted"
  | "timeout"
  | "locked"
  | "io"
  | "bug"

export class Fault extends Error {
  override readonly name = "Fault"
  readonly kind: FaultKind
  /** What the user can do about it; shown on a line of its own. */
  readonly hint: string | undefined
  /** Nothing had been changed yet when it was thrown: there is nothing to roll back. */
  readonly isClean: boolean

  constructor(
    kind: FaultKind,
    message: string,
    options: { cause?: unknown; hint?: string | undefined; isClean?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.hint = options.hint
    this.isClean = options.isClean ?? false
  }
}

/** An order that changes something, where nothing may be changed. */
export function mountedReadOnly(): Fault {
  return new Fault("read-only", "the store is mounted read-only", {
    hint: "mount it again without --read-only",
  })
}

/**
 * The state in memory was rebuilt before the request had changed anything: what the request had looked up is stale, and
 * it must start again.
 */
export class Rebuilt extends Error {
  override readonly name = "Rebuilt"
}

/** A system call that failed, with the number it gave. */
export class SysFault extends Fault {
  readonly errno: Errno

  constructor(call: string, errno: Errno, message: string, kind: FaultKind = kindOf(errno)) {
    super(kind, `${call}: ${message}`)
    this.errno = errno
  }
}

const errnos = {
  "not-found": E.ENOENT,
  exists: E.EEXIST,
  "not-empty": E.ENOTEMPTY,
  invalid: E.EINVAL,
  "name-too-long": E.ENAMETOOLONG,
  denied: E.EACCES,
  "read-only": E.EROFS,
  unsupported: E.EOPNOTSUPP,
  "no-space": E.ENOSPC,
  corrupt: E.EIO,
  busy: E.EBUSY,
  interrupted: E.EINTR,
  timeout: E.ETIMEDOUT,
  locked: E.ENOKEY,
  io: E.EIO,
  bug: E.EIO,
} satisfies Record<FaultKind, Errno>

const kinds = new Map<number, FaultKind>([
  [E.ENOENT, "not-found"],
  [E.EEXIST, "exists"],
  [E.ENOTEMPTY, "not-empty"],
  [E.EINVAL, "invalid"],
  [E.ENAMETOOLONG, "name-too-long"],
  [E.EACCES, "denied"],
  [E.EPERM, "denied"],
  [E.EROFS, "read-only"],
  [E.EOPNOTSUPP, "unsupported"],
  [E.ENOSYS, "unsupported"],
  [E.ENOSPC, "no-space"],
  [E.EDQUOT, "no-space"],
  [E.EBUSY, "busy"],
  [E.EINTR, "interrupted"],
  [E.ETIMEDOUT, "timeout"],
  [E.ENOKEY, "locked"],
])

function kindOf(errno: Errno): FaultKind {
  return kinds.get(errno) ?? "io"
}

/** The errno that a program on the mount sees for whatever was thrown; anything unknown is EIO. */
export function errnoOfThrown(thrown: unknown): Errno {
  if (thrown instanceof Fault) return errnos[thrown.kind]
  return kindOfThrown(thrown) === "no-space" ? E.ENOSPC : E.EIO
}

/** What kind of failure was met, by us or by one of Node's own calls; "bug" for everything else. */
export function kindOfThrown(thrown: unknown): FaultKind {
  if (thrown instanceof Fault) return thrown.kind
  const { code = "", errno = 0, syscall } = (thrown as NodeJS.ErrnoException | undefined) ?? {}
  const known = (E as Readonly<Record<string, Errno | undefined>>)[code]
  if (known !== undefined) return kindOf(known)
  // Node has no names for the rarer numbers: "Unknown system error -122".
  return syscall !== undefined && errno < 0 ? kindOf(errnoOf(-errno)) : "bug"
}

/** One line for people: the message, without a stack. */
export function describe(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
