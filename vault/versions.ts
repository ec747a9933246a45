/**
 * Versions of secrets: each value is encrypted once, under a random key of its own, which is wrapped by the root key. So no
 * nonce is used twice with a key, and a value is gone for good when its key is.
 */
import type { Query } from "../clawfs/store/database.ts"
import { BLOB_OVERHEAD, openBlobInto, primitives, sealBlob } from "../keyring/primitives.ts"
import { KEY_BYTES } from "../keyring/secret.ts"
import { randomFillSync } from "node:crypto"
import { bound } from "./bound.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { SummedRows } from "./row-sums.ts"

export interface VersionPlace {
  readonly secret: Buffer
  readonly version: number
  /** Milliseconds since 1970. */
  readonly created: number
}

export interface VersionInfo {
  readonly version: number
  readonly created: number
  readonly isDestroyed: boolean
  readonly bytes: number
}

const EMPTY = Buffer.alloc(0)

function keyBinding({ uuid, epoch }: VaultKeys, { secret, version, created }: VersionPlace): Buffer {
  return bound("version key", uuid, epoch, secret, version, created)
}

function bodyBinding({ uuid }: VaultKeys, { secret, version, created }: VersionPlace): Buffer {
  return bound("version body", uuid, secret, version, created)
}

export class Versions {
  readonly #rows: SummedRows
  readonly #insert: Query<[secret: Buffer, version: number, created: number, key: Buffer, body: Buffer]>
  readonly #get: Query<[secret: Buffer, version: number], [created: number, key: Buffer, body: Buffer]>
  readonly #list: Query<
    [secret: Buffer, from: number],
    [version: number, created: number, key: number, body: number]
  >
  readonly #destroy: Query<[key: Buffer, body: Buffer, secret: Buffer, version: number]>
  readonly #remove: Query<[secret: Buffer, version: number]>
  readonly #page: Query<
    [secret: Buffer, version: number, count: number],
    [secret: Buffer, version: number, created: number, key: Buffer]
  >
  readonly #setKey: Query<[key: Buffer, secret: Buffer, version: number]>

  constructor(db: VaultDatabase) {
    this.#rows = new SummedRows(db, "version")
    this.#insert = db.query("INSERT INTO version VALUES (?, ?, ?, ?, ?)")
    this.#get = db.query("SELECT created, key, body FROM version WHERE secret = ? AND version = ?")
    this.#list = db.query(
      "SELECT version, created, length(key), length(body) FROM version WHERE secret = ? AND version >= ? ORDER BY version",
    )
    this.#destroy = db.query("UPDATE version SET key = ?, body = ? WHERE secret = ? AND version = ?")
    this.#remove = db.query("DELETE FROM version WHERE secret = ? AND version = ?")
    this.#page = db.query(
      "SELECT secret, version, created, key FROM version WHERE (secret, version) > (?, ?) ORDER BY secret, version LIMIT ?",
    )
    this.#setKey = db.query("UPDATE version SET key = ? WHERE secret = ? AND version = ?")
  }

  add(keys: VaultKeys, place: VersionPlace, value: Uint8Array): void {
    const { secret, version, created } = place
    keys.borrow(KEY_BYTES, (key) => {
      randomFillSync(key)
      const body = sealBlob(key, bodyBinding(keys, place), value)
      const wrapped = keys.seal("wrap", keyBinding(keys, place), key)
      primitives().forget()
      this.#rows.change([secret, version], () => this.#insert.run(secret, version, created, wrapped, body))
    })
  }

  /** By number, from `from` on. */
  list(secret: Buffer, from = 1): VersionInfo[] {
    return this.#list.all(secret, from).map(([version, created, key, body]) => ({
      ...{ version, created, isDestroyed: key === 0 },
      bytes: Math.max(0, body - BLOB_OVERHEAD),
    }))
  }

  /** Bytes of the value; undefined when there is no such version or it is destroyed. */
  sizeOf(secret: Buffer, version: number): number | undefined {
    const row = this.#get.get(secret, version)
    if (row === undefined || row[1].length === 0) return undefined
    return Math.max(0, row[2].length - BLOB_OVERHEAD)
  }

  /** A version as it is stored; undefined when there is none, or it is destroyed. */
  sealed(secret: Buffer, version: number): { created: number; key: Buffer; body: Buffer } | undefined {
    const [created = 0, key = EMPTY, body = EMPTY] = this.#get.get(secret, version) ?? []
    return key.length === 0 ? undefined : { created, key, body }
  }

  /** Decrypts into `out`, which is as long as `sizeOf` says. Throws `Fault("corrupt")` for anything but what was added. */
  open(keys: VaultKeys, secret: Buffer, version: number, out: Buffer): void {
    const [created, wrapped, body] = this.#get.get(secret, version) ?? [0, EMPTY, EMPTY]
    const place = { secret, version, created }
    const what = "a version of a secret"
    keys.withWrapped("wrap", keyBinding(keys, place), wrapped, what, (key) => {
      const isOpen = openBlobInto(key, bodyBinding(keys, place), body, out)
      primitives().forget()
      if (!isOpen) throw damaged(what)
    })
  }

  /** The key is gone, and the value with it; that there was such a version stays known. */
  destroy(secret: Buffer, version: number): boolean {
    return this.#rows.change([secret, version], () => this.#destroy.run(EMPTY, EMPTY, secret, version)) > 0
  }

  removeAll(secret: Buffer): void {
    for (const { version } of this.list(secret))
      this.#rows.change([secret, version], () => this.#remove.run(secret, version))
  }

  /** Wraps the key of every version by the next root key; the caller is in a transaction. Returns how many. */
  rewrap(keys: VaultKeys, next: VaultKeys): number {
    let [secret, version, count] = [EMPTY as Buffer, 0, 0]
    for (;;) {
      const page = this.#page.all(secret, version, PAGE)
      if (page.length === 0) return count
      keys.with("wrap", (from) =>
        next.with("wrap", (to) =>
          keys.borrow(KEY_BYTES, (key) => {
            for (const row of page) {
              ;[secret, version] = row
              if (row[3].length === 0) continue
              const place = { secret, version, created: row[2] }
              if (!openBlobInto(from, keyBinding(keys, place), row[3], key))
                throw damaged("a version of a secret")
              this.#setKey.run(sealBlob(to, keyBinding(next, place), key), secret, version)
              count += 1
            }
          }),
        ),
      )
    }
  }
}

const PAGE = 500
