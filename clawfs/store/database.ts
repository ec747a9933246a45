/**
 * The only importer of better-sqlite3. WAL, `synchronous=NORMAL`: a commit survives the process, and a sync of the WAL
 * file makes it survive the power. Checkpoints are never SQLite's own (they would put an fsync into the middle of some
 * request): the sync worker and `Store.checkpointInline` run them.
 */
import { closeSync, openSync } from "node:fs"
import Sqlite from "better-sqlite3"
import { Fault, describe, kindOfThrown } from "../core/fault.ts"
import { rekeyed, renamed, sumOf, sumOfBytes, sumOfSharing } from "./checksum.ts"

export type Value = number | string | Buffer | null

/** A prepared statement; rows come as arrays in column order. */
export interface Query<P extends Value[], R extends Value[] = []> {
  get(...parameters: P): R | undefined
  all(...parameters: P): R[]
  /** Returns the number of changed rows. */
  run(...parameters: P): number
}

const PAGE_CACHE_KIB = 32 * 1024
const BUSY_MS = 5000
/** Whoever has the write lock beside the writer has it for some microseconds, unless it loses the processor meanwhile. */
const LOCK_PAUSE_MS = 1
const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

export interface OpenOptions {
  readonly readonly?: boolean
  readonly create?: boolean
}

export class Database implements Disposable {
  readonly path: string
  readonly #handle: Sqlite.Database
  readonly #begin: Sqlite.Statement
  readonly #beginWriting: Sqlite.Statement
  readonly #commit: Sqlite.Statement
  readonly #rollback: Sqlite.Statement

  constructor(path: string, options: OpenOptions = {}) {
    this.path = path
    if (options.create === true && path !== ":memory:") makeFile(path)
    this.#handle = translated(path, () => {
      const handle = new Sqlite(path, {
        readonly: options.readonly ?? false,
        fileMustExist: options.create !== true,
      })
      try {
        configure(handle, options.create === true)
      } catch (thrown) {
        // Closed now, not when it is collected: that would delete the WAL of whoever has the store by then.
        handle.close()
        throw thrown
      }
      return handle
    })
    // For statements over many rows; see `checksum.ts`.
    this.#handle.function(
      "row_sum",
      { varargs: true, deterministic: true },
      (key: number, ...row: unknown[]) => sumOf(key, row),
    )
    this.#handle.function("bytes_sum", { deterministic: true }, sumOfBytes)
    this.#handle.function("sharing_sum", { deterministic: true }, sumOfSharing)
    this.#handle.function("rekeyed", { deterministic: true }, rekeyed)
    this.#handle.function("renamed", { deterministic: true }, renamed)
    this.#begin = this.#handle.prepare("BEGIN")
    this.#beginWriting = this.#handle.prepare("BEGIN IMMEDIATE")
    this.#commit = this.#handle.prepare("COMMIT")
    this.#rollback = this.#handle.prepare("ROLLBACK")
  }

  query<P extends Value[], R extends Value[] = []>(sql: string): Query<P, R> {
    const { path } = this
    const statement = prepared(path, () => this.#handle.prepare<unknown[], R>(sql))
    if (statement.reader) statement.raw(true)
    // Spelled out three times: these are called for every request, and a closure a call shows in the profile.
    return {
      get(...parameters) {
        try {
          return statement.get(...parameters)
        } catch (thrown) {
          throw faultOf(thrown, path)
        }
      },
      all(...parameters) {
        try {
          return statement.all(...parameters)
        } catch (thrown) {
          throw faultOf(thrown, path)
        }
      },
      run(...parameters) {
        try {
          return statement.run(...parameters).changes
        } catch (thrown) {
          throw faultOf(thrown, path)
        }
      },
    }
  }

  execute(sql: string): void {
    translated(this.path, () => this.#handle.exec(sql))
  }

  pragma(text: string): unknown {
    return translated(this.path, () => this.#handle.pragma(text, { simple: true }))
  }

  /** Writes a whole, consistent copy to a file that is missing or empty. */
  copyTo(path: string): void {
    makeFile(path)
    this.query<[string]>("VACUUM INTO ?").run(path)
  }

  /** Loads a SQLite extension from a shared library of a package; it stays for this connection alone. */
  loadExtension(file: string): void {
    translated(this.path, () => this.#handle.loadExtension(file))
  }

  /**
   * The result row of `wal_checkpoint`: whether it was kept from its end, frames in the WAL and frames copied; -1 when another
   * one is running.
   */
  checkpoint(mode: "NOOP" | "PASSIVE" | "RESTART" | "TRUNCATE"): {
    isBusy: boolean
    frames: number
    copied: number
  } {
    const rows = translated(this.path, () => this.#handle.pragma(`wal_checkpoint(${mode})`)) as {
      busy: number
      log: number
      checkpointed: number
    }[]
    return { isBusy: rows[0]?.busy !== 0, frames: rows[0]?.log ?? -1, copied: rows[0]?.checkpointed ?? -1 }
  }

  /** Whatever `work` finds locked is waited for so many milliseconds at most; 0: given up at once. */
  waitingAtMost<T>(milliseconds: number, work: () => T): T {
    this.pragma(`busy_timeout = ${milliseconds}`)
    try {
      return work()
    } finally {
      this.pragma(`busy_timeout = ${BUSY_MS}`)
    }
  }

  /** Begins a transaction to read; its snapshot is taken at the first read. To change anything it needs `startWriting`. */
  begin(): void {
    translated(this.path, () => this.#begin.run())
  }

  /** Begins a transaction with the write lock, which is waited for if need be. */
  beginWriting(): void {
    translated(this.path, () => this.#beginWriting.run())
  }

  /**
   * Takes the write lock in a transaction that may have read, by running `nothing`, a change of no row. There is one writing
   * connection, but a reader that meets the WAL's header just as it is written takes that lock for a moment
   * (walIndexReadHdr). SQLite does not wait for it, whatever `busy_timeout` says, when the transaction has read: two of
   * them might wait for each other (sqlite3BtreeBeginTrans).
   */
  startWriting(nothing: Query<[]>): void {
    const deadline = performance.now() + BUSY_MS
    for (;;) {
      try {
        nothing.run()
        return
      } catch (thrown) {
        const isLocked = thrown instanceof Fault && thrown.kind === "busy"
        if (!isLocked || performance.now() > deadline) throw thrown
        Atomics.wait(NEVER_WOKEN, 0, 0, LOCK_PAUSE_MS)
      }
    }
  }

  commit(): void {
    translated(this.path, () => this.#commit.run())
  }

  rollback(): void {
    if (this.#handle.inTransaction) this.#rollback.run()
  }

  [Symbol.dispose](): void {
    this.#handle.close()
  }
}

function configure(handle: Sqlite.Database, isNew: boolean): void {
  // Before the first page is written, or it has no effect.
  if (isNew) handle.pragma("auto_vacuum = INCREMENTAL")
  if (isNew) handle.pragma("journal_mode = WAL")
  handle.pragma("synchronous = NORMAL")
  handle.pragma("wal_autocheckpoint = 0")
  handle.pragma(`cache_size = -${PAGE_CACHE_KIB}`)
  handle.pragma("temp_store = MEMORY")
  handle.pragma(`busy_timeout = ${BUSY_MS}`)
}

/** The schema is known when statements are prepared: what is not in it was damaged. */
function prepared<T>(path: string, prepare: () => T): T {
  try {
    return prepare()
  } catch (thrown) {
    if (thrown instanceof Sqlite.SqliteError && thrown.code === "SQLITE_ERROR")
      throw new Fault("corrupt", `${path} is damaged (${thrown.message})`, { cause: thrown })
    throw faultOf(thrown, path)
  }
}

/** Readable for its owner alone; the files that SQLite makes beside it are as it is. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "a", 0o600))
  } catch (cause) {
    throw new Fault(kindOfThrown(cause), describe(cause), { cause })
  }
}

function translated<T>(path: string, run: () => T): T {
  try {
    return run()
  } catch (thrown) {
    throw faultOf(thrown, path)
  }
}

function faultOf(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Sqlite.SqliteError)) return thrown
  const { code, message } = thrown
  if (code === "SQLITE_FULL" || code === "SQLITE_IOERR_SHMSIZE")
    return new Fault("no-space", "the disk below the store is full", {
      cause: thrown,
      hint: "delete something in it, or make room on that disk",
    })
  // No value of ours is too big or of the wrong type.
  const isDamage = ["SQLITE_NOTADB", "SQLITE_TOOBIG", "SQLITE_MISMATCH"].includes(code)
  // The number of the schema's format, in the header, has no code of its own.
  const isOtherFormat = code === "SQLITE_ERROR" && message === "unsupported file format"
  if (code.startsWith("SQLITE_CORRUPT") || isDamage || isOtherFormat) {
    return new Fault("corrupt", `${path} is damaged (${message})`, { cause: thrown })
  }
  if (code.startsWith("SQLITE_BUSY"))
    return new Fault("busy", `${path} is locked by another process`, { cause: thrown })
  if (code.startsWith("SQLITE_READONLY"))
    return new Fault("read-only", "the store is read-only", { cause: thrown })
  if (code.startsWith("SQLITE_IOERR") || code === "SQLITE_CANTOPEN") {
    return new Fault("io", `${path} can't be read or written (${code}: ${message})`, { cause: thrown })
  }
  return new Fault("bug", `BUG: ${code}: ${message}`, { cause: thrown })
}
