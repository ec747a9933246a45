/**
 * Makes one generation of a backup: a copy of the database as of one moment, then the segments that it points to. The
 * generation gets its name when all of it is on the disk, so a backup that is killed leaves the earlier ones as they were,
 * and the next one goes on with what is there already.
 */
import { mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { BACKUP_FORMAT, type BackupManifest, type BackupSegment } from "../../schema/backup-manifest.ts"
import { present } from "../core/assert.ts"
import { Fault } from "../core/fault.ts"
import { VERSION } from "../core/version.ts"
import { requireVersion } from "../fsck/fsck.ts"
import type { OnProgress } from "../fsck/pass.ts"
import { Database } from "../store/database.ts"
import { positionOf, segmentOf } from "../store/log-position.ts"
import { syncDirectory } from "../store/segment-files.ts"
import { removeEmptySqliteFiles, sqliteFilesOf } from "../store/sqlite-files.ts"
import { META } from "../store/store.ts"
import { copyDatabase, stateOf, type StoreState } from "./database-copy.ts"
import { OpenFile, isDirectory, sha256Of, writeDurably } from "./files.ts"
import { BackupPlace, MANIFEST, type Generation } from "./place.ts"
import { SEGMENTS, SegmentCopier, fullDisk } from "./segment-copy.ts"
import { Verifier, type Damage } from "./verify.ts"

/** The store that is backed up. */
export interface Origin {
  readonly directory: string
  /** A server works on it meanwhile. */
  readonly isServed: boolean
  /** When this resolves, all that the server has answered is in the database, and on the disk. */
  settle(): Promise<void>
  /** No segment is deleted for `HOLD_SECONDS` from now on. */
  hold(): Promise<void>
}

/** Seconds. */
export const HOLD_SECONDS = 120
const HOLD_AGAIN_MS = 20_000
/** A segment that is gone was emptied since, if nobody held it for us: a newer moment does without it. */
const MOST_MOMENTS = 5

export interface BackupOptions {
  readonly origin: Origin
  /** Absolute, without symbolic links. */
  readonly directory: string
  /** So many generations are kept, this one included. */
  readonly keep: number
  /** See `SegmentSource.readsAll`. */
  readonly readsAll: boolean
  readonly onProgress: OnProgress
}

export interface BackupResult {
  readonly path: string
  readonly manifest: BackupManifest
  /** Of the segments and the database: bytes in all, and those that were written now. */
  readonly bytes: number
  readonly written: number
  /** Names of generations that were removed, and of those that are damaged and were passed over. */
  readonly removed: readonly string[]
  readonly passedOver: readonly string[]
  /** What could not be copied, since it is damaged in the store: pieces and files in all, the first ones with names. */
  readonly damaged: { readonly pieces: number; readonly files: number; readonly first: readonly Damage[] }
}

/** Backs a store up. Throws a `Fault` when that is not possible; the earlier generations are as they were then. */
export async function backUp(options: BackupOptions): Promise<BackupResult> {
  const { directory, origin } = options
  const meta = join(origin.directory, META)
  const before = sqliteFilesOf(meta)
  try {
    const uuid = uuidOf(meta)
    using place = BackupPlace.open(directory, uuid)
    return await new Run(options, place, uuid).all()
  } catch (thrown) {
    throw fullDisk(directory, thrown)
  } finally {
    if (!origin.isServed) removeEmptySqliteFiles(meta, before)
  }
}

function uuidOf(meta: string): string {
  using db = new Database(meta, { readonly: true })
  requireVersion(db)
  const row = db.query<[], [Buffer]>("SELECT uuid FROM store").get()
  return present(row, "row of table store")[0].toString("hex")
}

class Run {
  readonly #options: BackupOptions
  readonly #place: BackupPlace
  readonly #uuid: string
  #heldAt = -Infinity
  #written = 0

  constructor(options: BackupOptions, place: BackupPlace, uuid: string) {
    this.#options = options
    this.#place = place
    this.#uuid = uuid
  }

  async all(): Promise<BackupResult> {
    const place = this.#place
    const { whole, damaged } = place.generations()
    place.removeRemains()
    for (let n = 1; ; n += 1) {
      const made = await this.#moment(whole.at(-1), n === MOST_MOMENTS)
      if (made === undefined) continue
      const { manifest, verifier } = made
      const path = this.#finish(manifest)
      const removed = whole.slice(0, Math.max(0, whole.length + 1 - this.#options.keep))
      for (const generation of removed) place.remove(generation)
      const bytes = manifest.meta.bytes + manifest.segments.reduce((sum, segment) => sum + segment.bytes, 0)
      const { count: pieces, files } = verifier
      return {
        ...{ path, manifest, bytes, written: this.#written, passedOver: damaged },
        removed: removed.map(({ name }) => name),
        damaged: { pieces, files, first: made.damages },
      }
    }
  }

  /** Copies the store as it is now into `partial`; undefined when a segment that it needs has gone meanwhile. */
  async #moment(
    previous: Generation | undefined,
    isLast: boolean,
  ): Promise<{ manifest: BackupManifest; verifier: Verifier; damages: Damage[] } | undefined> {
    const { origin, onProgress } = this.#options
    const { partial } = this.#place
    this.#prepare(partial)
    await this.#hold(true)
    await origin.settle()
    onProgress("database", 0, 0)
    const made = new Date().toISOString()
    const meta = join(partial, META)
    copyDatabase(join(origin.directory, META), meta)
    using db = new Database(meta, { readonly: true })
    const state = stateOf(db)
    if (state.uuid !== this.#uuid) throw new Fault("busy", "the store was replaced by another one meanwhile")
    const verifier = new Verifier(db, Buffer.from(state.uuid, "hex"))
    const segments = await this.#segments(state, previous, verifier, isLast)
    if (segments === undefined) return undefined
    const { schema, inodes, bytes } = state
    const manifest: BackupManifest = {
      ...{ format: BACKUP_FORMAT, uuid: state.uuid, generation: (previous?.manifest.generation ?? 0) + 1 },
      ...{ made, clawfs: VERSION, schema, meta: digestOf(meta), totals: { inodes, bytes }, segments },
    }
    this.#written += manifest.meta.bytes
    return { manifest, verifier, damages: verifier.damages() }
  }

  #prepare(partial: string): void {
    const segments = join(partial, SEGMENTS)
    if (!isDirectory(partial)) mkdirSync(partial, { mode: 0o700 })
    if (!isDirectory(segments)) mkdirSync(segments, { mode: 0o700 })
    for (const name of [META, MANIFEST]) rmSync(join(partial, name), { recursive: true, force: true })
  }

  async #segments(
    state: StoreState,
    previous: Generation | undefined,
    verifier: Verifier,
    isLast: boolean,
  ): Promise<BackupSegment[] | undefined> {
    const { origin, onProgress, readsAll } = this.#options
    const source = {
      directory: join(origin.directory, SEGMENTS),
      target: join(this.#place.partial, SEGMENTS),
    }
    const copier = new SegmentCopier({ ...source, previous, verifier, readsAll })
    const entries: BackupSegment[] = []
    for (const [index, id] of state.segments.entries()) {
      onProgress("segments", index, state.segments.length)
      await this.#hold(false)
      const isTail = id === segmentOf(state.logEnd)
      const copied = copier.copy(id, isTail ? positionOf(state.logEnd) : Infinity)
      if (copied === undefined) {
        const problems = verifier.problemsOf(id, undefined)
        if (problems.size > 0 && origin.isServed && !isLast) return undefined
        verifier.note(id, problems)
        continue
      }
      entries.push(copied.entry)
      this.#written += copied.written
    }
    copier.keepOnly(entries)
    return entries
  }

  async #hold(isNow: boolean): Promise<void> {
    const time = performance.now()
    if (!isNow && time - this.#heldAt < HOLD_AGAIN_MS) return
    await this.#options.origin.hold()
    this.#heldAt = time
  }

  #finish(manifest: BackupManifest): string {
    const { partial, path } = this.#place
    syncDirectory(join(partial, SEGMENTS))
    writeDurably(join(partial, MANIFEST), Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`))
    syncDirectory(partial)
    const target = join(path, this.#place.nameFor(new Date(manifest.made)))
    renameSync(partial, target)
    syncDirectory(path)
    return target
  }
}

function digestOf(path: string): { bytes: number; sha256: string } {
  using file = present(OpenFile.open(path), path)
  return { bytes: file.size, sha256: sha256Of(file) }
}
