/**
 * The chunks that fit words best, by BM25 (Robertson and Zaragoza 2009, with FTS5's parameters). A query of any words is led by its
 * telling ones: those that few chunks have, or the rarest when all are common. Only chunks that have one of them are scored; common words
 * add to their scores by being there, however often. When too few have a telling word, the next rarer one is told by as well.
 */
import { PostingsReader } from "./postings.ts"
import type { FoundChunk, IndexReader } from "./reader.ts"
import type { SelectionSql } from "./selection.ts"
import { WordScores } from "./word-scores.ts"

/** One word, or a phrase that may but need not occur. */
export interface QueryPart {
  /** For FTS5. */
  readonly expression: string
  /** Undefined for a phrase. */
  readonly word: string | undefined
}

/** Any of the parts, or what an FTS5 expression says. */
export type WordQuery =
  | { readonly kind: "any"; readonly parts: readonly QueryPart[] }
  | { readonly kind: "expression"; readonly expression: string }

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
/** Frequencies are counted anew when the index has grown or shrunk by this part. */
const STALE = 0.1
const MOST_REMEMBERED = 10_000

export class WordSearch {
  readonly #reader: IndexReader
  readonly #postings: PostingsReader
  /** To count the chunks of a common word takes milliseconds, and it need not be exact to tell that it is common. */
  #frequencies: { readonly chunks: number; readonly of: Map<string, number> } = { chunks: 0, of: new Map() }

  constructor(reader: IndexReader) {
    this.#reader = reader
    this.#postings = new PostingsReader(reader)
  }

  /** Up to `count` chunks. To be called within one `snapshot` of the reader. */
  best(query: WordQuery, within: SelectionSql | undefined, count: number): BestChunks {
    return query.kind === "any"
      ? this.#ofAny(query.parts, within, count)
      : this.#ofExpression(query.expression, within, count)
  }

  #ofAny(parts: readonly QueryPart[], within: SelectionSql | undefined, count: number): BestChunks {
    const totals = this.#postings.totals()
    const frequency = (part: QueryPart): number => this.#frequency(part.expression, totals.chunks)
    const rarest = [...parts].sort((a, b) => frequency(a) - frequency(b))
    const isTelling = (part: QueryPart): boolean => frequency(part) <= totals.chunks * COMMON
    const scores = new WordScores(this.#postings, totals)
    const telling: QueryPart[] = []
    let inodes: ReadonlyMap<number, number> | undefined
    for (const [i, part] of rarest.entries()) {
      this.#addTelling(scores, part)
      telling.push(part)
      const next = rarest[i + 1]
      if (next !== undefined && isTelling(next)) continue
      if (within !== undefined) inodes = this.#reader.inodesOf(scores.chunks, within)
      if ((inodes?.size ?? scores.chunks.length) >= count * ENOUGH) break
    }
    const oneOf = telling.map(({ expression }) => expression).join(" OR ")
    for (const part of rarest.slice(telling.length))
      scores.lift(this.#postings.matching(`(${oneOf}) AND ${part.expression}`), frequency(part))
    const best = scores.best(count, inodes)
    const inodeOf = inodes ?? this.#reader.inodesOf(best.map(({ chunk }) => chunk))
    const hits = best.flatMap(({ chunk, score }) => {
      const ino = inodeOf.get(chunk)
      return ino === undefined ? [] : [{ chunk, ino, score }]
    })
    return { hits, isComplete: telling.length === rarest.length && hits.length < count }
  }

  #addTelling(scores: WordScores, { expression, word }: QueryPart): void {
    const token = word === undefined ? undefined : this.#postings.tokenOf(word)
    if (token === undefined) {
      const chunks = this.#postings.matching(expression)
      scores.add({ chunks, counts: chunks.map(() => 1) })
    } else scores.add(this.#postings.counted(token))
  }

  #frequency(expression: string, chunks: number): number {
    if (Math.abs(chunks - this.#frequencies.chunks) > this.#frequencies.chunks * STALE)
      this.#frequencies = { chunks, of: new Map() }
    const { of } = this.#frequencies
    let frequency = of.get(expression)
    if (frequency === undefined) {
      if (of.size >= MOST_REMEMBERED) of.clear()
      frequency = this.#postings.frequency(expression)
      of.set(expression, frequency)
    }
    return frequency
  }

  #ofExpression(expression: string, within: SelectionSql | undefined, count: number): BestChunks {
    const inside =
      within === undefined ? "" : `AND +rowid IN (SELECT id FROM chunk WHERE ino IN (${within.sql}))`
    // Ordered by the function, not by the column `rank`: FTS5 would sort all matches, SQLite keeps no more than it is asked for.
    const hits = this.#reader
      .rows<[number, number, number]>(
        `SELECT f.id, c.ino, -f.score FROM
          (SELECT rowid AS id, bm25(chunk_fts) AS score FROM chunk_fts WHERE chunk_fts MATCH ? ${inside}
            ORDER BY score, rowid LIMIT ?) f
          JOIN chunk c ON c.id = f.id ORDER BY f.score, f.id`,
        ...[expression, ...(within?.parameters ?? []), count],
      )
      .map(([chunk, ino, score]) => ({ chunk, ino, score }))
    return { hits, isComplete: hits.length < count }
  }
}
