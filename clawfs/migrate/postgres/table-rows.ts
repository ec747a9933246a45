/** Rows of a table, in bounded memory: a value that is long is left on the server and read piece by piece. */
import { StringDecoder } from "node:string_decoder"
import { Fault } from "../../core/fault.ts"
import type { Column, Table } from "./catalog.ts"
import { fingerprintOf, rowHash, settledSince } from "./changes.ts"
import type { Session, Values } from "./session.ts"

/** Longer values are read in pieces. */
const MOST_INLINE = 64 * 1024
/** Bytes of a piece. Threes divide them: a piece of base64 is whole. */
const PIECE = 1024 * 1024 - 1
const PAGE = 100

export interface Reading {
  /** SQL behind the table's name, which is `t`: joins. */
  readonly join?: string
  readonly where?: string
  readonly order?: string
  /** Without these columns. */
  readonly without?: readonly string[]
  /** These columns' values stay on the server until they are asked for. */
  readonly leave?: readonly string[]
  /** Rows get a fingerprint. `since`: a moment; rows that nobody has written later are settled, and get none. */
  readonly tracked?: { readonly since?: string | undefined }
}

/** One row. What it gives is valid until the session ends. */
export class Row {
  readonly #rows: TableRows
  readonly #values: Values

  constructor(rows: TableRows, values: Values) {
    this.#rows = rows
    this.#values = values
  }

  /** Of everything in the row; undefined: nobody asked, or it is settled. */
  get fingerprint(): string | undefined {
    const value = this.#values[this.#rows.hashAt ?? -1]
    return typeof value === "string" ? fingerprintOf(value) : undefined
  }

  get isSettled(): boolean {
    return this.#rows.hashAt !== undefined && this.fingerprint === undefined
  }

  /** The text of a column, NULL as undefined, and so is a column that there is none of. Throws for a long value. */
  text(name: string): string | undefined {
    const at = this.#rows.at(name)
    if (at === undefined) return undefined
    const value = this.#values[at.value]
    if (typeof value === "string") return at.column.shape === "time" ? isoOf(value) : value
    if (this.lengthOf(name) > MOST_INLINE)
      throw new Fault("invalid", `a value of ${this.#rows.table.name}.${name} is too long to be one`)
    return undefined
  }

  /** As `text`, or "" for what is missing. */
  word(name: string): string {
    return this.text(name) ?? ""
  }

  /** Bytes of a wide column's text; 0 for NULL. */
  lengthOf(name: string): number {
    const at = this.#rows.at(name)
    return at?.length === undefined ? 0 : Number(this.#values[at.length] ?? 0)
  }

  /** A column's value as UTF-8. */
  async *bytes(name: string): AsyncGenerator<Buffer> {
    const at = this.#rows.at(name)
    if (at === undefined) return
    const value = this.#values[at.value]
    if (typeof value === "string") yield Buffer.from(value)
    else yield* this.#rows.pieces(at.column, this.#values, this.lengthOf(name))
  }

  /** All columns as one line of JSON, names in order, without a line end. `changed`: JSON that takes a value's place. */
  async *json(changed: ReadonlyMap<string, string> = new Map()): AsyncGenerator<Buffer> {
    let text = "{"
    for (const [index, place] of this.#rows.places.entries()) {
      const { column } = place
      text += `${index === 0 ? "" : ","}${JSON.stringify(column.name)}:`
      const value = changed.get(column.name) ?? this.#values[place.value]
      if (changed.has(column.name)) text += value ?? "null"
      else if (typeof value === "string") text += jsonOf(column, value)
      else if (this.lengthOf(column.name) === 0) text += "null"
      else {
        yield Buffer.from(text)
        text = ""
        yield* this.#long(column)
      }
    }
    yield Buffer.from(`${text}}`)
  }

  async *#long(column: Column): AsyncGenerator<Buffer> {
    if (column.shape === "raw") {
      yield* this.bytes(column.name)
      return
    }
    const decoder = new StringDecoder("utf8")
    yield QUOTE
    for await (const piece of this.bytes(column.name)) yield Buffer.from(quoted(decoder.write(piece)))
    yield QUOTE
  }
}

const QUOTE = Buffer.from('"')
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1)

interface Place {
  readonly column: Column
  readonly value: number
  readonly length: number | undefined
}

export class TableRows {
  readonly table: Table
  readonly places: readonly Place[]
  /** Where a row's hash stands. */
  readonly hashAt: number | undefined
  readonly #session: Session
  readonly #reading: Reading
  readonly #byName: ReadonlyMap<string, Place>
  readonly #select: string

  constructor(session: Session, table: Table, reading: Reading = {}) {
    this.#session = session
    this.table = table
    this.#reading = reading
    const expressions = ["t.ctid::text", "t.tableoid::text"]
    this.places = table.columns
      .filter(({ name, isVector }) => !isVector && reading.without?.includes(name) !== true)
      .map((column) => {
        const { isWide, expression } = column
        if (!isWide) return { column, value: expressions.push(expression) - 1, length: undefined }
        const size = lengthOf(column)
        const length = expressions.push(size) - 1
        const most = reading.leave?.includes(column.name) === true ? 0 : MOST_INLINE
        const value = expressions.push(`CASE WHEN ${size} <= ${most} THEN ${expression} END`) - 1
        return { column, value, length }
      })
    this.hashAt =
      reading.tracked === undefined ? undefined : expressions.push(this.#hash(reading.tracked)) - 1
    this.#byName = new Map(this.places.map((place) => [place.column.name, place]))
    this.#select = expressions.join(", ")
  }

  #hash({ since }: { readonly since?: string | undefined }): string {
    const hash = rowHash(this.table.columns)
    return since === undefined ? hash : `CASE WHEN NOT (${settledSince(since)}) THEN ${hash} END`
  }

  at(name: string): Place | undefined {
    return this.#byName.get(name)
  }

  async *read(): AsyncGenerator<Row> {
    const { join = "", where, order } = this.#reading
    const tail = `${where === undefined ? "" : `WHERE ${where}`} ${order === undefined ? "" : `ORDER BY ${order}`}`
    const text = `SELECT ${this.#select} FROM ${this.table.sql} t ${join} ${tail}`
    for await (const values of this.#session.rows(text, PAGE)) yield new Row(this, values)
  }

  /** A long value of the row that `values` are of. */
  async *pieces(column: Column, [ctid, tableoid]: Values, length: number): AsyncGenerator<Buffer> {
    const place = `t.ctid = ${this.#session.literal(ctid ?? "")}::tid AND t.tableoid = ${tableoid ?? "0"}`
    const value = column.bytes ?? `convert_to(${column.expression}, 'UTF8')`
    const bytes = column.bytes === undefined ? length : (length / 4) * 3
    for (let from = 1; from <= bytes; from += PIECE) {
      const [[piece] = []] = await this.#session.query(
        `SELECT encode(substring(${value} FROM ${from} FOR ${PIECE}), 'hex') FROM ${this.table.sql} t WHERE ${place}`,
      )
      if (typeof piece !== "string") throw new Fault("io", `a row of ${this.table.name} can't be read again`)
      const found = Buffer.from(piece, "hex")
      // Of a length that threes do not divide, fewer bytes are left than the text tells; none is a piece of nothing.
      if (found.length > 0) yield column.bytes === undefined ? found : Buffer.from(found.toString("base64"))
    }
  }
}

/** Of the value's text, in bytes. */
function lengthOf({ bytes, expression }: Column): string {
  return bytes === undefined ? `octet_length(${expression})` : `((octet_length(${bytes}) + 2) / 3 * 4)`
}

function jsonOf({ shape }: Column, value: string): string {
  if (shape === "raw") return value === "t" || value === "f" ? String(value === "t") : value
  if (shape === "number") return /^[-\d]/.test(value) && !value.includes("I") ? value : JSON.stringify(value)
  return JSON.stringify(shape === "time" ? isoOf(value) : value)
}

/** `2026-01-02 03:04:05.06+00` as ISO 8601; infinity and years before 1 as they are. */
export function isoOf(text: string): string {
  const [, day, time, fraction = ""] =
    /^(\d{4,6}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?(?:\+00)?$/.exec(text) ?? []
  return day === undefined || time === undefined ? text : `${day}T${time}${fraction}Z`
}
