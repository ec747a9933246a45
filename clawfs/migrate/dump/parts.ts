/** A dump's text as statements and, behind each COPY, its rows. Says whether it is a whole dump: pg_dump writes a first and a last line. */
import { Fault } from "../../core/fault.ts"
import { Tokenizer, commandFault, type Token } from "./tokens.ts"

export type Part =
  | { readonly kind: "statement"; readonly tokens: readonly Token[] }
  /** Whole lines, as COPY takes them. */
  | { readonly kind: "rows"; readonly bytes: Buffer }

const NEWLINE = 0x0a
/** Rows that are given at once; a longer one comes alone. */
const BATCH = 2 * 1024 * 1024
const MOST_LINE = 256 * 1024 * 1024
/** More is not held in memory, where the database of a dump is. */
const MOST_BYTES = 2 * 1024 * 1024 * 1024
const FIRST = "-- PostgreSQL database dump"
const LAST = "-- PostgreSQL database dump complete"
const CLUSTER = "-- PostgreSQL database cluster dump"
/** Lines in front of the first one that are looked at: empty ones, remarks, `\restrict`. */
const MOST_HEADER_LINES = 20
const END_OF_ROWS = "\\."

export async function* partsOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Part> {
  const tokenizer = new Tokenizer()
  const ends = { begun: false, complete: false, databases: 0 }
  let rows: Rows | undefined
  let number = 0
  for await (const line of linesOf(bytes)) {
    number += 1
    if (rows !== undefined) {
      if (isEndOfRows(line)) {
        yield* rows.rest()
        rows = undefined
      } else yield* rows.add(line)
      continue
    }
    const text = line.toString("utf8")
    if (tokenizer.isIdle && isRemark(text, ends)) continue
    if (!ends.begun && (number > MOST_HEADER_LINES || text.trim() !== ""))
      throw new Fault("invalid", "the file is no dump of pg_dump's: its first line is missing")
    for (const tokens of tokenizer.line(text)) {
      if (rows !== undefined) throw new Fault("invalid", "the dump has a statement where rows belong")
      yield { kind: "statement", tokens }
      if (isCopy(tokens)) rows = new Rows()
    }
  }
  if (!ends.begun) throw new Fault("invalid", "the file is no dump of pg_dump's: its first line is missing")
  if (!ends.complete || rows !== undefined || !tokenizer.isIdle)
    throw new Fault("corrupt", "the dump is cut off: pg_dump's last line is missing", {
      hint: "make it again, and look whether pg_dump says that it failed",
    })
}

interface Ends {
  begun: boolean
  complete: boolean
  databases: number
}

/** A line between statements that is none: a remark, or one of the two commands that pg_dump writes itself. */
function isRemark(text: string, ends: Ends): boolean {
  const line = text.trimEnd()
  if (line === FIRST) ends.begun = true
  if (line === LAST) ends.complete = true
  if (line.startsWith(CLUSTER)) throw several()
  if (line.startsWith("--")) return true
  if (!line.startsWith("\\")) return false
  // Against dumps that command psql (CVE-2025-8714): a word that ends what is restricted. Nothing here needs it.
  if (/^\\(?:un)?restrict [A-Za-z0-9]+$/.test(line)) return true
  if (!line.startsWith("\\connect ")) throw commandFault(line)
  ends.databases += 1
  if (ends.databases > 1) throw several()
  return true
}

function several(): Fault {
  return new Fault("invalid", "the dump is of several databases", {
    hint: "pg_dump DATABASE makes one of a single database",
  })
}

function isCopy(tokens: readonly Token[]): boolean {
  return tokens[0]?.kind === "word" && tokens[0].text === "copy"
}

/** With \r\n too: some programs rewrite the ends of lines. */
function isEndOfRows(line: Buffer): boolean {
  return line.length <= 4 && line.toString("latin1").trimEnd() === END_OF_ROWS
}

/** Rows until there are enough of them. */
class Rows {
  #lines: Buffer[] = []
  #bytes = 0;

  *add(line: Buffer): Generator<Part> {
    if (this.#bytes + line.length > BATCH) yield* this.rest()
    this.#lines.push(line)
    this.#bytes += line.length
  }

  *rest(): Generator<Part> {
    if (this.#lines.length > 0) yield { kind: "rows", bytes: Buffer.concat(this.#lines) }
    this.#lines = []
    this.#bytes = 0
  }
}

/** Lines with their ends. */
async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  /** Of a line whose end has not come yet. */
  let pieces: Buffer[] = []
  let [length, total] = [0, 0]
  for await (const chunk of bytes) {
    total += chunk.length
    if (total > MOST_BYTES)
      throw new Fault("invalid", "the dump has more than 2 GiB of text", {
        hint: "load it into a server, and migrate from there",
      })
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const piece = chunk.subarray(from, end + 1)
      yield pieces.length === 0 ? piece : Buffer.concat([...pieces, piece])
      pieces = []
      length = 0
      from = end + 1
    }
    pieces.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > MOST_LINE)
      throw new Fault("invalid", `the dump has a line of more than ${MOST_LINE / 1024 / 1024} MiB`)
  }
  if (length > 0) yield Buffer.concat(pieces)
}
