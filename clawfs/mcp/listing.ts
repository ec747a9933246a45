/** What is in a directory, in bounded amounts and in the order of the names' bytes. */
import { constants, opendirSync, type BigIntStats } from "node:fs"
import { openBeneath } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { codeOf, explained } from "./failure.ts"
import { shown } from "./names.ts"
import { kindOf, statAt, type Kind } from "./tree.ts"

/** A directory with more names is shown in part: sorting takes all of them. */
export const MOST_NAMES = 50_000

export interface Entry {
  /** From the directory that is listed. */
  readonly path: string
  readonly name: string
  /** 1: in the directory itself. */
  readonly depth: number
  readonly kind: Kind
  readonly stat: BigIntStats
}

export interface Listing {
  readonly entries: readonly Entry[]
  /** Nothing was left out for want of room. */
  readonly isWhole: boolean
}

export interface ListingOptions {
  readonly depth: number
  readonly most: number
  /** Names that are passed over, with all that is below them. */
  readonly skips?: (name: string) => boolean
}

/** A directory's entries, each directory before its own; links are not followed. */
export function listDirectory(directory: Descriptor, path: string, options: ListingOptions): Listing {
  const entries: Entry[] = []
  const isWhole = explained(path, () => add(entries, directory, "", 1, options))
  return { entries, isWhole }
}

function add(
  entries: Entry[],
  directory: Descriptor,
  prefix: string,
  depth: number,
  options: ListingOptions,
): boolean {
  const names = namesIn(directory)
  for (const raw of names.slice(0, MOST_NAMES)) {
    const name = shown(raw)
    if (options.skips?.(name) === true) continue
    const stat = statOrGone(directory, raw)
    if (stat === undefined) continue
    if (entries.length === options.most) return false
    const entry = { path: `${prefix}${name}`, name, depth, kind: kindOf(stat), stat }
    entries.push(entry)
    if (entry.kind !== "directory" || depth === options.depth) continue
    using inner = openInner(directory, raw)
    if (inner !== undefined && !add(entries, inner, `${entry.path}/`, depth + 1, options)) return false
  }
  return names.length <= MOST_NAMES
}

/** Sorted; one more than `MOST_NAMES` if there are more than that. */
export function namesIn(directory: Descriptor): Buffer[] {
  const names: Buffer[] = []
  const open = opendirSync(directory.path, { encoding: "buffer" as BufferEncoding, bufferSize: 512 })
  try {
    while (names.length <= MOST_NAMES) {
      const entry = open.readSync()
      if (entry === null) break
      // Node's types know names as text only; "buffer" is documented and gives bytes.
      names.push(entry.name as unknown as Buffer)
    }
  } finally {
    open.closeSync()
  }
  return names.sort((a, b) => Buffer.compare(a, b))
}

/** Somebody else may have taken it away meanwhile. */
function statOrGone(directory: Descriptor, name: Buffer): BigIntStats | undefined {
  try {
    return statAt(directory, name)
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return undefined
    throw thrown
  }
}

/** Undefined: it is gone, no directory any more, or closed to us; it was listed itself. */
function openInner(directory: Descriptor, name: Buffer): Descriptor | undefined {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
  try {
    // Readable, so that a directory that may not be listed is met here and not in the middle of it.
    return new Descriptor(openBeneath(directory.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
  } catch (thrown) {
    if (["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENOKEY"].includes(codeOf(thrown) ?? "")) return undefined
    throw thrown
  }
}

/** 999B, 1.0K, 2.5M */
export function shortSize(bytes: bigint): string {
  let size = Number(bytes)
  const units = ["B", "K", "M", "G", "T"]
  while (size >= 1024 && units.length > 1) {
    size /= 1024
    units.shift()
  }
  const [unit = "B"] = units
  return unit === "B" ? `${size}B` : `${size.toFixed(1)}${unit}`
}
