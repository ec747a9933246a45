/** Checks the index by itself, for `clawfs index verify`: the database, the word indexes, and that nothing is left of what is gone. */
import { Fault } from "../../core/fault.ts"
import { MAX_DIMENSIONS } from "./vector-store.ts"
import type { IndexWriter } from "./writer.ts"

/** Each gives a number that must be 0. */
const RULES: readonly (readonly [what: string, sql: string])[] = [
  ["chunks of no document", "SELECT count(*) FROM chunk WHERE ino NOT IN (SELECT ino FROM document)"],
  ["names of no document", "SELECT count(*) FROM path WHERE ino NOT IN (SELECT ino FROM document)"],
  [
    "documents whose chunks are not numbered from 0",
    "SELECT count(*) FROM (SELECT 1 FROM chunk GROUP BY ino HAVING min(n) <> 0 OR max(n) <> count(*) - 1 OR count(DISTINCT n) <> count(*))",
  ],
  [
    "documents whose grams are in no list",
    `SELECT count(*) FROM document d WHERE grams > 0 AND grams NOT IN (SELECT number FROM gram_pending)
      AND NOT EXISTS (SELECT 1 FROM gram_segment WHERE d.grams BETWEEN first AND last)`,
  ],
  ["chunks without words", "SELECT count(*) FROM chunk WHERE id NOT IN (SELECT id FROM chunk_fts_docsize)"],
  ["words of no chunk", "SELECT count(*) FROM chunk_fts_docsize WHERE id NOT IN (SELECT id FROM chunk)"],
]

/** What is wrong, a sentence each; nothing: []. Reads the whole index; changes nothing. */
export function verifyIndex({ db, vectors }: IndexWriter): string[] {
  const problems = db
    .query<[], [string]>("PRAGMA integrity_check(20)")
    .all()
    .flatMap(([line]) => (line === "ok" ? [] : [`the database is damaged: ${line}`]))
  for (const table of ["chunk_fts", "path_fts"]) {
    try {
      db.execute(`INSERT INTO ${table} (${table}) VALUES ('integrity-check')`)
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== "corrupt") throw thrown
      problems.push(`the words in ${table} are damaged`)
    }
  }
  const ofVectors = vectors
    .all()
    .flatMap(({ n, id, dimensions }) => [
      [
        `vectors of ${id} of no chunk`,
        `SELECT count(*) FROM vector_${n} WHERE chunk NOT IN (SELECT id FROM chunk)`,
      ] as const,
      [
        `vectors of ${id} of another length`,
        `SELECT count(*) FROM vector_${n} WHERE length(vector) <> ${4 * Math.min(dimensions, MAX_DIMENSIONS)}`,
      ] as const,
    ])
  for (const [what, sql] of [...RULES, ...ofVectors]) {
    const [count = 0] = db.query<[], [number]>(sql).get() ?? []
    if (count > 0) problems.push(`${count} ${what}`)
  }
  return problems
}
