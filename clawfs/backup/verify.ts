/** Whether a segment still holds what the extents of a database point to, and which files are hit if it does not. */
import { ROOT_NODE } from "../core/brand.ts"
import { Fault, describe } from "../core/fault.ts"
import { printable } from "../fsck/finding.ts"
import type { Database, Query } from "../store/database.ts"
import { SEGMENT_HEADER, decodeSegmentHeader } from "../store/log-scan.ts"
import { RECORD_HEADER, verifyRecord } from "../store/record.ts"
import type { RecordRead } from "../store/record-reads.ts"

/** Bytes of a file that can't be read. */
export interface Damage {
  /** From the root of the filesystem, as `printable` writes it; missing when no name leads there, or there are too many. */
  readonly path?: string
  readonly ino: number
  readonly offset: number
  readonly length: number
  readonly message: string
}

/** So many are told one by one, with their names. */
const MOST_DAMAGES = 1000
const MOST_NAMED = 100
/** The kernel knows no longer paths; a cycle has no end. */
const DEEPEST = 4096

export class Verifier {
  readonly #uuid: Buffer
  readonly #records: Query<[number], [number, number, number]>
  readonly #pointers: Query<[number, number], [number, number, number]>
  readonly #inodes: Query<[number, number], [number]>
  readonly #names: Query<[number], [number, Buffer]>
  readonly #damages: Omit<Damage, "path">[] = []
  readonly #hit = new Set<number>()
  /** Damaged pieces of files in all. */
  count = 0

  /** `db` is the copy of a store's database that goes with the segments. */
  constructor(db: Database, uuid: Buffer) {
    this.#uuid = uuid
    this.#records = db.query(
      "SELECT DISTINCT position, record, sequence FROM extent WHERE segment = ? AND segment != 0 ORDER BY position",
    )
    this.#pointers = db.query(
      "SELECT body, offset, length FROM extent WHERE segment = ? AND position = ? AND segment != 0",
    )
    this.#inodes = db.query(
      "SELECT ino FROM inode WHERE ino = ? AND body IN (0, ino) UNION SELECT ino FROM inode WHERE body = ? AND body != 0",
    )
    this.#names = db.query("SELECT parent, name FROM dentry WHERE ino = ? LIMIT 1")
  }

  /**
   * Positions of the records in use of segment `id` that are not whole in `bytes`, with the reason; undefined `bytes`: the
   * segment is missing.
   */
  problemsOf(id: number, bytes: Buffer | undefined): Map<number, string> {
    const problems = new Map<number, string>()
    const general = this.#problemOfHeader(id, bytes)
    for (const [position, length, sequence] of this.#records.all(id)) {
      const record = { segment: id, position, length, sequence }
      const problem = general ?? problemOfRecord(bytes ?? Buffer.alloc(0), record)
      if (problem !== undefined) problems.set(position, problem)
    }
    return problems
  }

  #problemOfHeader(id: number, bytes: Buffer | undefined): string | undefined {
    if (bytes === undefined) return `segment ${id} is missing`
    const header = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER))
    if (header === undefined) return `segment ${id} has a damaged header`
    return header.id === id && header.uuid.equals(this.#uuid)
      ? undefined
      : `segment ${id} is that of another store`
  }

  /** Takes down which files are hit by these problems of a segment. */
  note(id: number, problems: ReadonlyMap<number, string>): void {
    for (const [position, message] of problems)
      for (const [body, offset, length] of this.#pointers.all(id, position))
        this.#noteBody(body, { offset, length, message })
  }

  /** Every file that has these contents is hit. */
  #noteBody(body: number, piece: Pick<Damage, "offset" | "length" | "message">): void {
    for (const [ino] of this.#inodes.all(body, body)) {
      this.count += 1
      this.#hit.add(ino)
      if (this.#damages.length < MOST_DAMAGES) this.#damages.push({ ino, ...piece })
    }
  }

  /** How many files are hit. */
  get files(): number {
    return this.#hit.size
  }

  /** The first ones, with the names of their files. */
  damages(): Damage[] {
    const paths = new Map<number, string | undefined>()
    return this.#damages.map((damage) => {
      const { ino } = damage
      if (!paths.has(ino)) paths.set(ino, paths.size < MOST_NAMED ? this.#pathOf(ino) : undefined)
      const path = paths.get(ino)
      return path === undefined ? damage : { path, ...damage }
    })
  }

  #pathOf(ino: number): string | undefined {
    const names: string[] = []
    for (let at = ino; at !== ROOT_NODE;) {
      const row = this.#names.get(at)
      if (row === undefined || names.length === DEEPEST) return undefined
      names.push(printable(row[1]))
      at = row[0]
    }
    return `/${names.reverse().join("/")}`
  }
}

function problemOfRecord(bytes: Buffer, record: RecordRead): string | undefined {
  const { segment, position, length } = record
  const payload = position + RECORD_HEADER
  if (payload + length > bytes.length) return `segment ${segment} ends at ${bytes.length}`
  try {
    verifyRecord(bytes.subarray(position, payload), bytes.subarray(payload, payload + length), record)
    return undefined
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return describe(thrown)
    throw thrown
  }
}
