/** Table `segment` against the extents, and both against the files of the log. */
import { closeSync, fdatasyncSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { positionOf, segmentOf } from "../store/log-position.ts"
import { SEGMENT_HEADER, decodeSegmentHeader, encodeSegmentHeader } from "../store/log-scan.ts"
import { segmentIds, segmentPath, syncDirectory } from "../store/segment-files.ts"
import { SEGMENTS } from "../store/store.ts"
import type { Pass } from "./pass.ts"
import { SAFE_LIMIT, change, numberOf } from "./scan.ts"

/** Segments are numbered with 32 bits. */
const LAST_SEGMENT = 2 ** 32 - 1

/** Live bytes by row against live bytes by extent. */
export function checkSegmentRows({ db, findings, use, totals }: Pass): void {
  const rows = db
    .query<[], [number, number]>(`SELECT id, live FROM segment WHERE id BETWEEN 1 AND ${LAST_SEGMENT}`)
    .all()
  totals.segments = rows.length
  const counted = new Map(rows)
  for (const id of new Set([...counted.keys(), ...use.keys()])) {
    const live = use.get(id)?.live ?? 0
    const said = counted.get(id)
    if ((said ?? 0) === live) continue
    const repair = (): void => change(db, "INSERT OR REPLACE INTO segment (id, live) VALUES (?, ?)", id, live)
    findings.add({
      kind: "segment",
      message:
        said === undefined
          ? `segment ${id} has no row, and ${live} bytes in use`
          : `segment ${id} counts ${said} bytes in use, there are ${live}`,
      ...(live >= 0 && Number.isSafeInteger(live) ? { repair } : {}),
    })
  }
  const strays = `id NOT BETWEEN 1 AND ${LAST_SEGMENT}`
  const count = numberOf(db, `SELECT count(*) FROM segment WHERE ${strays}`) ?? 0
  if (count === 0) return
  findings.add({
    kind: "segment",
    message: `${count} rows for segments with a number that none can have`,
    repair: () => change(db, `DELETE FROM segment WHERE ${strays}`),
  })
}

/** The files: there, long enough, and with a header of this store. */
export function checkSegmentFiles(pass: Pass): void {
  const directory = join(pass.directory, SEGMENTS)
  const files = segmentIds(directory)
  for (const id of pass.use.keys()) checkFile(pass, directory, id)
  if (!pass.isOnline) {
    checkLogEnd(pass, directory)
    leftovers(pass, directory, files)
  }
}

function checkFile(pass: Pass, directory: string, id: number): void {
  const fd = openIfThere(segmentPath(directory, id))
  if (fd === undefined) {
    // A server deletes what nothing points to any more.
    const isUsed = (numberOf(pass.db, "SELECT live FROM segment WHERE id = ?", id) ?? 0) > 0
    if (!pass.isOnline || isUsed)
      pass.findings.add({ kind: "segment", message: `segment ${id} is missing, and with it what it held` })
    return
  }
  const state = headerState(pass, fd, id)
  closeSync(fd)
  if (state === "sound") return
  pass.findings.add({
    kind: "segment",
    message:
      state === "foreign"
        ? `segment ${id} is that of another store, or another one: nothing in it is read`
        : `segment ${id} has a damaged header: nothing in it is read`,
    ...(state === "foreign" || pass.isOnline ? {} : { repairFile: () => writeHeader(pass, id) }),
  })
}

/** Undefined when there is no such file: a server may delete it at any moment. */
export function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
}

export type HeaderState = "sound" | "damaged" | "foreign"

/** Whether a file begins as segment `id` of this store does. */
export function headerState({ identity }: Pass, fd: number, id: number): HeaderState {
  const bytes = Buffer.alloc(SEGMENT_HEADER)
  const header = decodeSegmentHeader(bytes.subarray(0, readSync(fd, bytes, 0, SEGMENT_HEADER, 0)))
  if (header === undefined) return "damaged"
  return header.id === id && header.uuid.equals(identity.uuid) ? "sound" : "foreign"
}

/** Writes the header anew: every record behind it has a checksum of its own. */
function writeHeader({ directory, identity }: Pass, id: number): void {
  const fd = openSync(segmentPath(join(directory, SEGMENTS), id), "r+")
  try {
    // How long the segment before is, is needed only after a power cut; 0: not known.
    const header = encodeSegmentHeader({ id, uuid: identity.uuid, previousEnd: 0 })
    writeSync(fd, header, 0, header.length, 0)
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function checkLogEnd({ db, findings }: Pass, directory: string): void {
  const end = numberOf(db, "SELECT log_end FROM state") ?? 0
  if (end <= 0 || end >= SAFE_LIMIT) return
  const size = statSync(segmentPath(directory, segmentOf(end)), { throwIfNoEntry: false })?.size
  if (size === undefined || size >= positionOf(end)) return
  findings.add({
    kind: "segment",
    message: `segment ${segmentOf(end)} ends at ${size}, but had ${positionOf(end)} bytes`,
    repair: () => change(db, "UPDATE state SET log_end = 0, log_synced = 0"),
  })
}

/** What a server that was killed has not deleted any more, and rows of files that are gone. */
function leftovers({ db, findings, use }: Pass, directory: string, files: readonly number[]): void {
  const rows = db.query<[], [number]>("SELECT id FROM segment").all()
  const counted = Math.max(0, ...rows.map(([id]) => id), numberOf(db, "SELECT last_segment FROM state") ?? 0)
  // Also by an extent whose own place in its file is damaged: the scan has passed over that.
  const pointers = db.query<[number], [number]>(
    "SELECT 1 FROM extent WHERE segment = ? AND segment != 0 LIMIT 1",
  )
  const isUsed = (id: number): boolean => use.has(id) || pointers.get(id) !== undefined
  for (const id of files) {
    // The newest may be the one that is still being filled.
    if (isUsed(id) || id >= counted) continue
    findings.add({
      kind: "leftover",
      severity: "note",
      message: `nothing points to segment ${id}`,
      repairFile: () => {
        rmSync(segmentPath(directory, id), { force: true })
        syncDirectory(directory)
      },
    })
  }
  for (const [id] of rows) {
    if (isUsed(id) || files.includes(id)) continue
    findings.add({
      kind: "leftover",
      severity: "note",
      message: `a row for segment ${id}, which is gone and held nothing`,
      repair: () => change(db, "DELETE FROM segment WHERE id = ?", id),
    })
  }
}
