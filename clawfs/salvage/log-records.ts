/** The records of the log, found without any database: whole ones are listed in the catalog, whatever lies between them. */
import { closeSync, openSync, readSync } from "node:fs"
import { OpenFile } from "../backup/files.ts"
import { Fault } from "../core/fault.ts"
import type { Database, Query, Value } from "../store/database.ts"
import { SEGMENT_HEADER, decodeSegmentHeader } from "../store/log-scan.ts"
import { decompress } from "../store/compression.ts"
import {
  RECORD_HEADER,
  RecordFlag,
  decodeRecordHeader,
  verifyRecord,
  type RecordHeader,
} from "../store/record.ts"

/** What every record begins with. */
const MAGIC = Buffer.from("CLWR", "latin1")
const OPEN_FILES = 64

export interface ScannedFile {
  /** Of the store whose segment it is; undefined when the header is damaged. */
  readonly uuid: Buffer | undefined
  readonly records: number
  /** Bytes that belong to no whole record. */
  readonly damagedBytes: number
}

/** A record, as the catalog has it. */
export interface FoundRecord {
  readonly file: number
  readonly segment: number
  readonly position: number
  readonly ino: number
  readonly offset: number
  readonly stored: number
  readonly plain: number
  readonly flags: number
  readonly sequence: number
}
type Row = [number, number, number, number, number, number, number, number, number]
const COLUMNS = "file, segment, position, ino, offset, stored, plain, flags, sequence"

export class LogRecords implements Disposable {
  readonly #paths: string[] = []
  readonly #open = new Map<number, number>()
  readonly #insert: Query<Value[]>
  readonly #at: Query<[number, number], Row>
  readonly #numbered: Query<[number], Row>
  readonly #newer: Query<[number, number], Row>
  readonly #older: Query<[number, number], Row>

  constructor(db: Database) {
    const select = `SELECT ${COLUMNS} FROM record`
    this.#insert = db.query(`INSERT OR IGNORE INTO record (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#at = db.query(`${select} WHERE segment = ? AND position = ?`)
    this.#numbered = db.query(`${select} WHERE sequence = ? ORDER BY offset`)
    this.#newer = db.query(`${select} WHERE ino = ? AND sequence > ? ORDER BY sequence`)
    this.#older = db.query(`${select} WHERE ino = ? AND sequence <= ? ORDER BY sequence DESC`)
  }

  /** Lists the records of the segment file `path`, whose name says that it is number `id`. */
  scan(path: string, id: number, isOurs: (uuid: Buffer) => boolean): ScannedFile {
    using file = OpenFile.open(path)
    const bytes = file?.read() ?? Buffer.alloc(0)
    const header = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER))
    const uuid = header === undefined ? undefined : Buffer.from(header.uuid)
    // Records don't say whose they are.
    if (uuid !== undefined && (header?.id !== id || !isOurs(uuid)))
      return { uuid, records: 0, damagedBytes: bytes.length }
    const number = this.#paths.push(path) - 1
    let [at, records, damagedBytes] = [SEGMENT_HEADER, 0, 0]
    while (at < bytes.length) {
      const found = recordAt(bytes, id, at)
      if (found === undefined) {
        const next = bytes.indexOf(MAGIC, at + 1)
        const end = next < 0 ? bytes.length : next
        damagedBytes += end - at
        at = end
        continue
      }
      const { ino, offset, length, plain, flags, sequence } = found
      this.#insert.run(number, id, at, ino, offset, length, plain, flags, sequence)
      records += 1
      at += RECORD_HEADER + length
    }
    return { uuid, records, damagedBytes }
  }

  /** The record that an extent means, where it says. */
  at(segment: number, position: number): FoundRecord | undefined {
    const row = this.#at.get(segment, position)
    return row === undefined ? undefined : fromRow(row)
  }

  /** All records with this number: one, and what the cleaner has copied of it. */
  numbered(sequence: number): FoundRecord[] {
    return this.#numbered.all(sequence).map(fromRow)
  }

  /** What was written to an inode after the record `sequence`, oldest first. */
  newer(ino: number, sequence: number): FoundRecord[] {
    return this.#newer.all(ino, sequence).map(fromRow)
  }

  /** What was written to an inode up to the record `sequence`, newest first. */
  older(ino: number, sequence: number): FoundRecord[] {
    return this.#older.all(ino, sequence).map(fromRow)
  }

  /** The payload as it was written; undefined for one that is encrypted. */
  payload(record: FoundRecord): Buffer | undefined {
    const { file, segment, position, stored, plain, flags } = record
    if (!isReadable(record)) return undefined
    const bytes = Buffer.allocUnsafeSlow(RECORD_HEADER + stored)
    const got = readSync(this.#descriptor(file), bytes, 0, bytes.length, position)
    const [header, payload] = [bytes.subarray(0, RECORD_HEADER), bytes.subarray(RECORD_HEADER)]
    if (got < bytes.length) throw new Fault("io", `segment ${segment} has changed meanwhile`)
    verifyRecord(header, payload, { segment, position, sequence: 0 })
    return flags === RecordFlag.COMPRESSED ? decompress(payload, plain) : payload
  }

  #descriptor(file: number): number {
    const open = this.#open.get(file)
    if (open !== undefined) return open
    if (this.#open.size >= OPEN_FILES) this[Symbol.dispose]()
    const fd = openSync(this.#paths[file] ?? "", "r")
    this.#open.set(file, fd)
    return fd
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeSync(fd)
    this.#open.clear()
  }
}

/** Whether its bytes can be had without a key. */
export function isReadable({ flags }: FoundRecord): boolean {
  return flags === 0 || flags === RecordFlag.COMPRESSED
}

/** The whole record at `at`, wherever the one before it ended. Throws `Fault("unsupported")` where libzstd is wanted and missing. */
function recordAt(bytes: Buffer, segment: number, at: number): RecordHeader | undefined {
  const header = bytes.subarray(at, at + RECORD_HEADER)
  const length = decodeRecordHeader(header)?.length
  const payload = at + RECORD_HEADER
  if (length === undefined || payload + length > bytes.length) return undefined
  try {
    const data = bytes.subarray(payload, payload + length)
    const found = verifyRecord(header, data, { segment, position: at, sequence: 0 })
    if (found.flags === RecordFlag.COMPRESSED) decompress(data, found.plain)
    return found
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return undefined
    throw thrown
  }
}

function fromRow([file, segment, position, ino, offset, stored, plain, flags, sequence]: Row): FoundRecord {
  return { file, segment, position, ino, offset, stored, plain, flags, sequence }
}
