/**
 * Makes a store of a generation of a backup, in a new or empty directory. It becomes a store at the end, when everything is
 * verified and on the disk; a restore that is killed goes on where it stopped. Then the checks of fsck prove it.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { createHash } from "node:crypto"
import { join } from "node:path"
import type { BackupManifest } from "../../schema/backup-manifest.ts"
import { Fault } from "../core/fault.ts"
import { fsck, type FsckResult } from "../fsck/fsck.ts"
import type { OnProgress } from "../fsck/pass.ts"
import { Database } from "../store/database.ts"
import { makePrivate } from "../store/place.ts"
import { migrate } from "../store/migrate.ts"
import { segmentPath, syncDirectory } from "../store/segment-files.ts"
import { META, SEGMENTS, STORE_VERSION } from "../store/store.ts"
import { avoidCopyOnWrite } from "../sys/nocow.ts"
import { stateOf } from "./database-copy.ts"
import { NEW, OpenFile, copyDurably, isDirectory, readText, sha256Of, writeDurably } from "./files.ts"
import { findGeneration, type Generation } from "./place.ts"
import { fullDisk } from "./segment-copy.ts"
import { Verifier, type Damage } from "./verify.ts"

/** Names the backup that a directory is being restored from. */
const MARK = "restore.json"
/** The database before the directory becomes a store. */
const META_NEW = `${META}.restore`

export interface RestoreOptions {
  /** A backup's directory, or one generation in it; absolute, without symbolic links. */
  readonly backup: string
  /** Where the store is to be: absolute, without symbolic links. */
  readonly store: string
  /** Restores what is whole of a damaged backup too. */
  readonly partial: boolean
  readonly onProgress: OnProgress
}

export interface RestoreResult {
  /** The generation that was taken, and names of damaged ones that were passed over. */
  readonly generation: string
  readonly manifest: BackupManifest
  readonly passedOver: readonly string[]
  /** What the backup has lost: pieces and files in all, the first ones with names. */
  readonly damaged: { readonly pieces: number; readonly files: number; readonly first: readonly Damage[] }
  /** What the checks say of the new store; undefined: nothing was restored, as the backup is damaged. */
  readonly proof: FsckResult | undefined
}

/** Restores a backup. Throws a `Fault` when that is not possible. */
export function restore(options: RestoreOptions): RestoreResult {
  const { generation, lock, damaged } = findGeneration(options.backup)
  try {
    return new Run(options, generation).all(damaged)
  } catch (thrown) {
    throw fullDisk(options.store, thrown)
  } finally {
    if (lock !== undefined) closeSync(lock)
  }
}

class Run {
  readonly #options: RestoreOptions
  readonly #generation: Generation
  readonly #mark: string
  readonly #target: string

  constructor(options: RestoreOptions, generation: Generation) {
    this.#options = options
    this.#generation = generation
    this.#mark = createHash("sha256").update(JSON.stringify(generation.manifest)).digest("hex")
    this.#target = join(options.store, SEGMENTS)
  }

  all(passedOver: readonly string[]): RestoreResult {
    const { store, partial, onProgress } = this.#options
    const { manifest, name } = this.#generation
    const existed = statSync(store, { throwIfNoEntry: false }) !== undefined
    this.#requirePlace()
    const about = { generation: name, manifest, passedOver }
    const nothing = { pieces: 0, files: 0, first: [] }
    if (isThere(join(store, META))) return { ...about, damaged: nothing, proof: this.#prove() }
    this.#requireDatabase()
    this.#begin()
    copyFile(join(this.#generation.path, META), join(store, META_NEW))
    this.#upgrade()
    const verifier = this.#segments(onProgress)
    const damaged = { pieces: verifier.pieces, files: verifier.files, first: verifier.damages }
    if (damaged.pieces > 0 && !partial) {
      this.#undo(existed)
      return { ...about, damaged, proof: undefined }
    }
    this.#finish()
    return { ...about, damaged, proof: this.#prove() }
  }

  /** A missing or empty directory, or one in which this very backup was being restored. */
  #requirePlace(): void {
    const { store } = this.#options
    if (!isThere(store)) return
    if (!statSync(store).isDirectory()) throw new Fault("exists", `${store} is not a directory`)
    const mark = readText(join(store, MARK))?.trim()
    if (mark === this.#mark) return
    if (mark !== undefined)
      throw new Fault("exists", `another backup is being restored in ${store}`, {
        hint: "restore that one again, to finish it, or remove the directory",
      })
    if (isThere(join(store, META)))
      throw new Fault("exists", `${store} holds a ClawFS store`, {
        hint: "name a new or an empty directory: a store is never overwritten",
      })
    // Of a restore that was killed as it began.
    const unfinished = MARK + NEW
    if (readdirSync(store).some((name) => name !== unfinished))
      throw new Fault("not-empty", `${store} is not empty`, { hint: "name a new or an empty directory" })
  }

  /** Small files lie in the database without checksums of their own: it must be what was written, byte for byte. */
  #requireDatabase(): void {
    const { path, manifest } = this.#generation
    if (manifest.schema > STORE_VERSION.schema)
      throw new Fault(
        "unsupported",
        `the backup has store format ${manifest.schema}, this clawfs knows up to ${STORE_VERSION.schema}`,
        { hint: "install a newer clawfs" },
      )
    const meta = join(path, META)
    using file = OpenFile.open(meta)
    const isWhole = file?.size === manifest.meta.bytes && sha256Of(file) === manifest.meta.sha256
    if (isWhole) return
    throw new Fault(
      "corrupt",
      `the backup is damaged: ${meta} is ${file === undefined ? "missing" : "not what was written"}`,
      {
        hint: "restore another backup of the directory, or let clawfs salvage take what can be read",
      },
    )
  }

  #begin(): void {
    const { store } = this.#options
    makePrivate(store)
    avoidCopyOnWrite(store)
    writeDurably(join(store, MARK), Buffer.from(`${this.#mark}\n`))
    if (!isDirectory(this.#target)) mkdirSync(this.#target, { mode: 0o700 })
  }

  /** An older clawfs may have made the backup. */
  #upgrade(): void {
    const meta = join(this.#options.store, META_NEW)
    using db = new Database(meta)
    migrate(db, { readOnly: false })
    rmSync(`${meta}.v${this.#generation.manifest.schema}`, { force: true })
  }

  /** Copies and verifies all segments. Those that an earlier run has copied are only verified. */
  #segments(onProgress: OnProgress): { pieces: number; files: number; damages: Damage[] } {
    using db = new Database(join(this.#options.store, META_NEW), { readonly: true })
    const { uuid, segments } = stateOf(db)
    const verifier = new Verifier(db, Buffer.from(uuid, "hex"))
    const lengths = new Map(this.#generation.manifest.segments.map(({ id, bytes }) => [id, bytes]))
    for (const [index, id] of segments.entries()) {
      onProgress("segments", index, segments.length)
      const length = lengths.get(id)
      const bytes = length === undefined ? undefined : this.#segment(id, length)
      verifier.note(id, verifier.problemsOf(id, bytes))
    }
    return { pieces: verifier.count, files: verifier.files, damages: verifier.damages() }
  }

  #segment(id: number, length: number): Buffer | undefined {
    const target = segmentPath(this.#target, id)
    {
      using done = OpenFile.open(target)
      if (done?.size === length) return done.read()
    }
    using file = OpenFile.open(segmentPath(join(this.#generation.path, SEGMENTS), id))
    if (file === undefined) return undefined
    const bytes = file.read(length)
    writeDurably(target, bytes)
    return bytes
  }

  #finish(): void {
    const { store } = this.#options
    syncDirectory(this.#target)
    {
      // A store's database is always in this mode, which stands in its file.
      using _ = new Database(join(store, META_NEW), { create: true })
    }
    for (const suffix of ["-wal", "-shm"]) rmSync(join(store, META_NEW + suffix), { force: true })
    syncFile(join(store, META_NEW))
    renameSync(join(store, META_NEW), join(store, META))
    syncDirectory(store)
    syncDirectory(join(store, ".."))
  }

  #prove(): FsckResult {
    const { store, onProgress } = this.#options
    const proof = fsck({ directory: store, isOnline: false, repair: false, onProgress })
    rmSync(join(store, MARK), { force: true })
    syncDirectory(store)
    return proof
  }

  /** Nothing is left behind: neither files nor the directory, if it was made. */
  #undo(existed: boolean): void {
    const { store } = this.#options
    rmSync(this.#target, { recursive: true, force: true })
    for (const name of [META_NEW, `${META_NEW}-wal`, `${META_NEW}-shm`, MARK])
      rmSync(join(store, name), { force: true })
    if (!existed) rmSync(store, { recursive: true, force: true })
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function copyFile(from: string, to: string): void {
  using file = OpenFile.open(from)
  if (file === undefined) throw new Fault("corrupt", `${from} is missing`)
  copyDurably(file, to)
}

function syncFile(path: string): void {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
