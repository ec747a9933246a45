/** Broken invariants. Both throw: the protocol layer answers EIO, logs once, and the server goes on. */
import { Fault } from "./fault.ts"

export function bug(message: string): never {
  throw new Fault("bug", `BUG: ${message}`)
}

/** Ends a `switch` over a union: the compiler rejects a forgotten case. */
export function unreachable(value: never): never {
  bug(`unreachable case ${String(value)}`)
}

/** For index access that the surrounding code has bounded. */
export function present<T>(value: T | undefined | null, what: string): T {
  return value ?? bug(`${what} is missing`)
}
