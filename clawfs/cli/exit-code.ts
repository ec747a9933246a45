/**
 * Exit statuses of `clawfs`: a promise to scripts, documented in docs/CLI.md, in the manner of sysexits.h. Numbers are
 * never reused.
 */
import type { Brand } from "../core/brand.ts"
import type { FaultKind } from "../core/fault.ts"

export const ExitCode = {
  OK: 0,
  /** The answer is no: not mounted, not healthy. */
  NO: 1,
  USAGE: 64,
  /** What was named is not what it should be, or is damaged. */
  DATA: 65,
  /** What was named does not exist. */
  MISSING: 66,
  /** The machine or the kernel lacks something. */
  UNAVAILABLE: 69,
  BUG: 70,
  /** What should be made exists, or its place is taken. */
  CANNOT_CREATE: 73,
  IO: 74,
  /** In use: try again later. */
  BUSY: 75,
  DENIED: 77,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** The status of a program that clawfs has run for its user, as it is. */
export type PassedOn = Brand<number, "PassedOn">

export const exitCodeOf = {
  "not-found": ExitCode.MISSING,
  exists: ExitCode.CANNOT_CREATE,
  "not-empty": ExitCode.CANNOT_CREATE,
  invalid: ExitCode.DATA,
  "name-too-long": ExitCode.DATA,
  denied: ExitCode.DENIED,
  "read-only": ExitCode.DENIED,
  unsupported: ExitCode.UNAVAILABLE,
  "no-space": ExitCode.IO,
  corrupt: ExitCode.DATA,
  busy: ExitCode.BUSY,
  interrupted: ExitCode.IO,
  timeout: ExitCode.BUSY,
  locked: ExitCode.DENIED,
  io: ExitCode.IO,
  bug: ExitCode.BUG,
} satisfies Record<FaultKind, ExitCode>
