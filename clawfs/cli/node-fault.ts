/** Turns what Node throws for a failed system call into a `Fault` with a sentence, so that nobody sees a stack trace. */
import { Fault, describe, type FaultKind } from "../core/fault.ts"

const KINDS = new Map<string, FaultKind>([
  ["ENOENT", "not-found"],
  ["ENOTDIR", "invalid"],
  ["EISDIR", "invalid"],
  ["ELOOP", "invalid"],
  ["ENAMETOOLONG", "name-too-long"],
  ["EACCES", "denied"],
  ["EPERM", "denied"],
  ["EROFS", "read-only"],
  ["ENOSPC", "no-space"],
  ["EDQUOT", "no-space"],
  ["EEXIST", "exists"],
  ["ENOTEMPTY", "not-empty"],
  ["EBUSY", "busy"],
  ["EMFILE", "io"],
  ["ENFILE", "io"],
  ["ENOTCONN", "io"],
  ["EIO", "io"],
])

/** `EACCES: permission denied, open '/x'`, or without a path. */
const MESSAGE = /^(E[A-Z0-9]+): ([^,]+), \w+(?: '(.*)')?$/s

/** The fault that Node's message stands for; undefined if it is no failed system call. */
export function faultOfMessage(message: string, cause?: unknown): Fault | undefined {
  const [, code = "", text = "", path] = MESSAGE.exec(message) ?? []
  const kind = KINDS.get(code)
  if (kind === undefined) return undefined
  const hint = kind === "no-space" ? "free some space there, then try again" : undefined
  return new Fault(kind, path === undefined ? text : `${path}: ${text}`, { cause, hint })
}

/** What can be said to the user about whatever was thrown; undefined: it is a bug. */
export function faultOf(thrown: unknown): Fault | undefined {
  if (thrown instanceof Fault && thrown.kind !== "bug") return thrown
  const { code } = thrown as NodeJS.ErrnoException
  if (code === "ERR_DLOPEN_FAILED" || code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND") {
    return new Fault("unsupported", "a part of this program can't be loaded", {
      cause: thrown,
      hint: "clawfs doctor tells which, npm ci installs it again",
    })
  }
  return faultOfMessage(describe(thrown), thrown)
}
