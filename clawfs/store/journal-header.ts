/**
 * The first bytes of `STORE/journal` (docs/FORMAT.md §4): which boot its entries belong to, and how many there are. It is
 * on the disk before the first entry is written, so one that can't be believed is damage and not a power cut.
 *
 *   0 magic [8] · 8 boot id [36] · 44 protocol flags u64 · 52 nonce u32 · 56 CRC-32 u32 of the first 56 · 60 witness u32
 *
 * The witness is the number of the present batch modulo 2^16, times 2^16, plus the number of its entries. By it an entry
 * that was noted and can't be read is told from one that never was, and a database that has lost commits from one that
 * has not.
 */
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { Fault } from "../core/fault.ts"

export const JOURNAL = "journal"
export const JOURNAL_HEADER = 4096
export const JOURNAL_HINT = "clawfs fsck --repair keeps a copy of the journal and what is whole of it"

const MAGIC = Buffer.from("CLAWJNL2", "latin1")
/** Without checksums; written until format 4. */
const OLD_MAGIC = Buffer.from("CLAWJRN1", "latin1")
const BOOT_ID = 36
const FLAGS_AT = 8 + BOOT_ID
const NONCE_AT = FLAGS_AT + 8
const CRC_AT = NONCE_AT + 4
export const WITNESS_AT = CRC_AT + 4
const FIELDS = WITNESS_AT + 4
const HALF = 0x1_0000
/** Where a first entry would tell that there was a header. */
const LOOKED_AT = JOURNAL_HEADER + 32

export interface JournalHeader {
  readonly bootId: string
  readonly flags: bigint
  readonly nonce: number
}

export function currentBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, BOOT_ID)
}

/** The header as bytes, without the witness, which changes all the time. */
export function encodeJournalHeader({ bootId, flags, nonce }: JournalHeader): Buffer {
  const header = Buffer.alloc(WITNESS_AT)
  MAGIC.copy(header)
  header.write(bootId, 8, "latin1")
  header.writeBigUInt64LE(flags, FLAGS_AT)
  header.writeUInt32LE(nonce, NONCE_AT)
  header.writeUInt32LE(crc32(header.subarray(0, CRC_AT)), CRC_AT)
  return header
}

/**
 * The header of the journal that is open as `fd`; undefined for one that was never used. A damaged one throws
 * `Fault("corrupt")`, and one that an older clawfs has left throws `Fault("unsupported")`, unless the store was unmounted:
 * then nothing in its journal counts.
 */
export function readJournalHeader(fd: number, directory: string): JournalHeader | undefined {
  const bytes = Buffer.alloc(LOOKED_AT)
  const got = readSync(fd, bytes, 0, bytes.length, 0)
  const bootId = bytes.toString("latin1", 8, FLAGS_AT)
  const isOld = bytes.subarray(0, MAGIC.length).equals(OLD_MAGIC)
  const isSound = bytes.subarray(0, MAGIC.length).equals(MAGIC) && bytes.readUInt32LE(CRC_AT) === crcOf(bytes)
  if (isSound && got >= FIELDS)
    return { bootId, flags: bytes.readBigUInt64LE(FLAGS_AT), nonce: bytes.readUInt32LE(NONCE_AT) }
  // It has its whole length from the beginning: one that is shorter was cut off.
  const isUnused = got === bytes.length && bytes.every((byte) => byte === 0)
  if (isUnused || (isOld && bootId !== currentBootId()) || wasUnmounted(directory)) return undefined
  if (isOld) {
    throw new Fault("unsupported", "the store was left by a daemon of an older clawfs that was killed", {
      hint: "mount and unmount it once with that version",
    })
  }
  throw new Fault("corrupt", "the journal's header is damaged", { hint: JOURNAL_HINT })
}

function crcOf(bytes: Buffer): number {
  return crc32(bytes.subarray(0, CRC_AT))
}

/**
 * Empties a journal in which nothing counts and whose header is none of ours, that of an older clawfs or a damaged one of a
 * store that was unmounted, so that it is one that was never used. To be called before the database is opened, as long as
 * it can be seen whether the store was unmounted. Throws as `readJournalHeader`, with the store as it was.
 */
export function emptyVoidJournal(directory: string): void {
  let fd: number
  try {
    fd = openSync(join(directory, JOURNAL), "r+")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return
    throw cause
  }
  try {
    if (readJournalHeader(fd, directory) !== undefined) return
    const header = Buffer.alloc(LOOKED_AT)
    readSync(fd, header, 0, LOOKED_AT, 0)
    if (header.some((byte) => byte !== 0)) writeSync(fd, Buffer.alloc(LOOKED_AT), 0, LOOKED_AT, 0)
  } finally {
    closeSync(fd)
  }
}

/** A store that was unmounted has no WAL, and nothing that counts in its journal. */
function wasUnmounted(directory: string): boolean {
  return (statSync(join(directory, "meta.db-wal"), { throwIfNoEntry: false })?.size ?? 0) === 0
}

/** Whether the store was last served since this machine was booted: then all that was written to its files is in them. */
export function isOfThisBoot(directory: string): boolean {
  let fd: number
  try {
    fd = openSync(join(directory, JOURNAL), "r")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false
    throw cause
  }
  try {
    return readJournalHeader(fd, directory)?.bootId === currentBootId()
  } finally {
    closeSync(fd)
  }
}

export function witnessOf(batch: number, entries: number): number {
  return (batch % HALF) * HALF + entries
}

/**
 * What the witness says against `entries` whole entries that were found of `batch`, the batch behind the last commit that
 * the database has: a sentence, or undefined when they agree.
 */
export function contradiction(witness: number, batch: number, entries: number): string | undefined {
  const ahead = (Math.floor(witness / HALF) - (batch % HALF) + HALF) % HALF
  const noted = witness % HALF
  if (ahead > 0 && ahead < HALF / 2)
    return `the database lacks the last ${ahead} commits: meta.db or its write-ahead log is damaged`
  if (ahead === 0 && noted > entries)
    return `the journal is damaged: of ${noted} answered requests ${entries} can be read`
  return undefined
}
