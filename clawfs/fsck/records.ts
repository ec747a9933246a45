/**
 * Reads every record that an extent points to. Extents come in the order of files; so many at a time as fit into a batch
 * are sorted by where they lie, so that the log is read front to back, and a record that several share once.
 */
import { logPosition, positionOf, segmentOf } from "../store/log-position.ts"
import { RECORD_HEADER } from "../store/record.ts"
import { BodyTables } from "./body-tables.ts"
import { EXTENT_COLUMNS, problemOfExtent, type ExtentRow } from "./extent.ts"
import type { Pass } from "./pass.ts"
import { INO_LIMIT, PAGE, SAFE_LIMIT, numberOf, rowsOf } from "./scan.ts"
import { SegmentReader, WINDOW, type Verdict } from "./segment-reader.ts"

/** Extents in a batch: 14 MB. */
const BATCH = 1 << 18
/** Records that lie closer together are read at once, with what is between them. */
const GAP = 64 * 1024

const ALL = `SELECT ${EXTENT_COLUMNS} FROM extent WHERE (body, offset) > (?, ?) AND +body < ${INO_LIMIT}
  AND +segment != 0 AND +offset BETWEEN 0 AND ${SAFE_LIMIT - 1} ORDER BY body, offset LIMIT ${PAGE}`

interface Damage {
  readonly body: number
  readonly offset: number
  length: number
  readonly how: string
  /** The segment whose header is all that is wrong; 0: more is. */
  readonly healedBy: number
  records: number
}

/** Returns the highest sequence number of a record. */
export function checkRecords(pass: Pass): number {
  using checker = new RecordChecker(pass)
  const { body = 0, offset = 0 } = pass.slice?.from ?? {}
  for (const row of rowsOf<ExtentRow>(pass.db, ALL, [body, offset])) checker.take(row)
  checker.flush()
  return checker.highest
}

class RecordChecker implements Disposable {
  readonly #pass: Pass
  readonly #reader: SegmentReader
  readonly #total: number
  readonly #place = new Float64Array(BATCH)
  readonly #record = new Uint32Array(BATCH)
  readonly #body = new Float64Array(BATCH)
  readonly #offset = new Float64Array(BATCH)
  readonly #length = new Uint32Array(BATCH)
  readonly #sequence = new Float64Array(BATCH)
  readonly #plain = new Uint32Array(BATCH)
  readonly #bodies: BodyTables
  /** The body that was asked for last, and whether an inode has it. */
  #asked = { body: 0, isRead: false }
  #count = 0
  #seen = 0
  #damages: Damage[] = []
  highest = 0

  constructor(pass: Pass) {
    this.#pass = pass
    this.#reader = new SegmentReader(pass)
    this.#bodies = new BodyTables(pass.db)
    this.#total = numberOf(pass.db, "SELECT coalesce(sum(live), 0) FROM segment") ?? 0
  }

  take(row: ExtentRow): void {
    const [body, offset, length, segment, position, record, , plain, sequence] = row
    // What is wrong with the row itself has been told, and what no inode has will not be read.
    if (problemOfExtent(row) !== undefined || !this.#isRead(body)) return
    const at = this.#count
    this.#place[at] = logPosition(segment, position)
    this.#record[at] = record
    this.#body[at] = body
    this.#offset[at] = offset
    this.#length[at] = length
    this.#sequence[at] = sequence
    this.#plain[at] = plain
    this.#count += 1
    if (this.#count === (this.#pass.slice?.length ?? BATCH)) this.flush()
  }

  #isRead(body: number): boolean {
    const { index, isOnline } = this.#pass
    // The index is of an earlier moment then.
    if (isOnline) return true
    if (this.#asked.body === body) return this.#asked.isRead
    const at = index.find(body)
    const isRead = (at >= 0 && index.isElsewhere[at] !== 1) || this.#bodies.isThatOfCopies(body)
    this.#asked = { body, isRead }
    return isRead
  }

  flush(): void {
    const place = this.#place
    const order = new Uint32Array(this.#count)
    for (let i = 0; i < order.length; i += 1) order[i] = i
    order.sort((a, b) => (place[a] ?? 0) - (place[b] ?? 0) || (this.#record[a] ?? 0) - (this.#record[b] ?? 0))
    for (let first = 0; first < order.length;) first = this.#run(order, first)
    const [body, offset] = [this.#body[this.#count - 1], this.#offset[this.#count - 1]]
    this.#count = 0
    this.#report()
    if (body !== undefined && offset !== undefined)
      this.#pass.slice?.onPosition({ body, offset }, this.#pass.findings.list)
  }

  /** Reads records from `first` on that lie close together; returns where the next run begins. */
  #run(order: Uint32Array, first: number): number {
    const start = this.#place[order[first] ?? 0] ?? 0
    let end = start
    let next = first
    for (; next < order.length; next += 1) {
      const at = order[next] ?? 0
      const from = this.#place[at] ?? 0
      const to = from + RECORD_HEADER + (this.#record[at] ?? 0)
      const isFar = from > end + GAP || to - start > WINDOW || segmentOf(from) !== segmentOf(start)
      if (next > first && isFar) break
      end = Math.max(end, to)
    }
    this.#reader.load(segmentOf(start), positionOf(start), positionOf(start) + (end - start))
    this.#verify(order.subarray(first, next))
    this.#seen += end - start
    this.#pass.onProgress("contents", Math.min(this.#seen, this.#total), this.#total)
    return next
  }

  #verify(run: Uint32Array): void {
    const { totals } = this.#pass
    let [last, lastLength, lastSequence, lastPlain] = [-1, -1, -1, -1]
    let verdict: Verdict = { is: "gone" }
    for (const at of run) {
      const [place = 0, record = 0, sequence = 0] = [this.#place[at], this.#record[at], this.#sequence[at]]
      const plain = this.#plain[at] ?? 0
      const isLast = place === last && record === lastLength && sequence === lastSequence
      if (!isLast || plain !== lastPlain) {
        ;[last, lastLength, lastSequence, lastPlain] = [place, record, sequence, plain]
        const [segment, position] = [segmentOf(place), positionOf(place)]
        verdict = this.#reader.verify({ segment, position, length: record, sequence, plain })
        // Its parts may differ in what they say of it.
        if (!isLast) {
          totals.records += 1
          totals.recordBytes += record
        }
      }
      if (verdict.is === "whole") this.highest = Math.max(this.highest, verdict.sequence)
      else this.#note(at, place, verdict)
    }
  }

  #note(at: number, place: number, verdict: Exclude<Verdict, { is: "whole" }>): void {
    const segment = segmentOf(place)
    const isHeader = verdict.is === "behind a damaged header"
    const how = isHeader
      ? `segment ${segment} has a damaged header`
      : verdict.is === "gone"
        ? `segment ${segment} is missing`
        : verdict.how
    const [body = 0, offset = 0, length = 0] = [this.#body[at], this.#offset[at], this.#length[at]]
    this.#damages.push({ body, offset, length, how, healedBy: isHeader ? segment : 0, records: 1 })
  }

  /** One finding for neighbours in one body, for each file that has it. */
  #report(): void {
    const damages = this.#damages.filter((damage) => !this.#pass.isOnline || this.#persists(damage))
    damages.sort((a, b) => a.body - b.body || a.offset - b.offset)
    this.#damages = []
    let open: Damage | undefined
    for (const damage of damages) {
      const isNext =
        open?.body === damage.body &&
        open.offset + open.length === damage.offset &&
        open.healedBy === damage.healedBy
      if (open !== undefined && isNext) {
        open.length += damage.length
        open.records += 1
      } else {
        if (open !== undefined) this.#tell(open)
        open = damage
      }
    }
    if (open !== undefined) this.#tell(open)
  }

  /** A server may have overwritten or removed those bytes, and deleted the segment, since the extent was read. */
  #persists({ body, offset }: Damage): boolean {
    const row = this.#pass.db
      .query<[number, number], ExtentRow>(
        `SELECT ${EXTENT_COLUMNS} FROM extent WHERE body = ? AND offset = ?`,
      )
      .get(body, offset)
    if (row === undefined || row[3] === 0) return false
    const [, , , segment, position, length, , plain, sequence] = row
    return this.#reader.verify({ segment, position, length, sequence, plain }).is !== "whole"
  }

  #tell({ body, offset, length, how, healedBy, records }: Damage): void {
    const also = records > 1 ? `, and ${records - 1} more` : ""
    for (const { ino } of this.#bodies.users(body))
      this.#pass.findings.add({
        kind: "contents",
        ino,
        range: { offset, length },
        message: `can't be read: ${how}${also}`,
        // The finding about the segment has the repair.
        ...(healedBy === 0 || this.#pass.isOnline ? {} : { repairFile: () => undefined }),
      })
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]()
  }
}
