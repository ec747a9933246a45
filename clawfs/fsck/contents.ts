/** A body's bytes as the tables and one of its inodes describe them: inline piece and extents, their places and sum. */
import { INLINE_MAX } from "../store/inline.ts"
import { PERMISSIONS, S_IFREG } from "../store/inode.ts"
import { storedBytes } from "../store/extents.ts"
import { RECORD_HEADER } from "../store/record.ts"
import { DT_REG, type InodeRow } from "./attributes.ts"
import { isSegment, problemOfExtent, type ExtentRow } from "./extent.ts"
import type { FindingKind } from "./finding.ts"
import type { Pass } from "./pass.ts"
import { SAFE_LIMIT, change } from "./scan.ts"

interface Range {
  readonly offset: number
  readonly length: number
}

/** What an inode says of its contents. */
export type ContentsRow = Pick<
  InodeRow,
  "ino" | "mode" | "type" | "size" | "alloc" | "inlineOffset" | "inlineLength" | "body"
>

/** What it says when everything is mended that can be. */
export type Settled = Pick<InodeRow, "size" | "alloc" | "inlineOffset" | "inlineLength">

export interface BodyRows {
  /** Length of the row in `inline`; undefined without one. */
  readonly inline: number | undefined
  readonly extents: Iterable<ExtentRow>
}

/**
 * Checks what an inode says of its contents against the rows of its body. Of a body that several inodes have, those rows
 * count once: `isCounted` is false for the others.
 */
export function checkContents(pass: Pass, inode: ContentsRow, rows: BodyRows, isCounted = true): Settled {
  const checker = new ContentsChecker(pass, inode, rows.inline, isCounted)
  for (const extent of rows.extents) checker.extent(extent)
  return checker.finish()
}

class ContentsChecker {
  readonly #pass: Pass
  readonly #inode: ContentsRow
  /** Length of the row in `inline`; undefined without one. */
  readonly #row: number | undefined
  readonly #isCounted: boolean
  #extents = 0
  /** Where the extent before ends. */
  #end = 0
  /** Where the last written byte ends: a file's size is not below it. */
  #writtenEnd = 0
  /** The first extent that lies where the inline piece does. */
  #overlap: Range | undefined

  constructor(pass: Pass, inode: ContentsRow, row: number | undefined, isCounted: boolean) {
    this.#pass = pass
    this.#inode = inode
    this.#row = row
    this.#isCounted = isCounted
  }

  extent(row: ExtentRow): void {
    const [body, offset, length, segment, position, record, skip, plain, sequence] = row
    if (this.#isCounted) this.#pass.totals.extents += 1
    const range = { offset, length }
    const problem = problemOfExtent(row)
    if (problem !== undefined) this.#report("extent", problem, undefined, range)
    else if (offset < this.#end) this.#report("extent", "two extents overlap", undefined, range)
    const { inlineOffset, inlineLength } = this.#inode
    const pieceEnd = inlineOffset + Math.max(inlineLength, this.#row ?? 0)
    if (offset < pieceEnd && inlineOffset < offset + length) this.#overlap ??= range
    if (length > 0) {
      this.#extents += length
      this.#end = Math.max(this.#end, offset + length)
    }
    if (segment !== 0) this.#use(row, problem === undefined)
    else if ([position, record, skip, plain, sequence].some((value) => value !== 0)) {
      const sql = `UPDATE extent SET position = 0, record = 0, skip = 0, plain = 0, sequence = 0
        WHERE body = ? AND offset = ?`
      this.#report("extent", "an unwritten extent with a place in the log", () =>
        change(this.#pass.db, sql, body, offset),
      )
    }
  }

  #use(row: ExtentRow, isSound: boolean): void {
    const [, offset, length, segment, position, record, skip, plain] = row
    if (!isSegment(segment)) return
    if (isSound) this.#writtenEnd = Math.max(this.#writtenEnd, offset + length)
    if (!this.#isCounted) return
    const use = this.#pass.use.get(segment) ?? { live: 0, end: 0 }
    use.live += Math.max(0, storedBytes({ length, record, skip, plain }))
    if (isSound) use.end = Math.max(use.end, position + RECORD_HEADER + record)
    this.#pass.use.set(segment, use)
  }

  finish(): Settled {
    const { type, size } = this.#inode
    const [offset, length] = this.#inline()
    const isSound = length >= 0 && length <= INLINE_MAX && offset >= 0 && offset + length < SAFE_LIMIT
    if (!isSound) this.#report("inline", `an inline piece of ${length} bytes at ${offset} can't be`)
    else if (length > 0) {
      this.#writtenEnd = Math.max(this.#writtenEnd, offset + length)
      if (this.#overlap !== undefined)
        this.#report("extent", "an extent overlaps the inline piece", undefined, this.#overlap)
    }
    const stored = this.#extents + Math.max(0, length)
    if (type !== DT_REG && (stored > 0 || this.#row !== undefined))
      reportMisfit(this.#pass, this.#inode, this.#inode.alloc === stored && stored > 0)
    return {
      size: type === DT_REG ? this.#size(this.#writtenEnd) : size,
      alloc: this.#alloc(stored),
      inlineOffset: offset,
      inlineLength: length,
    }
  }

  #size(end: number): number {
    const { ino, size } = this.#inode
    if (end <= size) return size
    // What lies behind the end would come back when the file grows; that it was cut off on purpose can't be.
    const isMended = this.#report("inode", `size ${size}, but there are contents up to ${end}`, () =>
      change(this.#pass.db, "UPDATE inode SET size = ? WHERE ino = ?", end, ino),
    )
    return isMended ? end : size
  }

  #alloc(stored: number): number {
    const { ino, type, alloc } = this.#inode
    // Contents of something that is no file are told; what it says of them is a trace of what it was.
    if (alloc === stored || (type !== DT_REG && stored !== 0)) return alloc
    const repair = (): void => change(this.#pass.db, "UPDATE inode SET alloc = ? WHERE ino = ?", stored, ino)
    const message = `alloc ${alloc}, but ${stored} bytes are stored`
    const isMended = this.#report("inode", message, Number.isSafeInteger(stored) ? repair : undefined)
    return isMended ? stored : alloc
  }

  /** Compares the row in `inline` with what the inode says of it; returns place and length of the piece from now on. */
  #inline(): readonly [offset: number, length: number] {
    const { body, inlineOffset, inlineLength } = this.#inode
    const { db } = this.#pass
    const row = this.#row ?? 0
    if (this.#pass.sealed.has(this.#inode.ino)) return this.#sealedInline()
    // A place that can't be: what belongs there can't be told.
    if (inlineOffset < 0 || inlineOffset >= SAFE_LIMIT) return [inlineOffset, inlineLength]
    if (row === inlineLength && (row > 0 || (this.#row === undefined && inlineOffset === 0)))
      return [inlineOffset, inlineLength]
    if (row === 0) {
      const [message, range] = this.#lost(0)
      const isMended = this.#report(
        "inline",
        message,
        () => {
          change(db, "DELETE FROM inline WHERE body = ?", body)
          this.#place(0, 0)
        },
        range,
      )
      return isMended ? [0, 0] : [inlineOffset, inlineLength]
    }
    if (row < inlineLength || this.#isPieceOf(row)) {
      const [message, range] = this.#lost(row)
      const isMended = this.#report("inline", message, () => this.#place(inlineOffset, row), range)
      return [inlineOffset, isMended ? row : inlineLength]
    }
    // Nothing reads these bytes, and what is in their place must not be covered by them.
    this.#report(
      "leftover",
      `${row - Math.max(0, inlineLength)} bytes in table inline belong to nothing`,
      () => {
        if (inlineLength <= 0) change(db, "DELETE FROM inline WHERE body = ?", body)
        else
          change(
            db,
            "UPDATE inline SET data = substr(data, 1, ?), sum = bytes_sum(body, substr(data, 1, ?)) WHERE body = ?",
            inlineLength,
            inlineLength,
            body,
          )
      },
    )
    return [inlineOffset, inlineLength]
  }

  /** An encrypted piece can only be whole, or lost. */
  #sealedInline(): readonly [offset: number, length: number] {
    const { inlineOffset, inlineLength } = this.#inode
    const right = inlineLength === 0 ? undefined : inlineLength
    if (this.#row !== right) {
      const message = `the encrypted inline piece has ${this.#row ?? 0} bytes, it should have ${right ?? 0}`
      this.#report("inline", message, undefined, { offset: inlineOffset, length: inlineLength })
    }
    return [inlineOffset, inlineLength]
  }

  /** Whether a row that is longer than the inode says is the piece all the same. */
  #isPieceOf(row: number): boolean {
    const { inlineOffset, size, alloc } = this.#inode
    return (
      this.#overlap === undefined &&
      row <= INLINE_MAX &&
      inlineOffset >= 0 &&
      inlineOffset + row <= size &&
      alloc !== this.#extents + Math.max(0, this.#inode.inlineLength)
    )
  }

  #lost(row: number): readonly [message: string, range: Range | undefined] {
    const { inlineOffset: offset, inlineLength: length } = this.#inode
    if (row >= length) return [`the inline piece has ${row} bytes, the inode says ${length}`, undefined]
    const range = { offset: offset + row, length: length - row }
    return [`${row === 0 ? "" : "the end of "}the inline piece is lost, ${range.length} bytes`, range]
  }

  #place(offset: number, length: number): void {
    const sql = "UPDATE inode SET inline_offset = ?, inline_length = ? WHERE ino = ?"
    const { db } = this.#pass
    change(db, sql, offset, length, this.#inode.ino)
    // What is left of it is taken as it is.
    change(db, "UPDATE inline SET sum = bytes_sum(body, data) WHERE body = ?", this.#inode.body)
  }

  #report(kind: FindingKind, message: string, repair?: () => void, range?: Range): boolean {
    return this.#pass.findings.add({
      kind,
      ino: this.#inode.ino,
      message,
      ...(repair === undefined ? {} : { repair }),
      ...(range === undefined ? {} : { range }),
    })
  }
}

/** Contents of something that is no file. If the inode counts them (`isCounting`), and no names are in it, it was one. */
export function reportMisfit({ db, findings, index }: Pass, inode: ContentsRow, isCounting: boolean): void {
  const { ino, mode } = inode
  const value = S_IFREG | (mode & PERMISSIONS)
  const repair = (): void => change(db, "UPDATE inode SET mode = ? WHERE ino = ?", value, ino)
  const isFile = isCounting && index.isFilled[index.find(ino)] !== 1
  const message = `mode 0o${mode.toString(8)}, and has contents of a file`
  findings.add({ kind: "inode", ino, message, ...(isFile ? { repair } : {}) })
}
