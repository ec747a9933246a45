/** How much compression saves, counted in the tables; it works with any connection to them. */
import type { Database } from "./database.ts"

export interface CompressionStats {
  /** Bytes of files that lie in the log. */
  readonly bytes: number
  /** What they take there, without the records' headers. */
  readonly storedBytes: number
}

/** The store's as `storedBytes` in extents.ts has it. */
const SHARE = "(skip + length) * record / plain - skip * record / plain"

const SUMS = `SELECT total(length), total(CASE plain WHEN 0 THEN length ELSE ${SHARE} END) FROM extent WHERE segment != 0`

const IN_TREE = `AND body IN (
  WITH RECURSIVE inner (id) AS (SELECT ? UNION SELECT t.id FROM inner JOIN tree t ON t.parent = inner.id)
  SELECT CASE body WHEN 0 THEN ino ELSE body END FROM inode
  WHERE tree IN (SELECT id FROM inner) AND alloc > inline_length)`

/** Of a tree and the trees in it; 0: of the whole store. Contents that several files have count once. */
export function compressionStats(db: Database, tree: number): CompressionStats {
  const row =
    tree === 0
      ? db.query<[], [number, number]>(SUMS).get()
      : db.query<[number], [number, number]>(`${SUMS} ${IN_TREE}`).get(tree)
  const [bytes = 0, storedBytes = 0] = row ?? []
  return { bytes, storedBytes }
}
