/** Table `secret`: which secrets there are, and what is known of them. */
import type { Query } from "../clawfs/store/database.ts"
import type { VaultDatabase } from "./database.ts"
import type { VaultKeys } from "./keys.ts"
import { SummedRows } from "./row-sums.ts"
import { nameTag, openMetadata, resealMetadata, sealMetadata, type Metadata } from "./metadata.ts"

export interface SecretEntry {
  readonly id: Buffer
  readonly metadata: Metadata
}

/** What was found by name, as long as no row was written since. */
interface Found {
  readonly stamp: number
  readonly keys: VaultKeys
  readonly byName: Map<string, SecretEntry>
}

export class Secrets {
  readonly #db: VaultDatabase
  readonly #rows: SummedRows
  #found: Found | undefined
  readonly #byTag: Query<[tag: Buffer], [id: Buffer, sealed: Buffer]>
  readonly #byId: Query<[id: Buffer], [id: Buffer, sealed: Buffer]>
  readonly #all: Query<[], [id: Buffer, sealed: Buffer]>
  readonly #put: Query<[id: Buffer, tag: Buffer, sealed: Buffer]>
  readonly #delete: Query<[id: Buffer]>

  constructor(db: VaultDatabase) {
    this.#db = db
    this.#rows = new SummedRows(db, "secret")
    this.#byTag = db.query("SELECT id, sealed FROM secret WHERE name_tag = ?")
    this.#byId = db.query("SELECT id, sealed FROM secret WHERE id = ?")
    this.#all = db.query("SELECT id, sealed FROM secret")
    this.#put = db.query("INSERT OR REPLACE INTO secret (id, name_tag, sealed) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM secret WHERE id = ?")
  }

  find(keys: VaultKeys, name: string): SecretEntry | undefined {
    const { byName } = this.#foundNow(keys)
    const known = byName.get(name)
    if (known !== undefined) return known
    const row = this.#byTag.get(nameTag(keys, name))
    if (row === undefined) return undefined
    const entry = entryOf(keys, row)
    byName.set(name, entry)
    return entry
  }

  #foundNow(keys: VaultKeys): Found {
    const { stamp } = this.#db
    if (this.#found?.stamp !== stamp || this.#found.keys !== keys)
      this.#found = { stamp, keys, byName: new Map() }
    return this.#found
  }

  byId(keys: VaultKeys, id: Buffer): SecretEntry | undefined {
    const row = this.#byId.get(id)
    return row === undefined ? undefined : entryOf(keys, row)
  }

  /** By name. */
  all(keys: VaultKeys): SecretEntry[] {
    const entries = this.#all.all().map((row) => entryOf(keys, row))
    return entries.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  }

  put(keys: VaultKeys, { id, metadata }: SecretEntry): void {
    const sealed = sealMetadata(keys, id, metadata)
    this.#rows.change([id], () => this.#put.run(id, nameTag(keys, metadata.name), sealed))
  }

  delete(id: Buffer): void {
    this.#rows.change([id], () => this.#delete.run(id))
  }

  /** Everything under the next root key; the caller is in a transaction. */
  reseal(keys: VaultKeys, next: VaultKeys): void {
    const rows = this.#all.all()
    // Each key is derived once, not for each row: ten thousand secrets in two seconds.
    keys.with("metadata", (from) =>
      next.with("metadata", (to) =>
        next.with("names", (names) => {
          for (const [id, sealed] of rows)
            this.#put.run(id, ...resealMetadata({ keys, from }, { keys: next, to, names }, id, sealed))
        }),
      ),
    )
  }
}

function entryOf(keys: VaultKeys, [id, sealed]: [Buffer, Buffer]): SecretEntry {
  return { id, metadata: openMetadata(keys, id, sealed) }
}
