/**
 * What all rows of a table come to: a single row that was put back to an earlier state is as well authenticated as when it was
 * written, but the sum of all of them is another one. A sum is the XOR of a keyed hash of each row (a set hash: D. Clarke et al.,
 * "Incremental multiset hash functions and their application to memory integrity checking", ASIACRYPT 2003), so a change costs two
 * hashes. The sums are encrypted: from known ones, rows that cancel each other out could be found. They are part of the audit's head.
 */
import { Fault } from "../clawfs/core/fault.ts"
import type { Value } from "../clawfs/store/database.ts"
import { BLOB_OVERHEAD, hmac, sameBytes } from "../keyring/primitives.ts"
import { bound } from "./bound.ts"
import type { RowNote, VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"

interface TableInfo {
  readonly columns: string
  readonly key: string
  readonly what: string
  readonly laterColumns?: number
}

const TABLES = {
  // A version's body is bound to its key, which no other body was ever encrypted under.
  version: { columns: "secret, version, created, key", key: "secret = ? AND version = ?", what: "versions" },
  secret: { columns: "id, name_tag, sealed", key: "id = ?", what: "secrets" },
  grant: { columns: "id, sealed", key: "id = ?", what: "grants" },
  protector: { columns: "number, kind, created, fixed, sealed, mac", key: "number = ?", what: "protectors" },
  // Its last column came later: while it is empty, the sum is as before.
  vault: { columns: "*", key: "id = ?", what: "settings", laterColumns: 1 },
} as const satisfies Record<string, TableInfo>
type SummedTable = keyof typeof TABLES

const ORDER = Object.keys(TABLES) as readonly SummedTable[]
const SUM_BYTES = 32
const EMPTY_SUMS = Buffer.alloc(ORDER.length * SUM_BYTES)

/** The rows of a table: what changes one goes through here, within a transaction that ends with a row of the audit. */
export class SummedRows {
  readonly #db: VaultDatabase
  readonly #table: SummedTable
  readonly #row

  constructor(db: VaultDatabase, table: SummedTable) {
    const { columns, key } = TABLES[table]
    this.#db = db
    this.#table = table
    this.#row = db.query<Value[], Value[]>(`SELECT ${columns} FROM "${table}" WHERE ${key}`)
  }

  /** Runs what changes the row with this key. */
  change<T>(key: readonly Value[], work: () => T): T {
    this.#note(key)
    const result = work()
    this.#note(key)
    return result
  }

  /** The row with this key is new. */
  added(key: readonly Value[]): void {
    this.#note(key)
  }

  #note(key: readonly Value[]): void {
    const row = this.#row.get(...key)
    if (row !== undefined) this.#db.note({ table: this.#table, row: encoded(this.#table, row) })
  }
}

function encoded(table: SummedTable, row: readonly Value[]): Buffer {
  const { laterColumns = 0 }: TableInfo = TABLES[table]
  const [first, later] = [row.slice(0, row.length - laterColumns), row.slice(row.length - laterColumns)]
  const isOld = later.every((value) => Buffer.isBuffer(value) && value.length === 0)
  return bound("row", ...(isOld ? first : row).map((value) => value ?? ""))
}

/** Of rows that nobody has changed since: from the rows themselves. */
function sumsOf(db: VaultDatabase, keys: VaultKeys): Buffer {
  const sums = Buffer.from(EMPTY_SUMS)
  keys.with("rows", (key) => {
    for (const table of ORDER)
      for (const row of db.query<[], Value[]>(`SELECT ${TABLES[table].columns} FROM "${table}"`).all())
        add(sums, key, { table, row: encoded(table, row) })
  })
  return sums
}

function add(sums: Buffer, key: Buffer, { table, row }: RowNote): void {
  const hash = hmac(key, bound("row of", table), row)
  const start = ORDER.findIndex((each) => each === table) * SUM_BYTES
  for (let at = 0; at < SUM_BYTES; at += 1) sums[start + at] = (sums[start + at] ?? 0) ^ (hash[at] ?? 0)
}

function binding({ uuid, epoch }: VaultKeys): Buffer {
  return bound("row sums", uuid, epoch)
}

/** The sums of no rows. */
export function noSums(keys: VaultKeys): Buffer {
  return keys.seal("sums", binding(keys), EMPTY_SUMS)
}

/** The sums of all rows, sealed. */
export function freshSums(db: VaultDatabase, keys: VaultKeys): Buffer {
  return keys.seal("sums", binding(keys), sumsOf(db, keys))
}

function openSums(keys: VaultKeys, sealed: Buffer): Buffer {
  const sums = Buffer.alloc(EMPTY_SUMS.length)
  if (sealed.length !== sums.length + BLOB_OVERHEAD) throw damaged("the sums of the vault's rows")
  keys.open("sums", binding(keys), sealed, sums, "the sums of the vault's rows")
  return sums
}

/** The sums after these rows went and came. */
export function changedSums(keys: VaultKeys, sealed: Buffer, notes: readonly RowNote[]): Buffer {
  if (notes.length === 0) return sealed
  const sums = openSums(keys, sealed)
  keys.with("rows", (key) => {
    for (const note of notes) add(sums, key, note)
  })
  return keys.seal("sums", binding(keys), sums)
}

/** Throws `Fault("corrupt")`, which names the table, when the rows are not what the sums say. */
export function verifySums(db: VaultDatabase, keys: VaultKeys, sealed: Buffer): void {
  const [known, now] = [openSums(keys, sealed), sumsOf(db, keys)]
  ORDER.forEach((table, at) => {
    const [start, end] = [at * SUM_BYTES, (at + 1) * SUM_BYTES]
    if (sameBytes(known.subarray(start, end), now.subarray(start, end))) return
    throw new Fault(
      "corrupt",
      `the vault's ${TABLES[table].what} are not as they were last written: one was put back, taken away or added`,
      { hint: "restore a whole vault.db; or clawfs vault adopt takes the vault as it is" },
    )
  })
}
