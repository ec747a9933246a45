/**
 * The start after a power cut. What was synced is there. Of the rest SQLite keeps a prefix of the commits, those that are
 * whole in the WAL; but the records that they name, in the segments, may not have arrived, since without fsync nothing
 * orders the two. So the newest commit is taken whose part of the log is whole, and the later ones are cut off: the store
 * is as it was at one moment, not older than the last fsync or flush.
 */
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Log } from "../core/log.ts"
import { checked } from "../sys/ffi.ts"
import { ftruncate } from "../sys/libc.ts"
import { Database } from "./database.ts"
import { isOfThisBoot } from "./journal-header.ts"
import { SEGMENT_HEADER, scanSegment } from "./log-scan.ts"
import { RECORD_HEADER } from "./record.ts"
import { logPosition, positionOf, segmentOf } from "./log-position.ts"
import { segmentIds, segmentPath, syncDirectory } from "./segment-files.ts"
import { Wal, onlyRow } from "./wal.ts"

export interface Recovery {
  /** Whole commits that the WAL held, and how many of them were cut off. */
  readonly commits: number
  readonly undone: number
}

interface Paths {
  readonly meta: string
  readonly wal: string
  readonly segments: string
}

/** How much of the log a commit rests on, and how much was on the disk when it was made. */
interface LogState {
  readonly end: number
  readonly synced: number
  /** Number of the batch that the commit was. */
  readonly batch: number
}

/** Column numbers in table `state`. */
const BATCH = 5
const LOG_END = 10
const LOG_SYNCED = 11
const NO_LOG: LogState = { end: 0, synced: 0, batch: 0 }

/**
 * Brings the store in `directory` to its newest commit that is whole, if the machine went down since it was last used.
 * Undefined when it did not, or nothing was left to check. To be called before the database is opened for writing.
 */
export function recoverFromPowerCut(directory: string, log?: Log): Recovery | undefined {
  const paths: Paths = {
    meta: join(directory, "meta.db"),
    wal: join(directory, "meta.db-wal"),
    segments: join(directory, "segments"),
  }
  if (isOfThisBoot(directory) || !existsSync(paths.wal)) return undefined
  const wal = Wal.read(paths.wal)
  if (wal === undefined || wal.commits.length === 0) return undefined
  const { uuid, statePage } = identityOf(paths)
  const states = logStates(wal, statePage)
  const commits = states.length
  let kept = commits - 1
  // An earlier commit rests on bytes that a later one had no use for any more: each is looked at for itself.
  for (let isWhole = false; kept >= 0 && !isWhole;) {
    const good = wholeUntil(paths, uuid, states[kept] ?? NO_LOG)
    isWhole = good === Infinity
    if (isWhole) continue
    const next = states.slice(0, kept).findLastIndex(({ end }) => end <= good)
    if (wasCheckpointed(paths, statePage, wal.pageSize, states[next + 1] ?? NO_LOG)) {
      log?.error("records of the log are damaged that were on the disk: clawfs can't go back behind them")
      return { commits, undone: commits - 1 - kept }
    }
    cutFile(paths.wal, wal.commits[next]?.end ?? 0)
    kept = next
  }
  const state = states[kept]
  if (state !== undefined && state.end > 0) dropBehind(paths, state.end)
  const recovery = { commits, undone: commits - 1 - kept }
  log?.warn("the machine went down while the store was in use", { ...recovery })
  return recovery
}

/** A read-only connection leaves database and WAL as they are. */
function identityOf({ meta }: Paths): { uuid: Buffer; statePage: number } {
  using db = new Database(meta, { readonly: true })
  const uuid = db.query<[], [Buffer]>("SELECT uuid FROM store WHERE id = 1").get()?.[0]
  const page = db.query<[], [number]>("SELECT rootpage FROM sqlite_master WHERE name = 'state'").get()?.[0]
  return { uuid: uuid ?? Buffer.alloc(16), statePage: page ?? 0 }
}

/** For the segments from `first` on: where the last record ends that the newest commit of the WAL points to. */
function neededOf({ meta }: Paths, first: number): Map<number, number> {
  using db = new Database(meta, { readonly: true })
  return new Map(
    db
      .query<[number, number], [number, number]>(
        `SELECT segment, max(position + ? + record) FROM extent
         WHERE segment != 0 AND segment >= ? GROUP BY segment`,
      )
      .all(RECORD_HEADER, first),
  )
}

/** Every commit writes the row of `state`. */
function logStates(wal: Wal, statePage: number): LogState[] {
  let state = NO_LOG
  return wal.commits.map(({ frames }) => {
    const frame = frames.findLast(({ page }) => page === statePage)
    const row = frame === undefined ? undefined : onlyRow(wal.page(frame))
    if (row !== undefined)
      state = { end: row[LOG_END] ?? 0, synced: row[LOG_SYNCED] ?? 0, batch: row[BATCH] ?? 0 }
    return state
  })
}

/** Up to where the log is whole; infinite when everything is there that the newest commit of the WAL rests on. */
function wholeUntil(paths: Paths, uuid: Buffer, { end, synced }: LogState): number {
  const newest = segmentOf(end)
  const needed = neededOf(paths, segmentOf(synced))
  let expected = synced
  for (let id = Math.max(1, segmentOf(synced)); id <= newest; id += 1) {
    const from = id === segmentOf(synced) ? positionOf(synced) : SEGMENT_HEADER
    const found = scanSegment(segmentPath(paths.segments, id), { id, uuid }, from)
    if (found === undefined) {
      // One that nothing points to was deleted, after the commit that emptied it had reached the disk.
      if (needed.has(id)) return Math.min(expected, logPosition(id, 0))
      expected = logPosition(id + 1, 0)
      continue
    }
    // The segment behind this one may be missing, and with it the note of where this one ends.
    if (found.goodUntil < (needed.get(id) ?? 0)) return logPosition(id, found.goodUntil)
    const { previousEnd } = found.header
    const before = logPosition(id - 1, previousEnd)
    if (previousEnd > 0 && segmentOf(expected) === id - 1 && expected < before) return expected
    expected = logPosition(id, found.goodUntil)
  }
  return expected < end ? expected : Infinity
}

/** Whether the first commit to be cut off was folded back into the database: then its log had been on the disk. */
function wasCheckpointed({ meta }: Paths, statePage: number, pageSize: number, dropped: LogState): boolean {
  const page = Buffer.alloc(pageSize)
  const fd = openSync(meta, "r")
  try {
    if (readSync(fd, page, 0, pageSize, (statePage - 1) * pageSize) < pageSize) return false
  } finally {
    closeSync(fd)
  }
  return (onlyRow(page)?.[BATCH] ?? 0) >= dropped.batch
}

/** Bytes of the log that no commit rests on: they would stand in the way of what is appended next. */
function dropBehind({ segments }: Paths, end: number): void {
  for (const id of segmentIds(segments)) {
    const path = segmentPath(segments, id)
    if (id > segmentOf(end)) rmSync(path)
    else if (id === segmentOf(end)) cutFile(path, positionOf(end))
  }
  syncDirectory(segments)
}

/** Shortens a file to `length` bytes, durably; a shorter one stays as it is. */
function cutFile(path: string, length: number): void {
  const fd = openSync(path, "r+")
  try {
    if (fstatSync(fd).size <= length) return
    checked("ftruncate", ftruncate(fd, length))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
