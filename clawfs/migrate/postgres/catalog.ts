/** Which tables a database has, and how their columns are read: nothing is assumed of a schema's version. */
import { Fault } from "../../core/fault.ts"
import type { Session } from "./session.ts"

/** How a column's text becomes JSON: `raw` is JSON already. */
export type Shape = "raw" | "string" | "time" | "number"

export interface Column {
  readonly name: string
  /** Such as `timestamp with time zone`. */
  readonly type: string
  readonly shape: Shape
  /** SQL that gives the value as text, for a table that is called `t`. */
  readonly expression: string
  /** Its values can be long: they are read piece by piece when they are. */
  readonly isWide: boolean
  /** SQL of a `bytea`, whose text is base64: its length is counted and its pieces are cut before they become text. */
  readonly bytes?: string
  /** Of pgvector: read apart. */
  readonly isVector: boolean
}

export interface Table {
  readonly name: string
  /** With its schema, as it stands in SQL. */
  readonly sql: string
  readonly columns: readonly Column[]
  readonly primaryKey: readonly string[]
  /** On the server's disk, with indexes. */
  readonly bytes: number
}

export interface Catalog {
  readonly schema: string
  readonly tables: ReadonlyMap<string, Table>
  /** Schema of the extension pgvector, as it stands in SQL; undefined where there is none. */
  readonly vectorSchema: string | undefined
}

/** A table of one of these makes a schema one of IronClaw's, or of the older documents'. */
const MARKS = ["memory_documents", "root_filesystem_entries", "conversations", "secrets", "documents"]

const NUMBERS = new Set(["int2", "int4"])
const FLOATS = new Set(["float4", "float8"])
const STRINGS = new Set([
  "int8",
  "numeric",
  "uuid",
  "date",
  "time",
  "timetz",
  "interval",
  "oid",
  "name",
  "inet",
])
const TIMES = new Set(["timestamptz", "timestamp"])
const WIDE_STRINGS = new Set(["text", "varchar", "bpchar", "xml"])

interface RawColumn {
  readonly name: string
  readonly type: string
  readonly baseType: string
  readonly namespace: string
  readonly isArray: boolean
}

/** `schema`: which one; without it, public or the only one that has a table that is known. */
export async function readCatalog(session: Session, schema?: string): Promise<Catalog> {
  const [[vectorSchema] = []] = await session.query(
    "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'",
  )
  const chosen = schema ?? (await chooseSchema(session))
  const tables = await session.query(
    `SELECT c.oid::text, c.relname, pg_total_relation_size(c.oid)::text
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ${session.literal(chosen)}
     ORDER BY c.relname COLLATE "C"`,
  )
  const found = new Map<string, Table>()
  for (const [oid = "", name = "", bytes] of tables as [string, string, string][]) {
    const columns = await columnsOf(session, oid)
    const primaryKey = await keyOf(session, oid)
    const sql = `${session.identifier(chosen)}.${session.identifier(name)}`
    found.set(name, { name, sql, columns, primaryKey, bytes: Number(bytes) })
  }
  return {
    schema: chosen,
    tables: found,
    vectorSchema: typeof vectorSchema === "string" ? session.identifier(vectorSchema) : undefined,
  }
}

async function chooseSchema(session: Session): Promise<string> {
  const marks = MARKS.map((name) => session.literal(name)).join(", ")
  const found = await session.query(
    `SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relname IN (${marks}) AND n.nspname NOT LIKE 'pg\\_%'
       AND n.nspname <> 'information_schema' ORDER BY 1`,
  )
  const names = found.map(([name]) => name ?? "")
  const [only, ...others] = names
  if (only === undefined || names.includes("public")) return "public"
  if (others.length === 0) return only
  throw new Fault("invalid", `several schemas could be meant: ${names.join(", ")}`, {
    hint: "--schema NAME says which",
  })
}

async function columnsOf(session: Session, oid: string): Promise<Column[]> {
  const rows = await session.query(
    `SELECT a.attname, format_type(a.atttypid, NULL), coalesce(e.typname, t.typname),
       coalesce(en.nspname, n.nspname), (t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A')::text
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
     LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
     LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
     WHERE a.attrelid = ${oid} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attname COLLATE "C"`,
  )
  return rows.map(([name = "", type = "", baseType = "", namespace = "", isArray]) =>
    columnOf(session, {
      name: name ?? "",
      type: type ?? "",
      baseType: baseType ?? "",
      namespace: namespace ?? "",
      isArray: isArray === "true",
    }),
  )
}

function columnOf(session: Session, { name, type, baseType, namespace, isArray }: RawColumn): Column {
  const place = `t.${session.identifier(name)}`
  const isBuiltIn = namespace === "pg_catalog"
  const common = { name, type, isVector: baseType === "vector" && !isArray && !isBuiltIn }
  const narrow = { ...common, isWide: false, expression: `${place}::text` }
  const wide = { ...common, isWide: true, expression: `${place}::text` }
  // A type that somebody made: by its output function, as a cast could be one of theirs.
  // NULL stays NULL, which format alone would not keep; a composite of NULLs is none.
  if (!isBuiltIn)
    return {
      ...{ ...wide, shape: "string" },
      expression: `CASE WHEN num_nulls(${place}) = 0 THEN format('%s', ${place}) END`,
    }
  if (isArray) return { ...wide, shape: "raw", expression: `array_to_json(${place})::text` }
  if (baseType === "bool") return { ...narrow, shape: "raw" }
  if (NUMBERS.has(baseType)) return { ...narrow, shape: "raw" }
  if (FLOATS.has(baseType)) return { ...narrow, shape: "number" }
  if (TIMES.has(baseType)) return { ...narrow, shape: "time" }
  if (STRINGS.has(baseType)) return { ...narrow, shape: "string" }
  if (baseType === "jsonb") return { ...wide, shape: "raw" }
  // Line ends between its words, which strings in it can't hold, would end a line.
  if (baseType === "json")
    return { ...wide, shape: "raw", expression: `translate(${place}::text, E'\\n\\r', '  ')` }
  if (baseType === "bytea")
    return {
      ...{ ...wide, shape: "string", bytes: place },
      expression: `translate(encode(${place}, 'base64'), E'\\n', '')`,
    }
  return { ...wide, shape: "string", isWide: WIDE_STRINGS.has(baseType) || baseType !== "char" }
}

async function keyOf(session: Session, oid: string): Promise<string[]> {
  const rows = await session.query(
    `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = ${oid} AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)`,
  )
  return rows.map(([name]) => name ?? "")
}
