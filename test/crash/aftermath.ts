/**
 * Puts up one power cut of a recording as a store that can be mounted: the start of a recording of the recovery itself.
 * Prints what a start makes of it, as JSON: names with their digests.
 *
 *   node build/test-programs/test/crash/aftermath.js '{ "recording": …, "cli": …, "directory": … }'
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { checkStore, openerOf, putUp } from "./check.ts"
import { Disk } from "./disk.ts"
import { memoryDirectory } from "./memory-directory.ts"
import { INITIAL, readRecording } from "./recording.ts"

export interface AftermathOrder {
  readonly recording: string
  /** The program whose store module starts it. */
  readonly cli: string
  /** Becomes the store. */
  readonly directory: string
}

const order = JSON.parse(process.argv[2] ?? "") as AftermathOrder
const files = worstCut(order.recording)
putUp(order.directory, files, false)
const place = mkdtempSync(join(memoryDirectory, "clawfs-aftermath-"))
try {
  putUp(place, files, false)
  const broken = checkStore(place, await openerOf(order.cli), ({ picture }) => {
    process.stdout.write(`${JSON.stringify([...picture])}\n`)
    return []
  })
  if (broken.length > 0) throw new Error(`no way on from the first power cut: ${broken.join("; ")}`)
} finally {
  rmSync(place, { recursive: true, force: true })
}

/** The cut with the most to undo: where most writes to segments are pending, the WAL has arrived and they have not. */
function worstCut(recording: string): Map<string, Buffer> {
  const read = readRecording(recording)
  const wals = new Set(
    read.ops.flatMap((op) => (op.op === "create" && op.name === "meta.db-wal" ? [op.file] : [])),
  )
  const bases = new Set(read.initial.map(({ file }) => file))
  const isOfLog = (file: number): boolean => !wals.has(file) && !bases.has(file)
  const contentOf = (name: string): Buffer => readFileSync(join(recording, INITIAL, name))
  const disk = new Disk(read, contentOf)
  let [best, most] = [0, -1]
  read.ops.forEach(({ op }, index) => {
    if (op !== "sync") return
    disk.advance(index)
    const writes = disk.pending.flatMap((each) => (each.op.op === "write" ? [each.op.file] : []))
    const count = Math.min(writes.filter(isOfLog).length, writes.filter((file) => wals.has(file)).length)
    if (count > most) [best, most] = [index, count]
  })
  const cut = new Disk(read, contentOf)
  cut.advance(best)
  return cut.filesWith(({ op }) => (op.op === "write" && isOfLog(op.file) ? "nothing" : "all"))
}
