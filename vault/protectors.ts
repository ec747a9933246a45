/** The rows of table `protector`: each is authenticated by the root key that it gives back. */
import { Fault } from "../clawfs/core/fault.ts"
import { sameBytes } from "../keyring/primitives.ts"
import { ProtectorKind, type ProtectorPlace, type ProtectorRecord } from "../keyring/protector.ts"
import type { Query } from "../clawfs/store/database.ts"
import { bound } from "./bound.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { SummedRows } from "./row-sums.ts"

export interface ProtectorRow extends ProtectorRecord {
  readonly number: number
  /** Milliseconds since 1970. */
  readonly created: number
  readonly mac: Buffer
}

type Cells = [
  number: number,
  kind: ProtectorKind,
  created: number,
  fixed: Buffer,
  sealed: Buffer,
  mac: Buffer,
]

/** Of one kind, the vault would be lost with it. */
const FEWEST = 2

export class Protectors {
  readonly #rows: SummedRows
  readonly #list: Query<[], Cells>
  readonly #insert: Query<Cells>
  readonly #update: Query<[sealed: Buffer, mac: Buffer, number: number]>
  readonly #delete: Query<[number: number]>

  constructor(db: VaultDatabase) {
    this.#rows = new SummedRows(db, "protector")
    this.#list = db.query("SELECT number, kind, created, fixed, sealed, mac FROM protector ORDER BY number")
    this.#insert = db.query("INSERT INTO protector VALUES (?, ?, ?, ?, ?, ?)")
    this.#update = db.query("UPDATE protector SET sealed = ?, mac = ? WHERE number = ?")
    this.#delete = db.query("DELETE FROM protector WHERE number = ?")
  }

  list(): ProtectorRow[] {
    return this.#list
      .all()
      .map(([number, kind, created, fixed, sealed, mac]) => ({ number, kind, created, fixed, sealed, mac }))
  }

  /** All of them, each as its root key wrote it. Throws `Fault("corrupt")` for any other. */
  verified(keys: VaultKeys): ProtectorRow[] {
    const rows = this.list()
    for (const row of rows)
      if (!sameBytes(macOf(keys, row), row.mac)) throw damaged(`protector ${row.number}`)
    return rows
  }

  nextNumber(): number {
    return Math.max(0, ...this.list().map(({ number }) => number)) + 1
  }

  add(keys: VaultKeys, row: Omit<ProtectorRow, "mac">): void {
    const { number, kind, created, fixed, sealed } = row
    this.#insert.run(number, kind, created, fixed, sealed, macOf(keys, row))
    this.#rows.added([number])
  }

  /** Puts in what protects another root key; the tables are summed anew then. */
  reseal(keys: VaultKeys, row: ProtectorRow, sealed: Buffer): void {
    this.#update.run(sealed, macOf(keys, { ...row, sealed }), row.number)
  }

  /** Throws a `Fault` for one that is not there, and for the last ones that would be left with the vault's only way in. */
  remove(number: number): ProtectorRow {
    const rows = this.list()
    const row = rows.find((each) => each.number === number)
    if (row === undefined) throw new Fault("not-found", `the vault has no protector ${number}`)
    const rest = rows.filter((each) => each !== row)
    if (!rest.some(({ kind }) => kind !== ProtectorKind.TPM))
      throw new Fault("invalid", "this is the last protector that is not a TPM", {
        hint: "a vault whose TPM breaks would be lost; add another first: clawfs vault protector add",
      })
    if (rest.length < FEWEST)
      throw new Fault("invalid", `a vault has at least ${FEWEST} protectors`, {
        hint: "add another first: clawfs vault protector add",
      })
    this.#rows.change([number], () => this.#delete.run(number))
    return row
  }

  /** Without the rule: for protectors that are of no use any more with another root key. */
  drop(number: number): void {
    this.#delete.run(number)
  }
}

export function placeOf(keys: Pick<VaultKeys, "uuid" | "epoch">, number: number): ProtectorPlace {
  return { vault: keys.uuid, number, epoch: keys.epoch }
}

function macOf(keys: VaultKeys, { number, kind, created, fixed, sealed }: Omit<ProtectorRow, "mac">): Buffer {
  return keys.mac(
    "protectors",
    bound("protector", keys.uuid, keys.epoch, number, kind, created, fixed, sealed),
  )
}
