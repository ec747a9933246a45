/** The directory of a store: what must be in it, and what must not before one is made. */
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, type Dirent } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"

export const META = "meta.db"
export const SEGMENTS = "segments"
/** In the directory of a backup (`clawfs/backup/place.ts`): whose it is. */
export const BACKUP_IDENTITY = "clawfs-backup.json"

export function requireStore(directory: string): void {
  const meta = join(directory, META)
  if (existsSync(meta) && existsSync(join(directory, SEGMENTS))) return
  if (!existsSync(directory)) {
    throw new Fault("not-found", `there is no store at ${directory}`, {
      hint: `make one: clawfs init ${directory}`,
    })
  }
  throw new Fault(
    "invalid",
    `${directory} is not a ClawFS store (no ${existsSync(meta) ? SEGMENTS : META} in it)`,
    {
      hint: "name the directory that clawfs init made",
    },
  )
}

const OTHERS_WRITE = 0o002
/** Names that a store's files have, with what may stand behind them. */
const FILE_NAMES = /^(meta\.db|journal|reserve$|lock$|clawfs\.log|supervisor\.json|scrub\.json)/
const SEGMENT_NAME = /^\d{8}\.seg$/

/**
 * Throws `Fault("denied")` where something else than a file or directory of the store's own has one of its names, so that it
 * would be written to, or waited for, in its place: a link, a FIFO, a device. Others who may write in the directory could
 * exchange them at any time.
 */
export function requireOwnFiles(directory: string): void {
  if ((statSync(directory).mode & OTHERS_WRITE) !== 0)
    throw new Fault("denied", `everybody may write in the store ${directory}`, {
      hint: `chmod 700 ${directory}`,
    })
  for (const entry of readdirSync(directory, { withFileTypes: true })) requireKind(directory, entry)
  const segments = join(directory, SEGMENTS)
  if (!existsSync(segments)) return
  for (const entry of readdirSync(segments, { withFileTypes: true }))
    if (SEGMENT_NAME.test(entry.name) && !entry.isFile()) throw foreign(segments, entry.name, "a file")
}

function requireKind(directory: string, entry: Dirent): void {
  const { name } = entry
  if (name === SEGMENTS || name === "index") {
    if (!entry.isDirectory()) throw foreign(directory, name, "a directory")
  } else if (name === "control.sock") {
    if (!entry.isSocket()) throw foreign(directory, name, "a socket")
  } else if (FILE_NAMES.test(name) && !entry.isFile()) throw foreign(directory, name, "a file")
}

function foreign(directory: string, name: string, kind: string): Fault {
  return new Fault("denied", `${join(directory, name)} is not ${kind}, which a store has under this name`, {
    hint: "look at what it is and who put it there; nothing was touched",
  })
}

export function requireEmpty(directory: string): void {
  const stat = statSync(directory, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) throw new Fault("invalid", `${directory} is not a directory`)
  if (existsSync(join(directory, META)))
    throw new Fault("exists", `${directory} already holds a ClawFS store`)
  if (readdirSync(directory).length > 0) {
    throw new Fault("not-empty", `${directory} is not empty`, { hint: "name a new or an empty directory" })
  }
}

/** Makes the directory, or makes one that is there (and empty) its owner's alone: whoever can read a store can read all files. */
export function makePrivate(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
}
