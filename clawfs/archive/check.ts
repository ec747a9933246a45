/** Whether an archive is whole, and harmless: read from its first byte to its last, before anything is made of it. */
import { createHash } from "node:crypto"
import type { ExportBeginning, ExportEnd } from "../../schema/export-manifest.ts"
import { Fault } from "../core/fault.ts"
import { sumOfPieces } from "./contents.ts"
import { lineOf, type Entry, type Inode } from "./entry.ts"
import { ManifestLines } from "./manifest.ts"
import { shown } from "./member.ts"
import type { ArchiveReader, Layout, Own } from "./reader.ts"

export type OnProgress = (what: string, done: number, total: number) => void

export interface Limits {
  /** Device nodes, setuid and setgid programs, and attributes that only root may set. */
  readonly isPrivileged: boolean
  /** The sizes of all files together: what holes are said to take would keep a machine busy for ever. */
  readonly mostBytes: number | undefined
}

export interface Contents extends Layout {
  /** Tells archives apart: sixteen digits of a hash of what the manifest lists. */
  readonly id: string
  readonly beginning: ExportBeginning
  readonly end: ExportEnd
}

const MOST_TARGET = 4095
const MOST_ATTRIBUTE = { name: 255, value: 65_536 }
const SET_ID = 0o6000
/** Without another wish, files may be so many times as long as the archive, or so long in all. */
const MOST_RATIO = 64
const MOST_UNASKED = 64 * 1024 ** 3

/** Throws `Fault("corrupt")` for an archive that is damaged or lies, "denied" for one that asks for what `limits` do not allow. */
export function checkArchive(archive: ArchiveReader, limits: Limits, onProgress: OnProgress): Contents {
  const targets = new Set<string>()
  const layout = archive.walk(({ entry }) => {
    if (entry.type === "link") targets.add(entry.target.toString("latin1"))
    else requireHarmless(entry, limits)
  })
  requireSize(archive, limits)
  const found = compare(archive, layout, targets, onProgress)
  const [missing] = targets
  if (missing !== undefined) {
    const name = shown(Buffer.from(missing, "latin1"))
    throw new Fault("corrupt", `${archive.path}: a hard link leads to ${name}, which is no file before it`)
  }
  return { ...layout, ...found }
}

function requireHarmless({ path, type, mode, target, attributes }: Inode, { isPrivileged }: Limits): void {
  if (type === "symlink" && (target.length === 0 || target.length > MOST_TARGET || target.includes(0)))
    throw new Fault("corrupt", `${shown(path)} is a link that leads nowhere`)
  const [wrong] = attributes.filter(
    ({ name, value }) =>
      !/^(user|trusted|security|system\.posix_acl_(access|default)$)/.test(name.toString("latin1")) ||
      name.length > MOST_ATTRIBUTE.name ||
      name.includes(0) ||
      value.length > MOST_ATTRIBUTE.value,
  )
  if (wrong !== undefined) throw new Fault("corrupt", `${shown(path)} has the attribute ${shown(wrong.name)}`)
  if (isPrivileged) return
  const isRoots = attributes.some(({ name }) => /^(trusted|security)\./.test(name.toString("latin1")))
  const what =
    type === "character" || type === "block"
      ? "is a device"
      : type !== "directory" && (mode & SET_ID) !== 0
        ? "is a setuid or setgid program"
        : isRoots
          ? "has attributes that only root may give"
          : undefined
  if (what === undefined) return
  throw new Fault("denied", `${shown(path)} ${what}`, {
    hint: "--privileged takes it as it is, if you trust who made the archive",
  })
}

function requireSize(archive: ArchiveReader, { mostBytes }: Limits): void {
  let bytes = 0
  archive.walk(({ entry }) => {
    if (entry.type === "file") bytes += entry.size
  })
  const most = mostBytes ?? Math.max(MOST_UNASKED, MOST_RATIO * archive.length)
  if (bytes > most)
    throw new Fault(
      "corrupt",
      `${archive.path} says that its files have ${bytes} bytes, and has ${archive.length} itself`,
      {
        hint: "--max-bytes allows more",
      },
    )
}

/** Compares each entry with its line of the manifest; takes from `targets` what is there. */
function compare(
  archive: ArchiveReader,
  layout: Layout,
  targets: Set<string>,
  onProgress: OnProgress,
): Omit<Contents, keyof Layout> {
  const lines = new ManifestLines(archive, layout.manifest)
  const id = createHash("sha256")
  const counted = { entries: 0, files: 0, bytes: 0 }
  archive.walk(({ entry, pieces }) => {
    const line = lineOf(entry, entry.type === "file" ? sumOfPieces(archive, entry.size, pieces) : undefined)
    if (line !== lines.next()) throw notAsListed(entry)
    id.update(`${line}\n`)
    counted.entries += 1
    if (entry.type === "file") {
      counted.files += 1
      counted.bytes += entry.size
    }
    if (entry.type !== "directory" && entry.type !== "link") targets.delete(entry.path.toString("latin1"))
    onProgress("archive", pieces.at(-1)?.from ?? 0, archive.length)
  })
  if (lines.next() !== undefined)
    throw new Fault("corrupt", `${archive.path} lacks files that its manifest lists`)
  const end = lines.end()
  const secrets =
    layout.secrets === undefined
      ? null
      : { bytes: layout.secrets.length, sha256: sumOfOwn(archive, layout.secrets) }
  if (JSON.stringify([counted, secrets]) !== JSON.stringify([end.totals, end.secrets]))
    throw new Fault("corrupt", `${archive.path} holds other things than its manifest says`)
  return { id: id.digest("hex").slice(0, 16), beginning: lines.beginning, end }
}

export function notAsListed({ path }: Entry): Fault {
  return new Fault("corrupt", `${shown(path)} is not what the manifest says`)
}

function sumOfOwn(archive: ArchiveReader, { from, length }: Own): string {
  return sumOfPieces(archive, length, length === 0 ? [] : [{ at: 0, length, from }])
}
