/** One inode's bytes as the tables describe them: the inline piece and the extents, their places and their sum. */
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

/** Checks what an inode stores; returns how much that is, for its `alloc`. `inlineRow`: length of its row in `inline`. */
export function checkContents(
  pass: Pass,
  inode: InodeRow,
  inlineRow: number | undefined,
  extents: Iterable<ExtentRow>,
): number {
  const checker = new ContentsChecker(pass, inode, inlineRow)
  for (const extent of extents) checker.extent(extent)
  return checker.finish()
}

class ContentsChecker {
  readonly #pass: Pass
  readonly #inode: InodeRow
  /** Length of the row in `inline`; undefined without one. */
  readonly #row: number | undefined
  #extents = 0
  /** Where the extent before ends. */
  #end = 0
  /** Where the last written byte ends: a file's size is not below it. */
  #writtenEnd = 0
  /** The first extent that lies where the inline piece does. */
  #overlap: Range | undefined

  constructor(pass: Pass, inode: InodeRow, row: number | undefined) {
    this.#pass = pass
    this.#inode = inode
    this.#row = row
  }

  extent(row: ExtentRow): void {
    const [ino, offset, length, segment, position, record, skip] = row
    this.#pass.totals.extents += 1
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
    else if (position !== 0 || record !== 0 || skip !== 0) {
      const sql = "UPDATE extent SET position = 0, record = 0, skip = 0 WHERE body = ? AND offset = ?"
      this.#report("extent", "an unwritten extent with a place in the log", () =>
        change(this.#pass.db, sql, ino, offset),
      )
    }
  }

  #use(row: ExtentRow, isSound: boolean): void {
    const [, offset, length, segment, position, record, skip, plain] = row
    if (!isSegment(segment)) return
    const use = this.#pass.use.get(segment) ?? { live: 0, end: 0 }
    use.live += Math.max(0, storedBytes({ length, record, skip, plain }))
    if (isSound) {
      use.end = Math.max(use.end, position + RECORD_HEADER + record)
      this.#writtenEnd = Math.max(this.#writtenEnd, offset + length)
    }
    this.#pass.use.set(segment, use)
  }

  finish(): number {
    const { ino, type, size } = this.#inode
    const [offset, length] = this.#inline()
    const isSound = length >= 0 && length <= INLINE_MAX && offset >= 0 && offset + length < SAFE_LIMIT
    if (!isSound) this.#report("inline", `an inline piece of ${length} bytes at ${offset} can't be`)
    else if (length > 0) {
      this.#writtenEnd = Math.max(this.#writtenEnd, offset + length)
      if (this.#overlap !== undefined)
        this.#report("extent", "an extent overlaps the inline piece", undefined, this.#overlap)
    }
    const stored = this.#extents + Math.max(0, length)
    if (type !== DT_REG && (stored > 0 || this.#row !== undefined)) this.#misfit(stored)
    const end = this.#writtenEnd
    if (type === DT_REG && end > size) {
      // What lies behind the end would come back when the file grows; that it was cut off on purpose can't be.
      this.#report("inode", `size ${size}, but there are contents up to ${end}`, () =>
        change(this.#pass.db, "UPDATE inode SET size = ? WHERE ino = ?", end, ino),
      )
    }
    return stored
  }

  /** Contents of something that is no file. If the inode counts them, and no names are in it, it was one. */
  #misfit(stored: number): void {
    const { ino, mode, alloc } = this.#inode
    const { db, index } = this.#pass
    const isFile = alloc === stored && stored > 0 && index.isFilled[index.find(ino)] !== 1
    const value = S_IFREG | (mode & PERMISSIONS)
    const repair = (): void => change(db, "UPDATE inode SET mode = ? WHERE ino = ?", value, ino)
    this.#report(
      "inode",
      `mode 0o${mode.toString(8)}, and has contents of a file`,
      isFile ? repair : undefined,
    )
  }

  /** Compares the row in `inline` with what the inode says of it; returns place and length of the piece from now on. */
  #inline(): readonly [offset: number, length: number] {
    const { ino, inlineOffset, inlineLength } = this.#inode
    const { db } = this.#pass
    const row = this.#row ?? 0
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
          change(db, "DELETE FROM inline WHERE body = ?", ino)
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
        if (inlineLength <= 0) change(db, "DELETE FROM inline WHERE body = ?", ino)
        else change(db, "UPDATE inline SET data = substr(data, 1, ?) WHERE body = ?", inlineLength, ino)
      },
    )
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
    change(this.#pass.db, sql, offset, length, this.#inode.ino)
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
