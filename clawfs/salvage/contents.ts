/**
 * What can be told of a file's bytes: the extents and the inline piece that a database knows, in their place records that the
 * cleaner has moved since, over them records that are younger than the database, and where rows are lost, older ones.
 */
import type { Database, Query } from "../store/database.ts"
import { INLINE_MAX } from "../store/inline.ts"
import { UNKNOWN } from "./catalog.ts"
import { Cover, type Span } from "./cover.ts"
import { isReadable, type FoundRecord, type LogRecords } from "./log-records.ts"

/** A row of table `inode`, as far as it is about contents. */
export interface ContentRow {
  readonly ino: number
  readonly size: number
  /** `UNKNOWN`: nothing but the number is known. */
  readonly alloc: number
  readonly body: number
  readonly inlineOffset: number
  readonly inlineLength: number
}

export type Piece =
  | { readonly kind: "bytes"; readonly bytes: Buffer; readonly from: number }
  /** `from` is where in the file the payload's first byte lies. */
  | { readonly kind: "record"; readonly record: FoundRecord; readonly from: number }
  /** Reserved; reads as zeroes. */
  | { readonly kind: "zeroes" }

export interface Recovered {
  readonly size: number
  /** By place in the file; what is between them is a hole. */
  readonly pieces: readonly Span<Piece>[]
  /** Ranges that were there and are lost: they read as zeroes. */
  readonly lost: readonly { readonly start: number; readonly end: number }[]
  /** Bytes whose place the log alone tells: they may have been overwritten or cut off since. */
  readonly uncertainBytes: number
}

type ExtentRow = [number, number, number, number, number, number, number, number]

export class ContentFinder {
  readonly #records: LogRecords
  readonly #extents: Query<[number], ExtentRow>
  readonly #inline: Query<[number], [Buffer]>
  readonly #until: Query<[number], [number]>

  constructor(db: Database, records: LogRecords) {
    this.#records = records
    this.#extents = db.query(
      "SELECT offset, length, segment, position, record, skip, plain, sequence FROM extent WHERE body = ? ORDER BY offset",
    )
    this.#inline = db.query("SELECT data FROM inline WHERE body = ?")
    this.#until = db.query("SELECT sequence FROM until WHERE ino = ?")
  }

  /** `isDamaged`: rows of this body may be lost, so what they don't speak of may have been written all the same. */
  find(row: ContentRow, isDamaged: boolean): Recovered {
    const { ino, alloc } = row
    const isKnown = alloc !== UNKNOWN
    const until = this.#until.get(ino)?.[0] ?? 0
    const cover = new Cover<Piece>()
    const missing = new Cover<undefined>()
    const noted = this.#noted(row, cover, missing)
    let size = isKnown ? row.size : 0
    for (const record of this.#records.newer(ino, until)) {
      this.#lay(record, cover, missing)
      size = Math.max(size, record.offset + record.plain)
    }
    const lost = missing.spans.flatMap(({ start, end }) =>
      cover.gaps(start, isKnown ? Math.min(end, size) : end),
    )
    // An older version of what is lost is not what was there.
    for (const { start, end } of lost) cover.put(start, end, { kind: "zeroes" })
    const isWhole = isKnown && (noted === alloc || !isDamaged)
    const uncertainBytes = isWhole ? 0 : this.#guess(ino, until, isKnown ? size : Infinity, cover)
    if (!isKnown) size = Math.max(size, cover.end)
    // More was stored than is found: it lay where nothing is now.
    else if (!isWhole && noted + uncertainBytes < alloc) lost.push(...cover.gaps(0, size))
    return { size, pieces: cut(cover.spans, size), lost, uncertainBytes }
  }

  /** What the rows say; returns of how many bytes they speak. */
  #noted(row: ContentRow, cover: Cover<Piece>, missing: Cover<undefined>): number {
    const body = row.body === 0 ? row.ino : row.body
    let noted = 0
    for (const extent of this.#extents.all(body)) {
      const [offset, length] = extent
      if (offset < 0 || length < 1 || !Number.isSafeInteger(offset + length)) continue
      noted += length
      if (!this.#layExtent(row.ino, extent, cover)) missing.put(offset, offset + length, undefined)
    }
    const data = this.#inline.get(body)?.[0]
    if (row.alloc === UNKNOWN) {
      // Where it lies in the file is lost with the row; alone it begins the file, as a small one does.
      if (data !== undefined && noted === 0)
        cover.put(0, data.length, { kind: "bytes", bytes: data, from: 0 })
      return noted
    }
    const [start, length] = [row.inlineOffset, row.inlineLength]
    if (length < 1 || length > INLINE_MAX || start < 0) return noted
    if (data?.length === length) cover.put(start, start + length, { kind: "bytes", bytes: data, from: start })
    else missing.put(start, start + length, undefined)
    return noted + length
  }

  /** False when the record that an extent means is not there any more. */
  #layExtent(ino: number, extent: ExtentRow, cover: Cover<Piece>): boolean {
    const [offset, length, segment, position, stored, skip, plain, sequence] = extent
    if (segment === 0) {
      cover.put(offset, offset + length, { kind: "zeroes" })
      return true
    }
    const decoded = plain === 0 ? stored : plain
    const at = this.#records.at(segment, position)
    if (at?.stored === stored && (sequence === 0 || at.sequence === sequence)) {
      if (!isReadable(at)) return false
      cover.put(offset, offset + length, { kind: "record", record: at, from: offset - skip })
      return true
    }
    if (sequence === 0) return false
    const start = offset - skip
    for (const copy of this.#records.numbered(sequence)) {
      if (!isReadable(copy)) continue
      // A copy of a part says where in the file of the first writer it lies; one of the whole needs no saying.
      const from = copy.plain === decoded ? start : copy.ino === ino ? copy.offset : undefined
      if (from === undefined) continue
      const [low, high] = [Math.max(offset, from), Math.min(offset + length, from + copy.plain)]
      cover.put(low, high, { kind: "record", record: copy, from })
    }
    return cover.gaps(offset, offset + length).length === 0
  }

  #lay(record: FoundRecord, cover: Cover<Piece>, missing: Cover<undefined>): void {
    const [start, end] = [record.offset, record.offset + record.plain]
    if (isReadable(record)) cover.put(start, end, { kind: "record", record, from: start })
    else missing.put(start, end, undefined)
  }

  /** Fills what no row speaks of with what was written there last. */
  #guess(ino: number, until: number, size: number, cover: Cover<Piece>): number {
    let filled = 0
    for (const record of this.#records.older(ino, until)) {
      if (!isReadable(record)) continue
      const { offset: from, plain } = record
      filled += cover.fill(from, Math.min(size, from + plain), { kind: "record", record, from })
    }
    return filled
  }
}

function cut(spans: readonly Span<Piece>[], size: number): Span<Piece>[] {
  return spans
    .filter(({ start }) => start < size)
    .map((span) => (span.end > size ? { ...span, end: size } : span))
}
