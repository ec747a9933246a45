/**
 * SQLite's write-ahead log, read without SQLite: where each commit ends, and what a page looks like in it
 * (https://www.sqlite.org/fileformat2.html, section 4). A start after a power cut needs it to go back to an earlier commit.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"

/** Lengths in bytes: of the file's header, and of that before each page. */
export const WAL_HEADER = 32
export const FRAME_HEADER = 24
const MAGIC_LITTLE = 0x377f0682
const MAGIC_BIG = 0x377f0683

export interface Frame {
  readonly page: number
  /** Where its page image begins in the file. */
  readonly at: number
}

/** A transaction: its frames in order, and the file offset behind the last of them. */
export interface Commit {
  readonly frames: readonly Frame[]
  readonly end: number
}

export class Wal {
  readonly bytes: Buffer
  readonly pageSize: number
  /** Whole commits, oldest first, as SQLite itself would accept them. */
  readonly commits: readonly Commit[]

  private constructor(bytes: Buffer, pageSize: number, commits: readonly Commit[]) {
    this.bytes = bytes
    this.pageSize = pageSize
    this.commits = commits
  }

  /** Undefined for a file that SQLite would ignore as a whole. */
  static read(path: string): Wal | undefined {
    const bytes = readWhole(path)
    if (bytes === undefined || bytes.length < WAL_HEADER) return undefined
    const magic = bytes.readUInt32BE(0)
    if (magic !== MAGIC_LITTLE && magic !== MAGIC_BIG) return undefined
    const pageSize = bytes.readUInt32BE(8)
    if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) return undefined
    const sum = new Checksum(bytes, magic === MAGIC_BIG)
    sum.add(0, WAL_HEADER - 8)
    if (!sum.equals(WAL_HEADER - 8)) return undefined
    return new Wal(bytes, pageSize, commitsOf(bytes, pageSize, sum))
  }

  page(frame: Frame): Buffer {
    return this.bytes.subarray(frame.at, frame.at + this.pageSize)
  }
}

function readWhole(path: string): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(path, "r")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  try {
    const bytes = Buffer.allocUnsafeSlow(fstatSync(fd).size)
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(fd)
  }
}

function commitsOf(bytes: Buffer, pageSize: number, sum: Checksum): Commit[] {
  const commits: Commit[] = []
  const salts = bytes.subarray(16, 24)
  let frames: Frame[] = []
  for (let at = WAL_HEADER; at + FRAME_HEADER + pageSize <= bytes.length; at += FRAME_HEADER + pageSize) {
    const page = bytes.readUInt32BE(at)
    if (page === 0 || !bytes.subarray(at + 8, at + 16).equals(salts)) break
    sum.add(at, 8)
    sum.add(at + FRAME_HEADER, pageSize)
    if (!sum.equals(at + 16)) break
    frames.push({ page, at: at + FRAME_HEADER })
    const isCommit = bytes.readUInt32BE(at + 4) !== 0
    if (!isCommit) continue
    commits.push({ frames, end: at + FRAME_HEADER + pageSize })
    frames = []
  }
  return commits
}

/** The running checksum over header and frames: two sums of 32-bit words in the byte order that the magic names. */
class Checksum {
  readonly #view: DataView
  readonly #isLittle: boolean
  #first = 0
  #second = 0

  constructor(bytes: Buffer, isBig: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#isLittle = !isBig
  }

  add(at: number, length: number): void {
    let [first, second] = [this.#first, this.#second]
    for (let i = at; i < at + length; i += 8) {
      first = (first + this.#view.getUint32(i, this.#isLittle) + second) | 0
      second = (second + this.#view.getUint32(i + 4, this.#isLittle) + first) | 0
    }
    this.#first = first
    this.#second = second
  }

  equals(at: number): boolean {
    return (
      this.#view.getUint32(at, false) === this.#first >>> 0 &&
      this.#view.getUint32(at + 4, false) === this.#second >>> 0
    )
  }
}

/**
 * The integers of the only row of a table, from its page: a leaf of a table b-tree (section 1.6) with one cell. Columns
 * that the row lacks, added after it was written, are missing at the end. Undefined for any other page.
 */
export function onlyRow(page: Buffer): (number | null)[] | undefined {
  const LEAF = 0x0d
  if (page.length < 512 || page[0] !== LEAF || page.readUInt16BE(3) !== 1) return undefined
  const cursor = { page, at: page.readUInt16BE(8) }
  try {
    varint(cursor)
    varint(cursor)
    const start = cursor.at
    const end = start + varint(cursor)
    const types: number[] = []
    while (cursor.at < end) types.push(varint(cursor))
    return types.map((type) => integer(cursor, type))
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined
    throw thrown
  }
}

interface Cursor {
  readonly page: Buffer
  at: number
}

/** Up to nine bytes, seven bits each; values here are far below 2^53. */
function varint(cursor: Cursor): number {
  let value = 0
  for (let count = 0; count < 8; count += 1) {
    const byte = cursor.page.readUInt8(cursor.at)
    cursor.at += 1
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return value
  }
  throw new RangeError("a number that no table of ours has")
}

/** Serial types 0 to 6, 8 and 9: NULL, integers of 1, 2, 3, 4, 6 and 8 bytes, the constants 0 and 1. */
const WIDTHS = [0, 1, 2, 3, 4, 6, 8]

function integer(cursor: Cursor, type: number): number | null {
  if (type === 0) return null
  if (type === 8 || type === 9) return type - 8
  const width = WIDTHS[type]
  if (width === undefined) throw new RangeError(`serial type ${type} is no integer`)
  const at = cursor.at
  cursor.at += width
  return width === 8 ? Number(cursor.page.readBigInt64BE(at)) : cursor.page.readIntBE(at, width)
}
