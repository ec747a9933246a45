/**
 * The chunks that fit words best, by BM25. To score a chunk takes FTS5 ten times as long as to find that it matches, so chunks that
 * can't be among the best are not scored: with nothing but common words, when enough have a rarer one; and of a query of common
 * words alone those that lack one, when enough have all. What is scored has the score that it would have anyway.
 */
import type { FoundChunk, IndexReader } from "./reader.ts"
import type { SelectionSql } from "./selection.ts"

export interface WordQuery {
  /** FTS5 expression that a chunk must match, and that its score is of. */
  readonly expression: string
  /** Its parts, FTS5 expressions too, when any one of them is enough; empty when not. */
  readonly alternatives: readonly string[]
}

export interface BestChunks {
  /** Best first; of equal ones the older first. */
  readonly hits: FoundChunk[]
  /** There are no others that match. */
  readonly isComplete: boolean
}

/** A word is common when it is in more than this part of all chunks. */
const COMMON = 0.1
/** Enough are this part of what is asked for: the others would be behind them. */
const ENOUGH = 0.25

export function bestChunks(
  reader: IndexReader,
  { expression, alternatives }: WordQuery,
  within: SelectionSql | undefined,
  count: number,
): BestChunks {
  const narrow = narrower(reader, alternatives)
  if (narrow !== undefined) {
    const hits = scored(reader, narrow.expression, within, count)
    if (hits.length >= count * ENOUGH) {
      const score = (hit: FoundChunk): number => hit.score / narrow.weight
      return { hits: hits.map((hit) => ({ ...hit, score: score(hit) })), isComplete: false }
    }
  }
  const hits = scored(reader, expression, within, count)
  return { hits, isComplete: hits.length < count }
}

/** An expression that leaves out what is hardly worth scoring, and how many times too high its scores are. */
function narrower(
  reader: IndexReader,
  alternatives: readonly string[],
): { readonly expression: string; readonly weight: number } | undefined {
  if (alternatives.length < 2) return undefined
  const most = reader.counts().chunks * COMMON
  const isCommon = (part: string): boolean => documentFrequency(reader, part) > most
  const common = alternatives.filter(isCommon)
  if (common.length === 0) return undefined
  if (common.length === alternatives.length) return { expression: common.join(" AND "), weight: 1 }
  const rare = alternatives.filter((part) => !common.includes(part))
  // bm25() adds what each part of the expression gives. FTS5 has no way to say "and, if it is there", so that the rare ones are in
  // it twice; twice the common ones then too.
  const all = [...rare, ...common, ...common]
  return { expression: `(${rare.join(" OR ")}) AND (${all.join(" OR ")})`, weight: 2 }
}

/** In how many chunks a part of an expression is, or was when the index had about as many chunks as now. */
function documentFrequency(reader: IndexReader, part: string): number {
  const { chunks } = reader.counts()
  let frequencies = measured.get(reader)
  if (frequencies === undefined || Math.abs(chunks - frequencies.chunks) > chunks * STALE) {
    frequencies = { chunks, of: new Map() }
    measured.set(reader, frequencies)
  }
  let frequency = frequencies.of.get(part)
  if (frequency === undefined) {
    if (frequencies.of.size >= MOST_REMEMBERED) frequencies.of.clear()
    const sql = "SELECT count(*) FROM chunk_fts WHERE chunk_fts MATCH ?"
    frequency = reader.rows<[number]>(sql, part)[0]?.[0] ?? 0
    frequencies.of.set(part, frequency)
  }
  return frequency
}

/** To count the chunks of a common word takes milliseconds, and it need not be exact to tell that it is common. */
const measured = new WeakMap<IndexReader, { readonly chunks: number; readonly of: Map<string, number> }>()
const STALE = 0.1
const MOST_REMEMBERED = 10_000

function scored(
  reader: IndexReader,
  expression: string,
  within: SelectionSql | undefined,
  count: number,
): FoundChunk[] {
  const inside =
    within === undefined ? "" : `AND +rowid IN (SELECT id FROM chunk WHERE ino IN (${within.sql}))`
  // Ordered by the function, not by the column `rank`: FTS5 would sort all matches, SQLite keeps no more than it is asked for.
  return reader
    .rows<[number, number, number]>(
      `SELECT f.id, c.ino, -f.score FROM
        (SELECT rowid AS id, bm25(chunk_fts) AS score FROM chunk_fts WHERE chunk_fts MATCH ? ${inside}
          ORDER BY score, rowid LIMIT ?) f
        JOIN chunk c ON c.id = f.id ORDER BY f.score, f.id`,
      ...[expression, ...(within?.parameters ?? []), count],
    )
    .map(([chunk, ino, score]) => ({ chunk, ino, score }))
}
