/**
 * The index as text that depends on nothing but the files: no row numbers, no order of events. Two indexes of the same files have
 * the same dump, whatever was done to get there; tests and `clawfs index verify` compare them.
 */
import { createHash } from "node:crypto"
import type { Value } from "../../store/database.ts"
import { IndexReader } from "./reader.ts"
import { VarintReader, unpackAscending } from "./grams.ts"

const short = (bytes: Uint8Array | string): string =>
  createHash("sha256").update(bytes).digest("hex").slice(0, 16)

/** One line a document, name, chunk and vector, in a fixed order. Needs memory for the words of all chunks. */
export function* dumpIndex(reader: IndexReader): Generator<string> {
  const all = <R extends Value[]>(sql: string): R[] => reader.rows<R>(sql)
  for (const row of all(
    `SELECT ino, lower(hex(hash)), state, error, extractor, kind, title, is_verbatim, is_whole, size, mtime, mtime_nanos,
      grams > 0 FROM document ORDER BY ino`,
  ))
    yield `document ${JSON.stringify(row)}`
  for (const [path, ino, extension] of all<[Buffer, number, string]>(
    "SELECT path, ino, extension FROM path ORDER BY path",
  ))
    yield `path ${path.toString("latin1")} ${ino} ${extension}`
  const names = wordsOf(reader, "path_fts")
  for (const [ino, words] of [...names].sort(([a], [b]) => a - b)) yield `name ${ino} ${short(words)}`
  const words = wordsOf(reader, "chunk_fts")
  for (const [id, ino, n] of all<[number, number, number]>("SELECT id, ino, n FROM chunk ORDER BY ino, n")) {
    const {
      start = 0,
      end = 0,
      firstLine = 0,
      lastLine = 0,
      heading = "",
      text = "",
    } = reader.chunk(id) ?? {}
    yield `chunk ${ino} ${n} ${start}-${end} ${firstLine}-${lastLine} ${JSON.stringify(heading)} ${short(text)} words ${short(words.get(id) ?? "")}`
    words.delete(id)
  }
  for (const id of words.keys()) yield `words of chunk ${id}, which is not there`
  yield* dumpVectors(reader)
  yield* dumpGrams(reader)
}

/** By row number: each word with its places. */
function wordsOf(reader: IndexReader, table: "chunk_fts" | "path_fts"): Map<number, string> {
  reader.db.execute(
    `CREATE VIRTUAL TABLE IF NOT EXISTS temp.${table}_words USING fts5vocab(main, ${table}, instance)`,
  )
  const words = new Map<number, string>()
  for (const [row, word, column, offset] of reader.rows<[number, string, string, number]>(
    `SELECT doc, term, col, offset FROM temp.${table}_words ORDER BY doc, col, offset`,
  ))
    words.set(row, `${words.get(row) ?? ""}${column} ${offset} ${word}\n`)
  return words
}

function* dumpVectors(reader: IndexReader): Generator<string> {
  for (const { n, id } of reader.embedders())
    for (const [ino, place, vector] of reader.rows<[number | null, number | null, Buffer | null]>(
      `SELECT c.ino, c.n, v.vector FROM vector_${n} v LEFT JOIN chunk c ON c.id = v.chunk ORDER BY c.ino, c.n`,
    ))
      yield `vector ${id} ${ino ?? "of no chunk"} ${place ?? ""} ${vector === null ? "none" : short(vector)}`
}

/** How many grams each document has: lists of segments are turned round. */
function* dumpGrams(reader: IndexReader): Generator<string> {
  const inodes = new Map(reader.rows<[number, number]>("SELECT grams, ino FROM document WHERE grams > 0"))
  const counts = new Map<number, number>()
  const count = (number: number, grams: number): void => {
    const ino = inodes.get(number)
    if (ino !== undefined) counts.set(ino, (counts.get(ino) ?? 0) + grams)
  }
  for (const [number, grams] of reader.rows<[number, Buffer]>("SELECT number, grams FROM gram_pending"))
    count(number, unpackAscending(new VarintReader(grams)).length)
  for (const [postings] of reader.rows<[Buffer]>("SELECT postings FROM gram_page")) {
    const lists = new VarintReader(postings)
    while (lists.at < lists.end) {
      lists.next()
      const length = lists.next()
      for (const number of unpackAscending(new VarintReader(postings, lists.at, lists.at + length)))
        count(number, 1)
      lists.at += length
    }
  }
  for (const [ino, grams] of [...counts].sort(([a], [b]) => a - b)) yield `grams ${ino} ${grams}`
}
