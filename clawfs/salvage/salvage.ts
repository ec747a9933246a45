/**
 * Makes a new store of what is left of one whose database is lost or damaged: of every copy of the database that there is, and
 * of the records in its segments, which say by themselves whose bytes they are. The source is only read.
 */
import { closeSync, existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { findGeneration, type Generation } from "../backup/place.ts"
import { fullDisk } from "../backup/segment-copy.ts"
import { Fault } from "../core/fault.ts"
import { fsck, type FsckResult } from "../fsck/fsck.ts"
import type { OnProgress } from "../fsck/pass.ts"
import { lockForReading } from "../store/lock.ts"
import { makePrivate } from "../store/place.ts"
import { segmentIds, segmentPath, syncDirectory } from "../store/segment-files.ts"
import { META, SEGMENTS, Store } from "../store/store.ts"
import { candidatePaths, openCandidate, type Candidate } from "./candidates.ts"
import { Catalog } from "./catalog.ts"
import { LogRecords } from "./log-records.ts"
import { Rebuild } from "./rebuild.ts"
import { Report, type Counts, type Entry } from "./report.ts"

/** Inside of the target, until the new store is complete. */
const SCRATCH = ".salvage"

export interface SalvageOptions {
  readonly store: string
  /** Missing or empty. Both absolute, without symbolic links. */
  readonly target: string
  /** A backup's directory, or a generation in it. */
  readonly backup?: string | undefined
  readonly onProgress: OnProgress
}

export interface SalvageResult {
  readonly counts: Counts
  readonly entries: readonly Entry[]
  readonly omitted: number
  /** What was used and what was not, a sentence each. */
  readonly remarks: readonly string[]
  /** What the checks say of the new store. */
  readonly proof: FsckResult
}

/** Salvages a store. Throws a `Fault` when nothing can be read, or the target is not empty. */
export function salvage(options: SalvageOptions): SalvageResult {
  const { store, target, backup } = options
  if (statSync(store, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new Fault("not-found", `there is no directory ${store}`)
  const existed = requireEmpty(target)
  const lock = lockForReading(store)
  const found = backup === undefined ? undefined : findGeneration(backup)
  const scratch = join(target, SCRATCH)
  let isDone = false
  try {
    rmSync(scratch, { recursive: true, force: true })
    makePrivate(target)
    makePrivate(scratch)
    const result = new Salvage(options, scratch, found?.generation).run()
    isDone = true
    return result
  } catch (thrown) {
    throw fullDisk(target, thrown)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
    if (!isDone && !existed) rmSync(target, { recursive: true, force: true })
    for (const fd of [lock, found?.lock]) if (fd !== undefined) closeSync(fd)
  }
}

/** Whether the directory is there. What an interrupted salvage has left counts for nothing. */
function requireEmpty(target: string): boolean {
  const stat = statSync(target, { throwIfNoEntry: false })
  if (stat === undefined) return false
  if (!stat.isDirectory()) throw new Fault("exists", `${target} is not a directory`)
  const names = readdirSync(target).filter((name) => name !== SCRATCH)
  if (names.length > 0)
    throw new Fault("not-empty", `${target} is not empty`, { hint: "name a new or an empty directory" })
  return true
}

class Salvage {
  readonly #options: SalvageOptions
  readonly #scratch: string
  readonly #generation: Generation | undefined
  readonly #remarks: string[] = []
  #uuid: Buffer | undefined

  constructor(options: SalvageOptions, scratch: string, generation: Generation | undefined) {
    this.#options = options
    this.#scratch = scratch
    this.#generation = generation
  }

  run(): SalvageResult {
    const { onProgress } = this.#options
    using catalog = new Catalog(this.#scratch)
    using records = new LogRecords(catalog.db)
    onProgress("databases", 0, 0)
    this.#databases(catalog)
    catalog.db.begin()
    const count = this.#segments(records)
    catalog.db.commit()
    if (catalog.isEmpty && count === 0)
      throw new Fault(
        "corrupt",
        `nothing in ${this.#options.store} can be read: ${this.#remarks.join("; ")}`,
        {
          hint: this.#generation === undefined ? "name a backup with --backup, if there is one" : undefined,
        },
      )
    catalog.complete()
    const report = new Report()
    const made = join(this.#scratch, "store")
    {
      using store = Store.create(made, { mode: 0o755, uid: 0, gid: 0 })
      const tell = (done: number, total: number): void => onProgress("files", done, total)
      new Rebuild(store, catalog, records, report, tell).run()
    }
    const proof = fsck({ directory: made, isOnline: false, repair: false, onProgress })
    this.#place(made)
    const { counts, entries, omitted } = report
    return { counts, entries, omitted, remarks: this.#remarks, proof }
  }

  /** The store's own database alone, if nothing is wrong with it; otherwise what others know comes to its help. */
  #databases(catalog: Catalog): void {
    const { store } = this.#options
    const own = join(store, META)
    const opened: Candidate[] = []
    try {
      for (const path of candidatePaths(store, this.#generation)) {
        const candidate = openCandidate(path, this.#scratch, own)
        if (typeof candidate === "string") this.#remarks.push(candidate)
        else opened.push(candidate)
        if (typeof candidate !== "string" && candidate.isOwn && candidate.isSound) break
      }
      if (!existsSync(own)) this.#remarks.push(`there is no ${own}`)
      this.#uuid = this.#identity(opened)
      // Of the copies, the one that knows the latest goes first.
      opened.sort((a, b) => Number(b.isOwn) - Number(a.isOwn) || b.sequence - a.sequence)
      for (const candidate of opened) this.#add(catalog, candidate)
    } finally {
      for (const candidate of opened) candidate[Symbol.dispose]()
    }
    catalog.isDamaged ||= catalog.isEmpty
  }

  #identity(candidates: readonly Candidate[]): Buffer | undefined {
    const backup = this.#generation?.manifest.uuid
    const own = candidates.find(({ isOwn, uuid }) => isOwn && uuid !== undefined)?.uuid
    if (own !== undefined && backup !== undefined && own.toString("hex") !== backup)
      throw new Fault("invalid", `${this.#generation?.path ?? ""} is the backup of another store`)
    const known = own ?? (backup === undefined ? undefined : Buffer.from(backup, "hex"))
    return known ?? candidates.find(({ uuid }) => uuid !== undefined)?.uuid
  }

  #add(catalog: Catalog, candidate: Candidate): void {
    const { path, uuid, isOwn } = candidate
    if (uuid !== undefined && this.#uuid !== undefined && !uuid.equals(this.#uuid)) {
      this.#remarks.push(`${path} is of another store, and was not used`)
      return
    }
    const isFirst = catalog.isEmpty
    const isWhole = catalog.add(candidate)
    // A copy that is sound and comes first knows all that there was at its time.
    if (isFirst) catalog.isDamaged = !isWhole
    if (isOwn && isWhole) return
    this.#remarks.push(isWhole ? `${path} was used` : `${path} is damaged: what can be read of it was used`)
  }

  /** Lists the records of all segments; those of the backup stand in for what is missing or damaged in the store. */
  #segments(records: LogRecords): number {
    const { store, onProgress } = this.#options
    const own = join(store, SEGMENTS)
    const other = this.#generation === undefined ? undefined : join(this.#generation.path, SEGMENTS)
    const [mine, theirs] = [own, other].map((path) =>
      path !== undefined && existsSync(path) ? segmentIds(path) : [],
    )
    const ids = [...new Set([...(mine ?? []), ...(theirs ?? [])])].sort((a, b) => a - b)
    let count = 0
    for (const [index, id] of ids.entries()) {
      onProgress("segments", index, ids.length)
      const isWhole = mine?.includes(id) === true && this.#scan(records, own, id, (found) => (count += found))
      if (isWhole || other === undefined || theirs?.includes(id) !== true) continue
      this.#remarks.push(`segment ${id} of the backup was used too`)
      this.#scan(records, other, id, (found) => (count += found))
    }
    return count
  }

  #scan(records: LogRecords, directory: string, id: number, count: (records: number) => void): boolean {
    const path = segmentPath(directory, id)
    const isOurs = (uuid: Buffer): boolean => (this.#uuid ??= uuid).equals(uuid)
    const { uuid, records: found, damagedBytes } = records.scan(path, id, isOurs)
    count(found)
    if (uuid !== undefined && this.#uuid?.equals(uuid) !== true)
      this.#remarks.push(`${path} is a segment of another store, and was not used`)
    else if (damagedBytes > 0) this.#remarks.push(`${path}: ${damagedBytes} bytes are no whole records`)
    else if (uuid === undefined) this.#remarks.push(`${path} has a damaged header`)
    return damagedBytes === 0 && uuid !== undefined
  }

  /** With its database the directory becomes a store: that comes last. */
  #place(made: string): void {
    const { target } = this.#options
    renameSync(join(made, SEGMENTS), join(target, SEGMENTS))
    renameSync(join(made, META), join(target, META))
    syncDirectory(target)
  }
}
