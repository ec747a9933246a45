/**
 * `vault.db`: SQLite, in WAL mode, with what is deleted overwritten. Changes are on the disk before they are told to anyone;
 * rows about a mere use may be lost with the power, but not with the process.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { bug } from "../clawfs/core/assert.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { Database, type Query, type Value } from "../clawfs/store/database.ts"
import { VAULT_APPLICATION_ID, VAULT_SCHEMA_VERSION, VAULT_STEPS } from "../migrations/vault/steps.ts"

export const VAULT_DB = "vault.db"
const NEW = "vault.db.new"
const SQLITE_SUFFIXES = ["", "-wal", "-shm"]

/** A row of a summed table (row-sums.ts) as it was, or is now. */
export interface RowNote {
  readonly table: string
  readonly row: Buffer
}

export class VaultDatabase implements Disposable {
  readonly #db: Database
  readonly #version: Query<[], [version: number]>
  #known: number
  #isDurable = true
  #notes: RowNote[] = []
  #stamp = 0

  private constructor(db: Database) {
    this.#db = db
    db.pragma("secure_delete = ON")
    db.pragma("synchronous = FULL")
    db.pragma("wal_autocheckpoint = 1000")
    this.#version = db.query("PRAGMA data_version")
    this.#known = this.#dataVersion()
  }

  #dataVersion(): number {
    return this.#version.get()?.[0] ?? 0
  }

  /** Whether another connection has committed something since the last time that this was asked. */
  wasChangedByOthers(): boolean {
    const now = this.#dataVersion()
    const isSame = now === this.#known
    this.#known = now
    if (!isSame) this.#stamp += 1
    return !isSame
  }

  /** Another one when a row that is summed may have changed since. */
  get stamp(): number {
    return this.#stamp
  }

  /** For the sums of the tables: within a transaction, which ends with a row of the audit that takes the notes. */
  note(note: RowNote): void {
    this.#notes.push(note)
    this.#stamp += 1
  }

  takeNotes(): readonly RowNote[] {
    return this.#notes.splice(0)
  }

  /**
   * Makes a vault's database in `directory`, filled by `fill`; all of it or nothing. Throws `Fault("exists")` where one is.
   */
  static create(directory: string, fill: (db: VaultDatabase) => void): void {
    if (existsSync(join(directory, VAULT_DB)))
      throw new Fault("exists", `there is a vault in ${directory}`, { hint: "clawfs vault status" })
    mkdirSync(directory, { recursive: true, mode: 0o711 })
    const path = join(directory, NEW)
    const clear = (): void => {
      for (const suffix of SQLITE_SUFFIXES) rmSync(path + suffix, { force: true })
    }
    clear()
    try {
      // SQLite gives its other files the mode of this one.
      closeSync(openSync(path, "wx", 0o600))
      {
        using db = new VaultDatabase(new Database(path, { create: true }))
        db.transact(() => {
          for (const { sql } of VAULT_STEPS) db.#db.execute(sql)
          db.#db.pragma(`application_id = ${VAULT_APPLICATION_ID}`)
          db.#db.pragma(`user_version = ${VAULT_SCHEMA_VERSION}`)
          fill(db)
        })
        db.#db.checkpoint("TRUNCATE")
      }
      renameSync(path, join(directory, VAULT_DB))
    } finally {
      clear()
    }
  }

  /** Throws `Fault("not-found")` where none is. */
  static open(directory: string): VaultDatabase {
    const path = join(directory, VAULT_DB)
    if (!existsSync(path))
      throw new Fault("not-found", `there is no vault in ${directory}`, { hint: "clawfs vault init" })
    const db = new Database(path)
    const version = Number(db.pragma("user_version"))
    const isVault = Number(db.pragma("application_id")) === VAULT_APPLICATION_ID && version >= 1
    if (isVault && version <= VAULT_SCHEMA_VERSION) {
      const vault = new VaultDatabase(db)
      if (version < VAULT_SCHEMA_VERSION) vault.#upgrade(version)
      return vault
    }
    db[Symbol.dispose]()
    throw version > VAULT_SCHEMA_VERSION
      ? new Fault("unsupported", `the vault has format ${version}, which is not known`, {
          hint: "install a newer clawfs",
        })
      : new Fault("invalid", `${path} is not the database of a vault`)
  }

  #upgrade(from: number): void {
    this.transact(() => {
      for (const { sql } of VAULT_STEPS.slice(from)) this.#db.execute(sql)
      this.#db.pragma(`user_version = ${VAULT_SCHEMA_VERSION}`)
    })
  }

  query<P extends Value[], R extends Value[] = []>(sql: string): Query<P, R> {
    return this.#db.query<P, R>(sql)
  }

  /** All of `work`'s changes or none, on the disk when this returns; `durable: false`: on the disk some time later. */
  transact<T>(work: () => T, { durable = true }: { durable?: boolean } = {}): T {
    if (durable !== this.#isDurable) this.#db.pragma(`synchronous = ${durable ? "FULL" : "NORMAL"}`)
    this.#isDurable = durable
    this.#db.beginWriting()
    try {
      const result = work()
      if (this.#notes.length > 0) bug("rows were changed without a row of the audit")
      this.#db.commit()
      return result
    } catch (thrown) {
      this.#notes = []
      this.#stamp += 1
      this.#db.rollback()
      throw thrown
    }
  }

  /** What was committed is on the disk, and the log is empty: nothing that was overwritten is left in it. */
  settle(): void {
    this.#db.checkpoint("TRUNCATE")
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]()
  }
}
