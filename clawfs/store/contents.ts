/**
 * The bytes of a file: an inline piece and extents, which never overlap; what neither covers is a hole and reads as
 * zeroes. Every method works inside of the caller's transaction and leaves `alloc` exact; the caller saves the inode.
 * Offsets are bytes, below 2^53.
 *
 * They belong to a body, which copies of a file share: its rows are copied before one of them is changed, its bytes never.
 */
import { E, type Result } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import { sumOfData } from "./checksum.ts"
import type { Counters } from "./counters.ts"
import type { Database } from "./database.ts"
import { Extents, UNWRITTEN, clip, endOf, type Extent } from "./extents.ts"
import { INLINE_MAX, InlinePieces, type PieceCoding } from "./inline.ts"
import type { Inode } from "./inode.ts"
import { pieceMemory } from "./piece-memory.ts"
import { RECORD_HEADER } from "./record.ts"
import { RecordCache, type Decode, type Decoder } from "./record-cache.ts"
import type { RecordRead } from "./record-reads.ts"
import type { Encode, Placed, Segments } from "./segments.ts"
import { SharedBodies } from "./shared-bodies.ts"
import type { Trees } from "./trees.ts"

/** Writes shorter than this at a file's end are gathered inline; longer ones become records at once. */
const RECORD_MIN = 4096

/** How records of an inode are stored where nothing is encrypted. */
export interface RecordCoding {
  /** Undefined: as they are. */
  readonly encoderOf: (inode: Inode) => Encode | undefined
  readonly decoderOf: (inode: Inode) => Decode
}

/** How the bytes of an inode are stored. */
export interface Coding {
  readonly encoderOf: RecordCoding["encoderOf"]
  readonly decoderOf: (inode: Inode) => Decoder
  /** Undefined: inline pieces as they are. */
  readonly pieceCodingOf: (inode: Inode) => PieceCoding | undefined
  /** `inode` has another body than `from` now, with a copy of what that had. */
  readonly onNewBody: (inode: Inode, from: number) => void
  /** Nothing is left of the body that `inode` has; it will get another one. */
  readonly onBodyGone: (inode: Inode) => void
}

const NO_DECODER: Decoder = {
  owner: undefined,
  decode: ({ flags }) => {
    throw new Fault("unsupported", `a record is encoded in a way that this clawfs does not know (${flags})`)
  },
}

/** Everything is stored as it is; encoded records can't be read. */
export const PLAIN: Coding = {
  encoderOf: () => undefined,
  decoderOf: () => NO_DECODER,
  pieceCodingOf: () => undefined,
  onNewBody: () => undefined,
  onBodyGone: () => undefined,
}

export const SEEK_DATA = 3
export const SEEK_HOLE = 4

export class Contents {
  readonly #extents: Extents
  readonly #inline: InlinePieces
  readonly #segments: Segments
  readonly #cache: RecordCache
  readonly #counters: Counters
  readonly #trees: Trees
  readonly #shared: SharedBodies
  readonly #coding: Coding

  constructor(db: Database, segments: Segments, counters: Counters, trees: Trees, coding: Coding = PLAIN) {
    this.#extents = new Extents(db, (segment, bytes) => segments.account(segment, bytes))
    this.#inline = new InlinePieces(db, coding.pieceCodingOf)
    this.#segments = segments
    this.#cache = new RecordCache(segments.records)
    this.#counters = counters
    this.#trees = trees
    this.#shared = new SharedBodies(db, counters)
    this.#coding = coding
  }

  /** Puts `[offset, offset + length)` to `out` at `at`; the range must lie within the file. */
  read(inode: Inode, offset: number, length: number, out: Buffer, at: number): void {
    const end = offset + length
    const piece = inode.inlineOffset
    const pieceEnd = piece + inode.inlineLength
    const wholly = inode.inlineLength > 0 && piece <= offset && end <= pieceEnd
    if (!wholly) this.#readExtents(inode, offset, end, out, at)
    const [from, to] = [Math.max(offset, piece), Math.min(end, pieceEnd)]
    if (from < to) this.#inline.get(inode).copy(out, at + (from - offset), from - piece, to - piece)
  }

  #readExtents(inode: Inode, offset: number, end: number, out: Buffer, at: number): void {
    let covered = offset
    let run: Extent[] = []
    const decoder = this.#coding.decoderOf(inode)
    const flush = (): void => {
      const [first] = run
      if (first !== undefined) this.#readRun(run, decoder, out, at + (first.offset - offset))
      run = []
    }
    for (const extent of this.#extents.within(inode, offset, end)) {
      out.fill(0, at + (covered - offset), at + (extent.offset - offset))
      covered = endOf(extent)
      if (!continues(run.at(-1), extent, decoder)) flush()
      if (isWholeRecord(extent, decoder)) run.push(extent)
      else this.#readPart(extent, decoder, out, at + (extent.offset - offset))
    }
    flush()
    out.fill(0, at + (covered - offset), at + (end - offset))
  }

  /** Whole records that lie one behind the other. */
  #readRun(run: readonly Extent[], { sealed }: Decoder, out: Buffer, at: number): void {
    const records = run.map(asRecord)
    if (sealed === undefined) {
      this.#segments.records.readRun(records, out, at)
      return
    }
    this.#segments.records.readSealedRun(records, out, at, sealed, (header, index) => {
      if (header.offset !== run[index]?.offset) throw elsewhere(header.offset)
    })
  }

  #readPart(extent: Extent, decoder: Decoder, out: Buffer, at: number): void {
    const { segment, offset, length, skip, plain, record } = extent
    if (segment === 0) {
      out.fill(0, at, at + length)
      return
    }
    const found = this.#cache.get(asRecord(extent), decoder)
    // Fewer bytes than the extent says would leave somebody else's in the reply.
    if (found.payload.length !== (plain === 0 ? record : plain))
      throw new Fault("corrupt", `a record at ${offset} of a file is not as long as it should be`)
    // What somebody owns is not shared within a file either: each record has one place.
    if (decoder.owner !== undefined && found.offset !== offset - skip) throw elsewhere(offset)
    found.payload.copy(out, at, skip, skip + length)
  }

  /**
   * Stores `data`; the file grows if it ends behind the end. Whatever can fail for want of space comes before the first
   * change.
   */
  write(inode: Inode, offset: number, data: Buffer): void {
    this.#counted(inode, () => {
      if (!this.#writeInline(inode, offset, data)) this.#writeBeside(inode, offset, data)
      inode.size = Math.max(inode.size, offset + data.length)
    })
  }

  /** Bytes that `write` would add: exact. At most `length + INLINE_MAX`, for the hole that an inline piece fills. */
  growthOfWrite(inode: Inode, offset: number, length: number): number {
    const span = this.#inlineSpan(inode, offset, offset + length)
    if (span === undefined) return this.missing(inode, offset, offset + length)
    return (
      span.high -
      span.low -
      inode.inlineLength -
      bytesOf(this.#extents.within(inode, offset, offset + length))
    )
  }

  /** Bytes that `share` would add to the target, or take from it where the source has holes. */
  growthOfShare(source: Inode, offset: number, target: Inode, targetOffset: number, length: number): number {
    const there = length - this.missing(target, targetOffset, targetOffset + length)
    return bytesOf(this.#parts(source, offset, offset + length)) - there
  }

  /** Writes what the inline piece, as it is, can't take. */
  #writeBeside(inode: Inode, offset: number, data: Buffer): void {
    const hasSpilled = this.#spillForWrite(inode, offset, offset + data.length)
    if (offset >= inode.size && data.length < RECORD_MIN && this.#writeInline(inode, offset, data)) return
    try {
      this.#writeRecords(inode, offset, data)
    } catch (thrown) {
      // The spilled piece is a change, although one that nobody would see.
      throw hasSpilled && thrown instanceof Fault
        ? new Fault(thrown.kind, thrown.message, { cause: thrown })
        : thrown
    }
  }

  /** The inline piece as it would be after a write to the range; undefined when that belongs into the log. */
  #inlineSpan(inode: Inode, offset: number, end: number): { low: number; high: number } | undefined {
    const hasExtents = inode.alloc > inode.inlineLength
    const [piece, pieceEnd] = [inode.inlineOffset, inode.inlineOffset + inode.inlineLength]
    const hasPiece = inode.inlineLength > 0
    const low = hasPiece ? Math.min(piece, offset) : offset
    const high = hasPiece ? Math.max(pieceEnd, end) : end
    if (high - low > INLINE_MAX) return undefined
    const inside = hasPiece && piece <= offset && end <= pieceEnd
    const touches = hasPiece && offset <= pieceEnd && end >= piece
    const tail = offset >= inode.size && end - offset < RECORD_MIN
    const fits = hasExtents
      ? inside || (tail && (touches || !hasPiece))
      : hasPiece || end <= INLINE_MAX || tail
    return fits ? { low, high } : undefined
  }

  /** Tries to hold the written range in the inline piece; false when it belongs into the log. */
  #writeInline(inode: Inode, offset: number, data: Buffer): boolean {
    const end = offset + data.length
    const span = this.#inlineSpan(inode, offset, end)
    if (span === undefined) return false
    const { low, high } = span
    if (inode.alloc > inode.inlineLength) this.#extents.remove(inode, offset, end)
    const merged = pieceMemory(high - low)
    if (inode.inlineLength > 0) this.#inline.get(inode).copy(merged, inode.inlineOffset - low)
    data.copy(merged, offset - low)
    // A new small file: its bytes are summed for the journal too.
    this.#inline.set(inode, low, merged, merged.length === data.length ? sumOfData(data) : undefined)
    return true
  }

  /** Makes room in `[offset, end)`, or behind a full tail: an inline piece that is not overwritten becomes a record. */
  #spillForWrite(inode: Inode, offset: number, end: number): boolean {
    const [piece, pieceEnd] = [inode.inlineOffset, inode.inlineOffset + inode.inlineLength]
    if (inode.inlineLength === 0 || (offset <= piece && pieceEnd <= end)) return false
    const isInTheWay = (offset < pieceEnd && piece < end) || offset >= inode.size
    if (isInTheWay) this.#spill(inode)
    return isInTheWay
  }

  /** Moves the inline piece into the log: the file stays the same, only differently stored. */
  #spill(inode: Inode): void {
    if (inode.inlineLength > 0) this.#writeRecords(inode, inode.inlineOffset, this.#inline.get(inode))
  }

  /** Replaces `[offset, offset + data.length)`, and an inline piece within it, by records. */
  #writeRecords(inode: Inode, offset: number, data: Buffer): void {
    const placed = this.#segments.append(inode.ino, offset, data, this.#coding.encoderOf(inode))
    const end = offset + data.length
    if (offset <= inode.inlineOffset && inode.inlineOffset + inode.inlineLength <= end)
      this.#inline.drop(inode)
    this.#extents.remove(inode, offset, end)
    for (const extent of asExtents(offset, placed)) this.#extents.insert(inode, extent)
  }

  /** truncate(2): bytes and reservations behind `size` are gone; growth is a hole. */
  resize(inode: Inode, size: number): void {
    if (size === 0 && !inode.isSole) this.#abandon(inode)
    this.#counted(inode, () => {
      if (size <= inode.size) this.#removeFrom(inode, size)
      inode.size = size
    })
  }

  #removeFrom(inode: Inode, size: number): void {
    this.#extents.remove(inode, size, Number.MAX_SAFE_INTEGER)
    const [piece, length] = [inode.inlineOffset, inode.inlineLength]
    if (length === 0 || size >= piece + length) return
    if (size <= piece) this.#inline.drop(inode)
    else this.#inline.set(inode, piece, Buffer.from(this.#inline.get(inode).subarray(0, size - piece)))
  }

  /** FALLOC_FL_PUNCH_HOLE: the range reads as zeroes and takes no space. The size stays. */
  punch(inode: Inode, offset: number, end: number): void {
    this.#counted(inode, () => this.#clear(inode, offset, end))
  }

  /** FALLOC_FL_ZERO_RANGE: the range reads as zeroes and stays reserved. */
  zero(inode: Inode, offset: number, end: number): void {
    this.#counted(inode, () => {
      this.#clear(inode, offset, end)
      this.#reserve(inode, offset, end)
    })
  }

  /** Reserves what is missing in the range. */
  allocate(inode: Inode, offset: number, end: number): void {
    this.#counted(inode, () => this.#reserve(inode, offset, end))
  }

  /** Bytes that `allocate` would add. */
  missing(inode: Inode, offset: number, end: number): number {
    return end - offset - bytesOf(this.#parts(inode, offset, end))
  }

  #reserve(inode: Inode, offset: number, end: number): void {
    for (const gap of this.#gaps(inode, offset, end)) {
      const length = gap.end - gap.offset
      this.#extents.insert(inode, { offset: gap.offset, length, ...UNWRITTEN })
    }
  }

  #gaps(inode: Inode, offset: number, end: number): { offset: number; end: number }[] {
    const gaps: { offset: number; end: number }[] = []
    let at = offset
    for (const part of this.#parts(inode, offset, end)) {
      if (part.offset > at) gaps.push({ offset: at, end: part.offset })
      at = part.offset + part.length
    }
    if (at < end) gaps.push({ offset: at, end })
    return gaps
  }

  /** What is stored or reserved within the range, in order: extents, and the inline piece as `inline`. */
  #parts(inode: Inode, start: number, end: number): (Extent & { inline: boolean })[] {
    const parts = this.#extents.within(inode, start, end).map((extent) => ({ ...extent, inline: false }))
    const [piece, pieceEnd] = [inode.inlineOffset, inode.inlineOffset + inode.inlineLength]
    if (piece < end && start < pieceEnd) {
      const whole = { offset: piece, length: inode.inlineLength, ...UNWRITTEN, segment: -1 }
      parts.push({ ...clip(whole, start, end), inline: true })
      parts.sort((a, b) => a.offset - b.offset)
    }
    return parts
  }

  #clear(inode: Inode, offset: number, end: number): void {
    const [piece, pieceEnd] = [inode.inlineOffset, inode.inlineOffset + inode.inlineLength]
    if (inode.inlineLength > 0 && offset < pieceEnd && piece < end) this.#clearInline(inode, offset, end)
    this.#extents.remove(inode, offset, end)
  }

  /** A hole at an edge shortens the piece; one in the middle leaves two parts, so the piece goes to the log first. */
  #clearInline(inode: Inode, offset: number, end: number): void {
    const [piece, pieceEnd] = [inode.inlineOffset, inode.inlineOffset + inode.inlineLength]
    const data = this.#inline.get(inode)
    if (offset <= piece && end >= pieceEnd) this.#inline.drop(inode)
    else if (offset <= piece) this.#inline.set(inode, end, Buffer.from(data.subarray(end - piece)))
    else if (end >= pieceEnd) this.#inline.set(inode, piece, Buffer.from(data.subarray(0, offset - piece)))
    else this.#spill(inode)
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE; unwritten extents count as holes, the end of the file as one too. */
  seek(inode: Inode, offset: number, whence: number): Result<{ offset: number }> {
    if (offset >= inode.size) return E.ENXIO
    let at = offset
    for (const part of this.#parts(inode, offset, inode.size)) {
      if (part.segment === 0) continue
      if (whence === SEEK_DATA) return { offset: part.offset }
      if (part.offset > at) break
      at = part.offset + part.length
    }
    return whence === SEEK_DATA ? E.ENXIO : { offset: Math.min(at, inode.size) }
  }

  /**
   * copy_file_range(2): the target shares the source's records, no byte is copied, but those of an inline piece, which
   * get a record. Ranges of one file must not overlap (the kernel checks).
   */
  share(source: Inode, offset: number, target: Inode, targetOffset: number, length: number): void {
    const parts = this.#parts(source, offset, offset + length)
    const shift = targetOffset - offset
    const extents = parts.flatMap(({ inline, ...extent }) =>
      inline ? this.#recorded(source, extent, shift) : [extent],
    )
    this.#counted(target, () => {
      this.#clear(target, targetOffset, targetOffset + length)
      for (const extent of extents) this.#extents.insert(target, { ...extent, offset: extent.offset + shift })
      target.size = Math.max(target.size, targetOffset + length)
    })
  }

  /** Records with the bytes of a part of the source's inline piece, at the source's offsets. */
  #recorded(source: Inode, part: Extent, shift: number): Extent[] {
    const start = part.offset - source.inlineOffset
    const data = this.#inline.get(source).subarray(start, start + part.length)
    const encode = this.#coding.encoderOf(source)
    return asExtents(part.offset, this.#segments.append(source.ino, part.offset + shift, data, encode))
  }

  /** Gives `target` the contents of `source` instead of its own: they share them, no byte is copied. */
  adopt(source: Inode, target: Inode): void {
    if (target.body === source.body) return
    this.removeAll(target)
    this.#coding.onBodyGone(target)
    this.#shared.acquire(source.body)
    target.body = source.body
    target.size = source.size
    target.alloc = source.alloc
    target.inlineOffset = source.inlineOffset
    target.inlineLength = source.inlineLength
    target.extentsEnd = -1
    target.partSum = source.partSum
    target.isWhole = source.isWhole
    for (const inode of [source, target]) inode.isSole = false
    this.#trees.charge(target.tree, target.alloc, 0)
  }

  /** Everything, of a file that goes away. */
  removeAll(inode: Inode): void {
    if (!inode.isSole && this.#abandon(inode)) return
    inode.isSole = true
    this.#counted(inode, () => {
      if (inode.alloc > inode.inlineLength) this.#extents.removeAll(inode)
      this.#inline.drop(inode)
    })
  }

  /** Keeps the totals of the store and of its trees. Contents that others have too are copied first: rows, not bytes. */
  #counted(inode: Inode, change: () => void): void {
    if (!inode.isSole) this.#own(inode)
    const before = inode.alloc
    change()
    const growth = inode.alloc - before
    this.#counters.bytes += growth
    this.#trees.charge(inode.tree, growth, 0)
  }

  /** Leaves contents that others have too to them; false when there are no others. */
  #abandon(inode: Inode): boolean {
    if (!this.#shared.release(inode.body)) return false
    this.#trees.charge(inode.tree, -inode.alloc, 0)
    const from = inode.body
    inode.body = this.#counters.allocateIno()
    this.#coding.onNewBody(inode, from)
    inode.isSole = true
    inode.alloc = 0
    inode.inlineOffset = 0
    inode.inlineLength = 0
    inode.extentsEnd = 0
    inode.partSum = 0
    return true
  }

  #own(inode: Inode): void {
    if (this.#shared.has(inode.body)) {
      const body = this.#counters.allocateIno()
      this.#extents.copy(inode, body)
      this.#inline.copy(inode, body)
      const from = inode.body
      this.#shared.release(from)
      inode.body = body
      this.#coding.onNewBody(inode, from)
      this.#counters.bytes += inode.alloc
    }
    inode.isSole = true
  }

  /** Part of every commit. */
  flush(): void {
    this.#inline.flush()
  }

  /** What was decoded for somebody is forgotten and wiped. Nothing may be left to be committed. */
  wipeCaches(): void {
    this.#inline.wipe()
    this.#cache.clearOwned()
  }

  /** After a rollback. Records stay valid: nothing in the log is ever overwritten. */
  clearCaches(): void {
    this.#inline.clear()
  }
}

function bytesOf(parts: readonly Extent[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

function elsewhere(offset: number): Fault {
  return new Fault("corrupt", `a record at ${offset} of a file belongs elsewhere in it`)
}

/** Whether the payload is what the extent's bytes are, and all of it; of encrypted ones with a tag behind it. */
function isWholeRecord({ segment, skip, length, record, plain }: Extent, decoder: Decoder): boolean {
  if (segment === 0 || skip !== 0) return false
  const { owner, sealed } = decoder
  if (owner === undefined) return length === record && plain === 0
  // What is compressed too is shorter by an eighth at least.
  return sealed !== undefined && length === plain && record === plain + sealed.tagLength
}

function asExtents(offset: number, placed: readonly Placed[]): Extent[] {
  let at = offset
  return placed.map(({ length, stored, isEncoded, place }) => {
    const extent = { offset: at, length, ...place, record: stored, skip: 0, plain: isEncoded ? length : 0 }
    at += length
    return extent
  })
}

/** Whether `next` lies right behind `previous`, in the file and in the segment, so that one read call gets both. */
function continues(previous: Extent | undefined, next: Extent, decoder: Decoder): boolean {
  if (previous === undefined) return false
  if (!isWholeRecord(next, decoder) || endOf(previous) !== next.offset || previous.segment !== next.segment)
    return false
  return previous.position + RECORD_HEADER + previous.record === next.position
}

function asRecord({ segment, position, record, sequence }: Extent): RecordRead {
  return { segment, position, length: record, sequence }
}
