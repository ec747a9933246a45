/**
 * Writes again what a failed sync may have lost. The kernel tells of a failed write once and then takes the page for clean
 * ("fsyncgate", https://lwn.net/Articles/752063/): the bytes are in the page cache, not on the disk, and a second sync would
 * succeed without writing them. As long as the cache has them whole, they can be made dirty again.
 */
import { closeSync, fdatasyncSync, openSync, readSync, statSync, writeSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import type { Database } from "./database.ts"
import { positionOf, segmentOf } from "./log-position.ts"
import { SEGMENT_HEADER, scanSegment } from "./log-scan.ts"
import { segmentIds, segmentPath, syncDirectory } from "./segment-files.ts"
import { FRAME_HEADER, WAL_HEADER, Wal } from "./wal.ts"

const CHUNK = 4 * 1024 * 1024

/** Rewrites and syncs the log between two positions. Throws "io" when it is not whole there, or the disk still fails. */
export function rewriteLog(directory: string, uuid: Buffer, synced: number, end: number): void {
  const [first, last] = [Math.max(1, segmentOf(synced)), segmentOf(end)]
  for (const id of segmentIds(directory)) {
    if (id < first || id > last) continue
    const from = id === segmentOf(synced) ? positionOf(synced) : 0
    const path = segmentPath(directory, id)
    const to = id === last ? positionOf(end) : statSync(path).size
    const good = scanSegment(path, { id, uuid }, Math.max(from, SEGMENT_HEADER))?.goodUntil ?? 0
    if (good < to) throw lost(`segment ${id} is not whole behind ${good}`)
    rewrite(path, from, to)
  }
  syncDirectory(directory)
}

function rewrite(path: string, from: number, to: number): void {
  const fd = openSync(path, "r+")
  try {
    for (let at = from; at < to; at += CHUNK) {
      const bytes = Buffer.allocUnsafeSlow(Math.min(CHUNK, to - at))
      const got = readSync(fd, bytes, 0, bytes.length, at)
      if (writeSync(fd, bytes, 0, got, at) !== bytes.length) throw lost(`${path} can't be written again`)
    }
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Throws "io" unless the WAL's file holds, whole, as many frames as SQLite has written to it. */
export function requireWholeWal(database: Database): void {
  const { frames } = database.checkpoint("NOOP")
  if (frames <= 0) return
  const wal = Wal.read(`${database.path}-wal`)
  const end = wal?.commits.at(-1)?.end ?? 0
  if (wal === undefined || end < WAL_HEADER + frames * (FRAME_HEADER + wal.pageSize))
    throw lost("the WAL is not whole")
}

function lost(what: string): Fault {
  return new Fault("io", `${what}: what the disk failed to keep is lost`)
}
