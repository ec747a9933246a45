/**
 * What the statements of a dump say of its tables and their rows. All that has no rows, such as functions, views, policies and
 * triggers, is passed over: nothing of a dump is run as it stands.
 */
import { Fault } from "../../core/fault.ts"
import type { Token } from "./tokens.ts"

export interface TableName {
  readonly schema: string
  readonly name: string
}

export interface DumpColumn {
  readonly name: string
  /** As format_type(3) of PostgreSQL writes it, such as `character varying(255)`. */
  readonly type: string
  /** Computed: a dump has no values of it. */
  readonly isGenerated: boolean
}

/** One value of an INSERT, in COPY's text form; undefined: DEFAULT. */
export type InsertValue = string | undefined

export type Statement =
  | { readonly kind: "table"; readonly table: TableName; readonly columns: readonly DumpColumn[] }
  | {
      readonly kind: "key"
      readonly table: TableName
      readonly columns: readonly string[]
      readonly isPrimary: boolean
    }
  | { readonly kind: "copy"; readonly table: TableName; readonly columns: readonly string[] }
  | {
      readonly kind: "insert"
      readonly table: TableName
      readonly columns: readonly string[] | undefined
      readonly rows: readonly (readonly InsertValue[])[]
    }
  | { readonly kind: "vectors" }

/** The schema of names without one: pg_dump writes all others. */
const PUBLIC = "public"
/** What may stand behind a column's type. */
const BEHIND_TYPE = new Set(
  "collate default not null generated constraint storage compression check options".split(" "),
)

/** Undefined for what has no rows. Throws `Fault` for what has some that can't be read. */
export function statementOf(tokens: readonly Token[]): Statement | undefined {
  const reader = new Reader(tokens)
  if (reader.words("create")) return created(reader)
  if (reader.words("alter", "table")) return altered(reader)
  if (reader.words("copy")) return copied(reader)
  if (reader.words("insert", "into")) return inserted(reader)
  if (reader.words("set")) requireSetting(reader)
  return undefined
}

/** Walks over the words of a statement. */
class Reader {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get token(): Token | undefined {
    return this.#tokens[this.#at]
  }

  next(): Token {
    const { token } = this
    if (token === undefined) throw strange("a statement that ends too early")
    this.#at += 1
    return token
  }

  /** Goes behind these words if they all come next. */
  words(...words: readonly string[]): boolean {
    const isHere = words.every((word, at) => isWord(this.#tokens[this.#at + at], word))
    if (isHere) this.#at += words.length
    return isHere
  }

  sign(text: string): boolean {
    const isHere = this.token?.kind === "sign" && this.token.text === text
    if (isHere) this.#at += 1
    return isHere
  }

  needSign(sign: string, what: string): void {
    if (!this.sign(sign)) throw strange(what)
  }

  name(): string {
    const token = this.next()
    if (token.kind !== "word" && token.kind !== "name") throw strange("a name that is none")
    return token.text
  }

  tableName(): TableName {
    const first = this.name()
    return this.sign(".") ? { schema: first, name: this.name() } : { schema: PUBLIC, name: first }
  }

  /** Names in parentheses. */
  names(what: string): string[] {
    this.needSign("(", what)
    const names = [this.name()]
    while (this.sign(",")) names.push(this.name())
    this.needSign(")", what)
    return names
  }
}

const isWord = (token: Token | undefined, word: string): boolean =>
  token?.kind === "word" && token.text === word

function created(reader: Reader): Statement | undefined {
  if (reader.words("extension")) {
    reader.words("if", "not", "exists")
    return reader.name() === "vector" ? { kind: "vectors" } : undefined
  }
  const isUnique = reader.words("unique")
  if (reader.words("index")) return indexed(reader)
  if (isUnique) return undefined
  reader.words("unlogged")
  if (!reader.words("table")) return undefined
  reader.words("if", "not", "exists")
  const table = reader.tableName()
  if (!reader.sign("(")) throw unfit(table, "is made of another table or type")
  const columns = columnsOf(reader)
  if (reader.words("inherits") || reader.words("partition")) throw unfit(table, "is divided or inherits")
  return { kind: "table", table, columns }
}

/** What is in the parentheses behind a table's name, up to the last of them. */
function columnsOf(reader: Reader): DumpColumn[] {
  const columns: DumpColumn[] = []
  for (;;) {
    if (reader.sign(")")) return columns
    const element = elementOf(reader)
    const column = element.length === 0 ? undefined : columnOf(element)
    if (column !== undefined) columns.push(column)
  }
}

/** Tokens up to the next comma or the end of the list, the comma taken too. */
function elementOf(reader: Reader): Token[] {
  const element: Token[] = []
  for (let depth = 0; ;) {
    const { token } = reader
    const isSign = token?.kind === "sign"
    if (isSign && depth === 0 && token.text === ")") return element
    reader.next()
    if (token === undefined || (isSign && depth === 0 && token.text === ",")) return element
    if (isSign && (token.text === "(" || token.text === "[")) depth += 1
    if (isSign && (token.text === ")" || token.text === "]")) depth -= 1
    element.push(token)
  }
}

const CONSTRAINTS = ["constraint", "check", "primary", "unique", "foreign", "like"]

function columnOf([first, ...rest]: readonly Token[]): DumpColumn | undefined {
  if (first === undefined || CONSTRAINTS.some((word) => isWord(first, word))) return undefined
  if (first.kind !== "word" && first.kind !== "name") throw strange("a column without a name")
  const end = rest.findIndex(({ kind, text }) => kind === "word" && BEHIND_TYPE.has(text))
  const type = rest.slice(0, end < 0 ? rest.length : end)
  const at = rest.findIndex((token) => isWord(token, "generated"))
  const isGenerated = at >= 0 && isWord(rest[at + 2], "as") && rest[at + 3]?.text === "("
  return { name: first.text, type: textOf(type), isGenerated }
}

/** `character varying(255)`, `"char"`, `public.vector(3)`, `text[]`. */
function textOf(tokens: readonly Token[]): string {
  let text = ""
  let isAfterWord = false
  for (const { kind, text: own } of tokens) {
    const isSpoken = kind === "word" || kind === "name"
    text += `${isSpoken && isAfterWord ? " " : ""}${kind === "name" ? JSON.stringify(own) : own}`
    isAfterWord = isSpoken || own === ")"
  }
  return text
}

/** A plain index: no expressions, no condition. */
function indexed(reader: Reader): Statement | undefined {
  if (!reader.words("on")) {
    reader.tableName()
    if (!reader.words("on")) return undefined
  }
  reader.words("only")
  const table = reader.tableName()
  if (!reader.words("using", "btree") || !reader.sign("(")) return undefined
  const columns: string[] = []
  for (;;) {
    const element = elementOf(reader)
    const [name, ...order] = element
    const isPlain = order.every((token) => ["asc", "desc", "nulls", "first", "last"].includes(token.text))
    if (name === undefined || (name.kind !== "word" && name.kind !== "name") || !isPlain) return undefined
    columns.push(name.text)
    if (reader.sign(")")) break
  }
  return reader.token === undefined ? { kind: "key", table, columns, isPrimary: false } : undefined
}

function altered(reader: Reader): Statement | undefined {
  reader.words("if", "exists")
  reader.words("only")
  const table = reader.tableName()
  if (reader.words("attach", "partition") || reader.words("inherit"))
    throw unfit(table, "is divided or inherits")
  if (!reader.words("add", "constraint")) return undefined
  reader.name()
  const isPrimary = reader.words("primary", "key")
  if (!isPrimary && !reader.words("unique")) return undefined
  if (reader.token?.text !== "(") return undefined
  return { kind: "key", table, columns: reader.names("a key"), isPrimary }
}

function copied(reader: Reader): Statement {
  const table = reader.tableName()
  const columns = reader.names("rows whose columns are not named")
  if (!reader.words("from", "stdin") || reader.token !== undefined)
    throw strange("rows in a form that pg_dump does not write")
  return { kind: "copy", table, columns }
}

function inserted(reader: Reader): Statement {
  const table = reader.tableName()
  const columns = reader.token?.text === "(" ? reader.names("an INSERT") : undefined
  reader.words("overriding", "system", "value")
  reader.words("overriding", "user", "value")
  if (!reader.words("values")) throw strange("an INSERT that computes its rows")
  const rows: InsertValue[][] = []
  do {
    reader.needSign("(", "an INSERT")
    const row = [valueOf(reader)]
    while (reader.sign(",")) row.push(valueOf(reader))
    reader.needSign(")", "an INSERT that computes its values")
    rows.push(row)
  } while (reader.sign(","))
  if (!reader.words("on", "conflict", "do", "nothing") && reader.token !== undefined)
    throw strange("an INSERT that does more than insert")
  return { kind: "insert", table, columns, rows }
}

function valueOf(reader: Reader): InsertValue {
  if (reader.sign("-")) return `-${numberOf(reader.next())}`
  const token = reader.next()
  if (token.kind === "string") return copyText(token.text)
  if (token.kind === "bits") return token.text
  if (token.kind === "number") return token.text
  if (isWord(token, "null")) return "\\N"
  if (isWord(token, "true") || isWord(token, "false")) return token.text
  if (isWord(token, "default")) return undefined
  throw strange("an INSERT that computes its values")
}

function numberOf({ kind, text }: Token): string {
  if (kind === "number") return text
  throw strange("an INSERT that computes its values")
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" }

/** A value as COPY's text form has it. */
function copyText(text: string): string {
  return text.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character)
}

/** Settings that say how the rest is to be read. */
function requireSetting(reader: Reader): void {
  const name = reader.token?.text
  if (name !== "client_encoding" && name !== "standard_conforming_strings") return
  reader.next()
  if (!reader.sign("=") && !reader.words("to")) throw strange("a setting without a value")
  const { text } = reader.next()
  if (name === "client_encoding" && !/^utf-?8$/i.test(text))
    throw new Fault("unsupported", `the dump is in ${JSON.stringify(text)}, not in UTF-8`, {
      hint: "pg_dump --encoding=UTF8",
    })
  if (name === "standard_conforming_strings" && !/^on$/i.test(text))
    throw new Fault("unsupported", "the dump is of a server with standard_conforming_strings off")
}

function strange(what: string): Fault {
  return new Fault("invalid", `the dump has ${what}`, { hint: "pg_dump writes none: was the file changed?" })
}

function unfit({ name }: TableName, what: string): Fault {
  return new Fault("unsupported", `the table ${JSON.stringify(name)} of the dump ${what}`, {
    hint: "load the dump into a server, and migrate from there",
  })
}
