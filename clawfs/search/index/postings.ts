/**
 * Which chunks a word is in and how often, as FTS5 has it (table `chunk_fts`, through fts5vocab), and how long they are: what BM25 is made
 * of. FTS5's own bm25() looks up the length of each chunk in a table, counts each word of the query anew and takes ten times as long.
 */
import { Fault } from "../../core/fault.ts"
import type { IndexReader } from "./reader.ts"

/** Chunk ids, each once, ascending; and how often the word is in each. */
export interface Postings {
  readonly chunks: readonly number[]
  readonly counts: readonly number[]
}

/** Of all chunks. */
export interface Totals {
  readonly chunks: number
  /** Words in them. */
  readonly words: number
}

/** Lengths are kept in pages of so many ids. */
const PAGE = 4096
const LONGEST = 0xffff
/** FTS5's record of its totals has this id (fts5_index.c, FTS5_AVERAGES_ROWID). */
const AVERAGES = 1
const MOST_TOKENS = 10_000

export class PostingsReader {
  readonly #reader: IndexReader
  /** Lengths by id, 0 where it is not known. A chunk's id is never used again, and what is in it never changes. */
  readonly #lengths = new Map<number, Uint16Array>()
  readonly #tokens = new Map<string, string | undefined>()

  constructor(reader: IndexReader) {
    this.#reader = reader
    reader.db.execute(`
      CREATE VIRTUAL TABLE IF NOT EXISTS temp.occurrence USING fts5vocab('main', 'chunk_fts', 'instance');
      CREATE VIRTUAL TABLE IF NOT EXISTS temp.word USING fts5(text, tokenize='porter unicode61');
      CREATE VIRTUAL TABLE IF NOT EXISTS temp.token USING fts5vocab('temp', 'word', 'row')`)
  }

  /** What FTS5 makes of a word; undefined when that is not one token. */
  tokenOf(word: string): string | undefined {
    if (!this.#tokens.has(word)) {
      if (this.#tokens.size >= MOST_TOKENS) this.#tokens.clear()
      this.#reader.change("INSERT INTO temp.word (rowid, text) VALUES (1, ?)", word)
      const tokens = this.#reader.rows<[string, number]>("SELECT term, cnt FROM temp.token")
      this.#reader.change("DELETE FROM temp.word")
      const [[token, count] = []] = tokens
      this.#tokens.set(word, tokens.length === 1 && count === 1 ? token : undefined)
    }
    return this.#tokens.get(word)
  }

  /** Of a token (`tokenOf`). */
  counted(token: string): Postings {
    const sql = "SELECT json_group_array(doc) FROM temp.occurrence WHERE term = ?"
    const chunks: number[] = []
    const counts: number[] = []
    // In the order of FTS5's lists: by chunk, and one row an occurrence. As text: a row each would cost as much as all else.
    for (const chunk of this.#numbers(sql, token)) {
      const last = counts.length - 1
      if (chunk === chunks[last]) counts[last] = (counts[last] ?? 0) + 1
      else {
        chunks.push(chunk)
        counts.push(1)
      }
    }
    return { chunks, counts }
  }

  /** The chunks that match an FTS5 expression, ascending. */
  matching(expression: string): readonly number[] {
    return this.#numbers("SELECT json_group_array(rowid) FROM chunk_fts WHERE chunk_fts MATCH ?", expression)
  }

  /** In how many chunks a part of an expression is. */
  frequency(expression: string): number {
    const sql = "SELECT count(*) FROM chunk_fts WHERE chunk_fts MATCH ?"
    return this.#reader.rows<[number]>(sql, expression)[0]?.[0] ?? 0
  }

  /** Words in a chunk, its title and its heading; 0 for one that is not there. */
  lengthOf(chunk: number): number {
    const known = this.#lengths.get(Math.floor(chunk / PAGE))?.[chunk % PAGE] ?? 0
    return known > 0 ? known : (this.#page(Math.floor(chunk / PAGE))[chunk % PAGE] ?? 0)
  }

  totals(): Totals {
    const [[block] = []] = this.#reader.rows<[Buffer]>(
      `SELECT block FROM chunk_fts_data WHERE id = ${AVERAGES}`,
    )
    const [chunks = 0, ...words] = block === undefined ? [] : varints(block)
    return { chunks, words: words.reduce((sum, n) => sum + n, 0) }
  }

  #numbers(sql: string, parameter: string): number[] {
    return JSON.parse(this.#reader.rows<[string]>(sql, parameter)[0]?.[0] ?? "[]") as number[]
  }

  #page(number: number): Uint16Array {
    const page = new Uint16Array(PAGE)
    const rows = this.#reader.rows<[number, Buffer]>(
      "SELECT id, sz FROM chunk_fts_docsize WHERE id >= ? AND id < ?",
      ...[number * PAGE, (number + 1) * PAGE],
    )
    for (const [id, sizes] of rows)
      page[id % PAGE] = Math.min(
        LONGEST,
        varints(sizes).reduce((sum, n) => sum + n, 0),
      )
    this.#lengths.set(number, page)
    return page
  }
}

/** SQLite's variable-length integers (fileformat2.html §1.6), up to 2^53. */
function varints(bytes: Buffer): number[] {
  const values: number[] = []
  for (let at = 0; at < bytes.length;) {
    let value = 0
    for (let n = 1; ; n++) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Fault("corrupt", "the index of words is damaged")
      value = n === 9 ? value * 256 + byte : value * 128 + (byte & 0x7f)
      if (byte < 0x80 || n === 9) break
    }
    values.push(value)
  }
  return values
}
