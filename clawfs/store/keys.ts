/** Tables `key`, `key_slot` and `file_key`: what the store keeps of the keys of encrypted trees. None of it is secret. */
import { Fault } from "../core/fault.ts"
import type { Kdf } from "../../keyring/kdf.ts"
import type { KeySlot, SourceKind } from "../../keyring/slots.ts"
import type { WrappedFileKey } from "../../keyring/tree-key.ts"
import { damagedRow, moved, sumOf, type Sum } from "./checksum.ts"
import type { Database, Query, Value } from "./database.ts"

export interface KeyRow {
  readonly id: number
  readonly generation: number
  readonly checkValue: Buffer
  /** The key of the generation before, wrapped by this one, while some file keys are wrapped by that. */
  readonly previous: Buffer | undefined
}

export interface FileKeyRow extends WrappedFileKey {
  readonly key: number
  readonly generation: number
}

type Row = [generation: number, check: Buffer, previous: Buffer | null, slots: number]
type SlotRow = [number, number, number, Buffer, number, number, Buffer]
type FileRow = [number, number, Buffer, Buffer]

/** All but the key and the checksum. */
export const KEY_COLUMNS = "generation, check_value, previous, slot_sum"
export const SLOT_COLUMNS = "slot, kind, kdf, salt, cost, memory_kib, wrapped"

const SLOT_SUM = 3

export class Keys {
  readonly #key: Query<[number], [...Row, sum: Sum]>
  readonly #ids: Query<[], [number]>
  readonly #putKey: Query<[number, ...Row, sum: number]>
  readonly #slots: Query<[number], [...SlotRow, sum: Sum]>
  readonly #putSlot: Query<[number, ...SlotRow, sum: number]>
  readonly #dropSlot: Query<[number, number]>
  readonly #dropSlots: Query<[number]>
  readonly #unused: Query<[], [number]>
  readonly #dropKey: Query<[number]>
  readonly #dropFiles: Query<[number]>
  readonly #file: Query<[number], [...FileRow, sum: Sum]>
  readonly #putFile: Query<[number, ...FileRow, sum: number]>
  readonly #copyFile: Query<[number, number, number]>
  readonly #dropOwnFile: Query<[number]>
  readonly #dropFile: Query<[number, number, number, number, number]>
  readonly #old: Query<[number, number, number, number], [number, ...FileRow, sum: Sum]>

  constructor(db: Database) {
    this.#key = db.query(`SELECT ${KEY_COLUMNS}, sum FROM key WHERE id = ?`)
    this.#ids = db.query("SELECT id FROM key")
    this.#putKey = db.query(`INSERT OR REPLACE INTO key (id, ${KEY_COLUMNS}, sum) VALUES (?, ?, ?, ?, ?, ?)`)
    this.#slots = db.query(`SELECT ${SLOT_COLUMNS}, sum FROM key_slot WHERE key = ? ORDER BY slot`)
    this.#putSlot = db.query(
      `INSERT INTO key_slot (key, ${SLOT_COLUMNS}, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#dropSlot = db.query("DELETE FROM key_slot WHERE key = ? AND slot = ?")
    this.#dropSlots = db.query("DELETE FROM key_slot WHERE key = ?")
    this.#unused = db.query("SELECT id FROM key WHERE id NOT IN (SELECT key FROM tree)")
    this.#dropKey = db.query("DELETE FROM key WHERE id = ?")
    this.#dropFiles = db.query("DELETE FROM file_key WHERE key = ?")
    this.#file = db.query("SELECT key, generation, file_id, wrapped, sum FROM file_key WHERE body = ?")
    this.#putFile = db.query(
      "INSERT OR REPLACE INTO file_key (body, key, generation, file_id, wrapped, sum) VALUES (?, ?, ?, ?, ?, ?)",
    )
    this.#copyFile = db.query(
      `INSERT INTO file_key (body, key, generation, file_id, wrapped, sum)
       SELECT ?, key, generation, file_id, wrapped, rekeyed(sum, body, ?) FROM file_key WHERE body = ?`,
    )
    this.#dropOwnFile = db.query("DELETE FROM file_key WHERE body = ?")
    // An inode that has its own body says so with 0.
    this.#dropFile = db.query(
      `DELETE FROM file_key WHERE body = ?
         AND NOT EXISTS (SELECT 1 FROM inode WHERE body = ? AND body != 0 AND ino != ?)
         AND NOT EXISTS (SELECT 1 FROM inode WHERE ino = ? AND body = 0 AND ino != ?)`,
    )
    this.#old = db.query(
      `SELECT body, key, generation, file_id, wrapped, sum FROM file_key
       WHERE body > ? AND key = ? AND generation < ? ORDER BY body LIMIT ?`,
    )
  }

  get(id: number): KeyRow | undefined {
    const row = this.#key.get(id)
    if (row === undefined) return undefined
    const [generation, checkValue, previous] = checked(`the row of key ${id}`, id, row)
    return { id, generation, checkValue, previous: previous ?? undefined }
  }

  ids(): number[] {
    return this.#ids.all().map(([id]) => id)
  }

  put({ id, generation, checkValue, previous }: KeyRow): void {
    const slots = this.#key.get(id)?.[SLOT_SUM] ?? 0
    const row: Row = [generation, checkValue, previous ?? null, slots]
    this.#putKey.run(id, ...row, sumOf(id, row))
  }

  slots(id: number): KeySlot[] {
    return this.#slots.all(id).map((row) => {
      const [slot, kind, kdf, salt, cost, memoryKiB, wrapped] = checked(`a slot of key ${id}`, id, row)
      return { slot, kind: kind as SourceKind, kdf: kdf as Kdf, salt, cost, memoryKiB, wrapped }
    })
  }

  /** Of a key that has its row. */
  addSlot(id: number, { slot, kind, kdf, salt, cost, memoryKiB, wrapped }: KeySlot): void {
    const row: SlotRow = [slot, kind, kdf, salt, cost, memoryKiB, wrapped]
    this.#putSlot.run(id, ...row, sumOf(id, row))
    this.#countSlots(id, (sum) => moved(sum, sumOf(id, row), 0))
  }

  dropSlot(id: number, slot: number): void {
    const row = this.#slots.all(id).find(([each]) => each === slot)
    if (row === undefined) return
    this.#dropSlot.run(id, slot)
    this.#countSlots(id, (sum) => moved(sum, 0, row.at(-1) as number))
  }

  dropSlots(id: number): void {
    this.#dropSlots.run(id)
    this.#countSlots(id, () => 0)
  }

  /** That one is lost must not lock anybody out who has another: only fsck compares this sum. */
  #countSlots(id: number, change: (sum: number) => number): void {
    const all = this.#key.get(id)
    if (all === undefined) return
    const row = checked(`the row of key ${id}`, id, all)
    row[SLOT_SUM] = change(row[SLOT_SUM])
    this.#putKey.run(id, ...row, sumOf(id, row))
  }

  /** Keys that no tree has any more go, and with them whatever could still be decrypted. */
  dropUnused(): void {
    for (const [id] of this.#unused.all()) {
      this.#dropFiles.run(id)
      this.#dropSlots.run(id)
      this.#dropKey.run(id)
    }
  }

  fileKey(body: number): FileKeyRow {
    const row = this.#file.get(body)
    if (row === undefined) throw new Fault("corrupt", `body ${body} of an encrypted tree has no key`)
    return fromRow(body, row)
  }

  putFileKey(body: number, row: FileKeyRow): void {
    const columns: FileRow = [row.key, row.generation, row.fileId, row.wrapped]
    this.#putFile.run(body, ...columns, sumOf(body, columns))
  }

  /** A copy of a body has the same key. */
  copyFileKey(from: number, to: number): void {
    this.#copyFile.run(to, to, from)
  }

  /** The only inode with this body goes. */
  dropOwnFileKey(body: number): void {
    this.#dropOwnFile.run(body)
  }

  /** The inode `ino` with this body goes: so does the key, unless a copy has the body too. */
  dropFileKey(body: number, ino: number): void {
    this.#dropFile.run(body, body, ino, body, ino)
  }

  /** Up to `limit` file keys behind `body` that an earlier generation of `key` wraps, in order. */
  olderThan(key: number, generation: number, body: number, limit: number): (FileKeyRow & { body: number })[] {
    return this.#old
      .all(body, key, generation, limit)
      .map(([at, ...row]) => ({ body: at, ...fromRow(at, row) }))
  }
}

function fromRow(body: number, row: [...FileRow, sum: Sum]): FileKeyRow {
  const [key, generation, fileId, wrapped] = checked(`the key of body ${body}`, body, row)
  return { key, generation, fileId, wrapped }
}

/** A row without its sum, which is the last column. Throws `Fault("corrupt")` when it is not as it was written. */
function checked<R extends Value[]>(what: string, key: number, row: [...R, sum: Sum]): R {
  const columns = row.slice(0, -1) as R
  const sum = row.at(-1)
  if (sum !== sumOf(key, columns)) throw damagedRow(what)
  return columns
}
