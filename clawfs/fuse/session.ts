/**
 * What INIT agreed on. A resumed server gets no INIT: the kernel keeps to what the first server promised, so the
 * agreement is kept in shared memory and a new build must honour an old one.
 */
import type { Reader } from "../core/bytes.ts"
import { E, OK, type Status } from "../core/errno.ts"
import { KERNEL_MAJOR, NEWEST_MINOR, OLDEST_MINOR, readInitIn, writeInitOut } from "./abi.ts"
import { Flag, negotiate } from "./flags.ts"
import type { Reply } from "./reply.ts"

/** Largest WRITE and READ, in bytes: 256 pages. */
export const MAX_TRANSFER = 1 << 20

const PAGE = 4096
const MAX_BACKGROUND = 64

/** An hour short of "for ever" in any kernel's jiffies: only this server changes the tree. */
export const TTL_SECONDS = 1e8

export interface SessionOptions {
  readonly writeback: boolean
  readonly openIsAsked: boolean
  /** Largest WRITE and READ, in bytes, a multiple of 4096; `MAX_TRANSFER` unless told otherwise. */
  readonly maxTransfer?: number
}

export interface Agreement extends SessionOptions {
  readonly minor: number
  readonly flags: bigint
}

/** Answers INIT into `reply`; gives the agreement or the errno to refuse with. */
export function negotiateInit(reader: Reader, options: SessionOptions, reply: Reply): Agreement | Status {
  const init = readInitIn(reader)
  if (init.major > KERNEL_MAJOR) {
    // The kernel will ask again with our major version (fuse.4, "INIT").
    reply.writer.u32(KERNEL_MAJOR).u32(NEWEST_MINOR).zero(56)
    return OK
  }
  if (init.major < KERNEL_MAJOR || init.minor < OLDEST_MINOR) return E.EPROTO
  const minor = Math.min(init.minor, NEWEST_MINOR)
  const flags = negotiate(init.flags, options)
  const { maxTransfer = MAX_TRANSFER } = options
  writeInitOut(reply.writer, {
    minor,
    // The kernel takes the smaller of this and its own limit, which the supervisor raises meanwhile (sys/read-ahead.ts).
    maxReadahead: MAX_TRANSFER,
    flags,
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: (MAX_BACKGROUND * 3) / 4,
    maxWrite: maxTransfer,
    timeGranularity: 1,
    maxPages: maxTransfer / PAGE,
  })
  return { ...options, minor, flags }
}

export function hasResend(agreement: Agreement): boolean {
  return (agreement.flags & Flag.HAS_RESEND) !== 0n
}
