/**
 * The checksums of all rows at once: made when a store of an older format is migrated and after a repair, and compared
 * with what is there by fsck. What keeps them up while the store is used is beside the code of each table.
 */
import { crc32 } from "node:zlib"
import { mix, moved, sumOf, sumOfBytes, sumOfKey, sumOfName, sumOfPart, type Sum } from "./checksum.ts"
import { SET_SUM_COLUMNS, STATE_COLUMNS } from "./counters.ts"
import type { Database, Query, Value } from "./database.ts"
import { EncryptedTrees } from "./encrypted-trees.ts"
import { EXTENT_COLUMNS, sumOfExtent } from "./extents.ts"
import { INODE_COLUMNS } from "./inodes.ts"
import { S_IFDIR, S_IFMT, S_IFREG } from "./inode.ts"
import { KEY_COLUMNS, SLOT_COLUMNS } from "./keys.ts"
import { SCHEDULE_COLUMNS, sumOfSchedule } from "./schedules.ts"
import { sumOfShared } from "./shared-bodies.ts"
import { SNAPSHOT_COLUMNS, sumOfSnapshot } from "./snapshots.ts"
import { TREE_COLUMNS } from "./trees.ts"
import { sumOfAttributes } from "./xattrs.ts"

/** A sum that is not the one that the rows have. */
export interface WrongSum {
  readonly what:
    | ("row" | "name" | "extent" | "content" | "parts" | "attributes" | "tree" | "key")
    | ("state" | "segments" | "shared" | "snapshots" | "schedules" | "slots" | "store" | "schema")
  readonly ino?: number
  readonly entry?: { readonly parent: number; readonly name: Buffer }
}

type What = WrongSum["what"]
type About = Pick<WrongSum, "ino" | "entry">
type Row = [...columns: Value[], sum: Sum]

const PAGE = 2000
const MOST_USERS = 1000
/** Numbers that are exact in JavaScript; other keys are findings of their own. */
const LIMIT = 2 ** 53

/** Which sums are put right. A wrong one of contents says that bytes are damaged: to put it right is to take them as they are. */
type Fill = "none" | "all but contents" | "all"

/** All that are wrong or missing, which are put right as `fill` says. */
export function* wrongSums(db: Database, fill: Fill = "none"): Generator<WrongSum> {
  const encrypted = new EncryptedTrees(db)
  yield* slots(db, encrypted, fill)
  for (const table of tables(db, encrypted)) yield* rowsOf(db, table, fill)
  yield* attributes(db, fill)
  yield* inodes(db, fill)
  yield* single(db, fill)
}

/** Gives every row its sum: rows that never had one. */
export function fillSums(db: Database): void {
  putRight(db, "all")
}

/** Gives every row its sum after a repair. What is damaged of contents stays so. */
export function mendSums(db: Database): void {
  putRight(db, "all but contents")
}

function putRight(db: Database, fill: Fill): void {
  const sums = wrongSums(db, fill)
  let next = sums.next()
  while (next.done !== true) next = sums.next()
}

/** A table whose rows have a sum each, of nothing but the row. */
interface Table {
  readonly name: string
  readonly keys: readonly string[]
  readonly columns: string
  readonly what: What
  readonly sumOf: (row: Value[]) => number
  /** What a row is about: an inode, or several that have the same. */
  readonly about: (row: Value[]) => readonly About[]
}

function tables(db: Database, encrypted: EncryptedTrees): readonly Table[] {
  const first = (row: Value[]): number => row[0] as number
  const summed = (row: Value[]): number => sumOf(first(row), row.slice(1))
  const bytes = (row: Value[]): number => sumOfBytes(first(row), row[1] as Buffer)
  const ino = (row: Value[]): About[] => [{ ino: first(row) }]
  const top = (row: Value[]): About[] => encrypted.topsOf(first(row))
  const users = usersOf(db)
  const body = (row: Value[]): About[] => users(first(row))
  return [
    {
      ...{ name: "dentry", keys: ["parent", "cookie"], columns: "name, ino, type", what: "name" },
      sumOf: ([parent, cookie, name, to, type]) => {
        const sum = sumOfName(parent as number, cookie as number, to as number, type as number)
        return Buffer.isBuffer(name) && encrypted.has(parent as number) ? sum ^ crc32(name) : sum
      },
      about: ([parent, , name, to]) => [
        { ino: to as number, entry: { parent: parent as number, name: name as Buffer } },
      ],
    },
    {
      ...{ name: "extent", keys: ["body", "offset"], columns: EXTENT_COLUMNS.replace("offset, ", "") },
      ...{ what: "extent", about: body },
      sumOf: ([of, ...row]) => sumOfExtent(of as number, row as number[]),
    },
    { name: "inline", keys: ["body"], columns: "data", what: "content", sumOf: bytes, about: body },
    { name: "symlink", keys: ["ino"], columns: "target", what: "content", sumOf: bytes, about: ino },
    {
      ...{ name: "tree", keys: ["id"], columns: TREE_COLUMNS.replace("id, ", ""), what: "tree", about: ino },
      sumOf: (row) => sumOf(first(row), row),
    },
    { name: "key", keys: ["id"], columns: KEY_COLUMNS, what: "key", sumOf: summed, about: top },
    {
      ...{ name: "key_slot", keys: ["key", "slot"], columns: SLOT_COLUMNS.replace("slot, ", "") },
      ...{ what: "key", sumOf: summed, about: top },
    },
    {
      ...{ name: "file_key", keys: ["body"], columns: "key, generation, file_id, wrapped" },
      ...{ what: "key", sumOf: summed, about: body },
    },
  ]
}

/** The inodes that have a body, as many as are told of. */
function usersOf(db: Database): (body: number) => About[] {
  const query = db.query<[number, number], [number]>(
    `SELECT ino FROM inode WHERE ino = ? AND body = 0
     UNION ALL SELECT ino FROM inode WHERE body = ? AND body != 0 LIMIT ${MOST_USERS}`,
  )
  return (body) => {
    const users = query.all(body, body).map(([ino]) => ({ ino }))
    return users.length > 0 ? users : [{ ino: body }]
  }
}

function* rowsOf(db: Database, table: Table, fill: Fill): Generator<WrongSum> {
  const { name, keys, columns, what } = table
  const put = db.query<Value[]>(
    `UPDATE ${name} SET sum = ? WHERE ${keys.map((key) => `${key} = ?`).join(" AND ")}`,
  )
  for (const all of pages(db, name, keys, `${columns}, sum`)) {
    const row: Value[] = [...all]
    const sum = row.pop() as Sum
    const right = table.sumOf(row)
    if (sum === right) continue
    if (fill === "none") for (const about of table.about(row)) yield { what, ...about }
    else if (fill === "all" || what !== "content") put.run(right, ...row.slice(0, keys.length))
  }
}

/** All rows of a table in the order of their keys, some thousand at a time: they may be changed meanwhile. */
function* pages(db: Database, name: string, keys: readonly string[], columns: string): Generator<Row> {
  const inRange = keys.map((key) => `+${key} BETWEEN 0 AND ${LIMIT - 1}`).join(" AND ")
  const after = `(${keys.join(", ")}) > (${keys.map(() => "?").join(", ")})`
  const query = db.query<Value[], Row>(
    `SELECT ${[...keys, columns].join(", ")} FROM ${name} WHERE ${after} AND ${inRange}
     ORDER BY ${keys.join(", ")} LIMIT ${PAGE}`,
  )
  for (let last: Value[] = keys.map((_, at) => (at === 0 ? 0 : -1)); ;) {
    const rows = query.all(...last)
    yield* rows
    const end = rows.at(-1)
    if (end === undefined || rows.length < PAGE) return
    last = end.slice(0, keys.length)
  }
}

/** Those of an inode, which are few, have one sum. */
function* attributes(db: Database, fill: Fill): Generator<WrongSum> {
  const put = db.query<[number, number]>("UPDATE xattr SET sum = ? WHERE ino = ?")
  const of = db.query<[number], [Buffer, Buffer, Sum]>("SELECT name, value, sum FROM xattr WHERE ino = ?")
  for (const ino of inosWithAttributes(db)) {
    const rows = of.all(ino)
    const right = sumOfAttributes(rows) ^ sumOfKey(ino)
    if (rows.every(([, , sum]) => sum === right)) continue
    yield { what: "attributes", ino }
    if (fill !== "none") put.run(right, ino)
  }
}

function* inosWithAttributes(db: Database): Generator<number> {
  const next = db.query<[number], [number | null]>("SELECT min(ino) FROM xattr WHERE ino > ?")
  for (let ino = next.get(0)?.[0]; typeof ino === "number" && ino < LIMIT; ino = next.get(ino)?.[0]) yield ino
}

const COLUMNS = INODE_COLUMNS.split(",").map((name) => name.trim())
const at = (name: string): number => COLUMNS.indexOf(name)
const [MODE, BODY, PARTS] = [at("mode"), at("body"), at("part_sum")]

function* inodes(db: Database, fill: Fill): Generator<WrongSum> {
  const put = db.query<Value[]>("UPDATE inode SET part_sum = ?, sum = ? WHERE ino = ?")
  const parts = new PartSums(db)
  for (const all of pages(db, "inode", ["ino"], `${INODE_COLUMNS}, sum`)) {
    const [ino, ...row] = all as unknown as [number, ...(number | null)[]]
    const sum = row.pop() ?? null
    if (sum !== sumOf(ino, row)) yield { what: "row", ino }
    const right = parts.of(ino, row[MODE] ?? 0, row[BODY] ?? 0)
    const before = row[PARTS] ?? null
    if (before !== right) yield { what: "parts", ino }
    if (fill === "none" || (before === right && sum === sumOf(ino, row))) continue
    row[PARTS] = right
    put.run(right, sumOf(ino, row), ino)
  }
}

/** What the names in an inode, or its extents, add up to. Inodes are asked for in the order of their numbers. */
class PartSums {
  readonly #extents: Query<[number], [number, number]>
  readonly #names: Groups

  constructor(db: Database) {
    this.#extents = db.query("SELECT offset, length FROM extent WHERE body = ? ORDER BY offset")
    const names = pages(db, "dentry", ["parent", "cookie"], "0") as Generator<[number, ...Value[]]>
    this.#names = new Groups(names, ([, cookie]) => sumOfPart(0, cookie as number))
  }

  of(ino: number, mode: number, body: number): number {
    const names = this.#names.of(ino)
    const type = mode & S_IFMT
    if (type === S_IFDIR) return names
    if (type !== S_IFREG) return 0
    return this.#extents
      .all(body === 0 ? ino : body)
      .reduce((sum, [offset, length]) => (sum + sumOfPart(offset, length)) | 0, 0)
  }
}

/** Sums of rows that come in the order of their first column. */
class Groups {
  readonly #rows: Generator<[number, ...Value[]]>
  readonly #elementOf: (row: [number, ...Value[]]) => number
  #next: [number, ...Value[]] | undefined

  constructor(rows: Generator<[number, ...Value[]]>, elementOf: (row: [number, ...Value[]]) => number) {
    this.#rows = rows
    this.#elementOf = elementOf
    this.#advance()
  }

  #advance(): void {
    const next = this.#rows.next()
    this.#next = next.done === true ? undefined : next.value
  }

  of(key: number): number {
    let sum = 0
    while (this.#next !== undefined && this.#next[0] <= key) {
      if (this.#next[0] === key) sum = (sum + this.#elementOf(this.#next)) | 0
      this.#advance()
    }
    return sum
  }
}

/** Which slots a key has stands in the row of the key. */
function* slots(db: Database, encrypted: EncryptedTrees, fill: Fill): Generator<WrongSum> {
  const of = db.query<[number], [number, ...Value[]]>(`SELECT ${SLOT_COLUMNS} FROM key_slot WHERE key = ?`)
  const put = db.query<[number, number]>("UPDATE key SET slot_sum = ? WHERE id = ?")
  for (const [id, sum] of db.query<[], [number, Sum]>("SELECT id, slot_sum FROM key").all()) {
    const right = total(of.all(id), (row) => sumOf(id, row))
    if (sum === right) continue
    if (fill === "none") for (const about of encrypted.topsOf(id)) yield { what: "slots", ...about }
    else put.run(right, id)
  }
}

/** Sums over whole tables, in the order of `SET_SUM_COLUMNS`. */
function setSums(db: Database): { what: What; right: number }[] {
  const all = (columns: string, table: string): Value[][] =>
    db.query<[], Value[]>(`SELECT ${columns} FROM ${table}`).all()
  const pair =
    (sum: (first: number, second: number) => number) =>
    ([first, second]: Value[]): number =>
      sum(first as number, second as number)
  return [
    { what: "segments", right: total(all("id, live", "segment"), pair(sumOfPart)) },
    { what: "shared", right: total(all("body, refs", "shared"), pair(sumOfShared)) },
    { what: "snapshots", right: total(all(SNAPSHOT_COLUMNS, "snapshot"), sumOfSnapshot) },
    { what: "schedules", right: total(all(SCHEDULE_COLUMNS, "snapshot_schedule"), sumOfSchedule) },
  ]
}

function total<R>(rows: Iterable<R>, elementOf: (row: R) => number): number {
  let sum = 0
  for (const row of rows) sum = moved(sum, elementOf(row), 0)
  return sum
}

function* single(db: Database, fill: Fill): Generator<WrongSum> {
  const row = db
    .query<[], Sum[]>(`SELECT ${SET_SUM_COLUMNS}, ${STATE_COLUMNS}, sum FROM state WHERE id = 1`)
    .get()
  if (row !== undefined) {
    const sum = row.pop()
    const sets = setSums(db)
    for (const [at, { what, right }] of sets.entries()) if (row[at] !== right) yield { what }
    if (sum !== sumOf(1, row)) yield { what: "state" }
    const right = sets.map((set) => set.right)
    const set = SET_SUM_COLUMNS.split(", ").map((column) => `${column} = ?`)
    if (fill !== "none")
      db.query<number[]>(`UPDATE state SET ${set.join(", ")}, sum = ? WHERE id = 1`).run(
        ...right,
        sumOf(1, [...right, ...row.slice(right.length)]),
      )
  }
  yield* storeRow(db, fill)
}

type StoreRow = [Buffer, number, number, number, number | null, number | null]

function* storeRow(db: Database, fill: Fill): Generator<WrongSum> {
  const row = db
    .query<[], StoreRow>("SELECT uuid, created, seed_a, seed_b, schema_sum, sum FROM store WHERE id = 1")
    .get()
  if (row === undefined) return
  const [uuid, created, seedA, seedB, schema, sum] = row
  const right = sumOfSchema(db)
  if (schema !== right) yield { what: "schema" }
  if (sum !== sumOfStore([uuid, created, seedA, seedB, schema])) yield { what: "store" }
  if (fill !== "none")
    db.query<number[]>("UPDATE store SET schema_sum = ?, sum = ? WHERE id = 1").run(
      right,
      sumOfStore([uuid, created, seedA, seedB, right]),
    )
}

/** The key is 1; the row has bytes. */
export function sumOfStore(row: readonly Value[]): number {
  return sumOf(1, row)
}

/** Of the tables and indexes as they are described, not of where they begin: that changes with VACUUM. */
export function sumOfSchema(db: Database): number {
  const rows = db
    .query<[], [string, string, string, string | null]>(
      `SELECT type, name, tbl_name, sql FROM sqlite_master
       WHERE type IN ('table', 'index') AND sql IS NOT NULL ORDER BY name`,
    )
    .all()
  return rows.reduce((sum, row) => mix(sum, crc32(Buffer.from(row.join("\0")))), 0)
}
