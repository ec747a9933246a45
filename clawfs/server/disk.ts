/** What makes commits durable, for whichever thread does it: the log first, then the WAL that names its records. */
import { closeSync, existsSync, fdatasyncSync, openSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"
import { segmentOf } from "../store/log-position.ts"
import { segmentPath, syncDirectory } from "../store/segment-files.ts"
import { META, SEGMENTS } from "../store/store.ts"
import { HeldDirectory } from "../sys/held-directory.ts"
import { syncFileRange } from "../sys/libc.ts"
import { partsBetween } from "./early-writeback.ts"
import type { SessionMemory } from "./session-memory.ts"

/** SYNC_FILE_RANGE_WRITE (sync_file_range(2)). */
const BEGIN_TO_WRITE = 2

export class Disk {
  readonly #memory: SessionMemory
  readonly #segments: string
  readonly #held: HeldDirectory
  readonly #walPath: string
  #wal: number | undefined

  constructor(store: string, memory: SessionMemory) {
    this.#memory = memory
    this.#segments = join(store, SEGMENTS)
    this.#held = new HeldDirectory(this.#segments)
    this.#walPath = join(store, `${META}-wal`)
  }

  get walPath(): string {
    return this.#walPath
  }

  /**
   * Everything that was committed before the call is on the disk when it returns. Once that has failed it goes on failing,
   * until what the disk did not take has been written again (`Store.makeGood`).
   */
  sync(): void {
    this.#surely(() => {
      this.#syncLog()
      this.#wal ??= existsSync(this.#walPath) ? openSync(this.#walPath, "r") : undefined
      if (this.#wal !== undefined) fdatasyncSync(this.#wal)
    })
  }

  /** The records of all commits so far are on the disk. */
  syncLog(): void {
    this.#surely(() => this.#syncLog())
  }

  #surely(sync: () => void): void {
    if (this.#memory.isInDoubt) throw new Fault("io", "the disk failed to keep what was written")
    try {
      sync()
    } catch (thrown) {
      this.#memory.isInDoubt = true
      throw thrown
    }
  }

  /** What was written between two places in the log is on its way when this returns. What fails is the next sync's to tell. */
  begin(from: number, to: number): void {
    this.#held.requireHere()
    for (const { segment, from: at, length } of partsBetween(from, to)) {
      const path = segmentPath(this.#segments, segment)
      if (!existsSync(path)) continue
      const fd = openSync(path, "r")
      syncFileRange(fd, at, length, BEGIN_TO_WRITE)
      closeSync(fd)
    }
  }

  /** Segments that nothing points to any more. */
  delete(ids: readonly number[]): void {
    this.#held.requireHere()
    for (const id of ids) rmSync(segmentPath(this.#segments, id), { force: true })
  }

  #syncLog(): void {
    // In a directory that took its place these segments would be missing, or others.
    this.#held.requireHere()
    const [from, to] = [this.#memory.logSynced, this.#memory.logEnd]
    if (to <= from) return
    for (let id = Math.max(1, segmentOf(from)); id <= segmentOf(to); id += 1)
      syncFile(segmentPath(this.#segments, id))
    // A new segment's name is data too.
    if (segmentOf(to) !== segmentOf(from)) syncDirectory(this.#segments)
    this.#memory.logSynced = Math.max(to, this.#memory.logSynced)
  }
}

/** A segment that was deleted meanwhile was empty. */
function syncFile(path: string): void {
  if (!existsSync(path)) return
  const fd = openSync(path, "r")
  try {
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
