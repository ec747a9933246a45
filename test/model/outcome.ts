/** What an operation gave, in a form in which the model, ClawFS and another filesystem can be compared. */
import { E, errnoName, type Timestamp } from "../helpers/sys.ts"

export interface Facts {
  readonly kind: string
  readonly perm: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  /** Undefined where filesystems differ (directories) and for times that nobody set. */
  readonly size?: number | undefined
  readonly device?: string | undefined
  readonly atime?: Timestamp | undefined
  readonly mtime?: Timestamp | undefined
  /** The model's number of the inode, or the filesystem's. */
  readonly id: number
}

export interface Listed {
  readonly name: string
  readonly kind: string
  readonly id: number
}

export type Outcome =
  | { readonly is: "error"; readonly errno: number; readonly orElse?: readonly number[] }
  | { readonly is: "done"; readonly count?: number }
  | { readonly is: "bytes"; readonly bytes: Buffer }
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "facts"; readonly facts: Facts }
  | { readonly is: "listing"; readonly entries: readonly Listed[] }
  | { readonly is: "seek"; readonly data: number; readonly hole: number }
  /** What lseek must fit to: known to the model only. */
  | { readonly is: "seekable"; readonly content: Buffer; readonly at: number }

export const error = (errno: number, ...orElse: number[]): Outcome => ({
  is: "error",
  errno: Math.abs(errno),
  orElse,
})
export const done: Outcome = { is: "done" }

/** Pairs the model's inodes with those of one filesystem: an inode keeps its number and shares it with no other. */
export class Identities {
  readonly #inodes = new Map<number, number>()
  readonly #ids = new Map<number, number>()
  readonly #isAlive: (id: number) => boolean

  constructor(isAlive: (id: number) => boolean) {
    this.#isAlive = isAlive
  }

  difference(id: number, ino: number): string | undefined {
    const known = this.#inodes.get(id)
    const other = this.#ids.get(ino)
    this.#inodes.set(id, ino)
    this.#ids.set(ino, id)
    if (known !== undefined && known !== ino) return `inode number changed from ${known} to ${ino}`
    if (other !== undefined && other !== id && this.#isAlive(other))
      return `two files have inode number ${ino}`
    return undefined
  }
}

/** Why the result is not what was expected, or undefined. */
export function difference(expected: Outcome, got: Outcome, identities: Identities): string | undefined {
  if (expected.is === "seekable" && got.is === "seek")
    return seekDifference(expected.content, expected.at, got)
  if (expected.is !== got.is) return `got ${show(got)}, want ${show(expected)}`
  if (expected.is === "error" && got.is === "error") {
    const allowed = [expected.errno, ...(expected.orElse ?? [])]
    return allowed.includes(got.errno) ? undefined : `got ${show(got)}, want ${show(expected)}`
  }
  if (expected.is === "bytes" && got.is === "bytes") return bytesDifference(expected.bytes, got.bytes)
  if (expected.is === "facts" && got.is === "facts")
    return factsDifference(expected.facts, got.facts, identities)
  if (expected.is === "listing" && got.is === "listing") {
    return listingDifference(expected.entries, got.entries, identities)
  }
  return show(expected) === show(got) ? undefined : `got ${show(got)}, want ${show(expected)}`
}

export function show(outcome: Outcome): string {
  switch (outcome.is) {
    case "error":
      return errnoName(outcome.errno)
    case "done":
      return outcome.count === undefined ? "success" : `success (${outcome.count})`
    case "bytes":
      return `${outcome.bytes.length} bytes ${outcome.bytes.toString("hex", 0, 16)}`
    case "text":
      return JSON.stringify(outcome.text)
    case "facts":
      return JSON.stringify(outcome.facts)
    case "listing":
      return outcome.entries.map(({ name, kind }) => `${name}:${kind}`).join(" ")
    case "seek":
      return `data ${outcome.data}, hole ${outcome.hole}`
    case "seekable":
      return `seek results that fit ${outcome.content.length} bytes`
  }
}

export function bytesDifference(want: Buffer, got: Buffer): string | undefined {
  if (got.length !== want.length) return `got ${got.length} bytes, want ${want.length}`
  if (got.equals(want)) return undefined
  const first = got.findIndex((byte, i) => byte !== want[i])
  let last = got.length - 1
  while (got[last] === want[last]) last -= 1
  const hex = (b: Buffer) => b.toString("hex", first, Math.min(first + 16, last + 1))
  return `bytes ${first} to ${last} of ${want.length} differ: got ${hex(got)}, want ${hex(want)}`
}

function factsDifference(want: Facts, got: Facts, identities: Identities): string | undefined {
  for (const [key, value] of Object.entries(want) as [keyof Facts, unknown][]) {
    if (key === "id" || value === undefined) continue
    const [a, b] = [JSON.stringify(got[key]), JSON.stringify(value)]
    if (a !== b)
      return key === "perm"
        ? `perm is ${got.perm.toString(8)}, want ${want.perm.toString(8)}`
        : `${key} is ${a}, want ${b}`
  }
  return identities.difference(want.id, got.id)
}

function listingDifference(
  want: readonly Listed[],
  got: readonly Listed[],
  identities: Identities,
): string | undefined {
  const names = (entries: readonly Listed[]) => entries.map(({ name, kind }) => `${name}:${kind}`).sort()
  const [a, b] = [names(got), names(want)]
  if (a.join("\n") !== b.join("\n")) {
    const missing = b.filter((each) => !a.includes(each))
    const extra = a.filter((each, i) => !b.includes(each) || a.indexOf(each) !== i)
    return `listing lacks ${JSON.stringify(missing)}, has ${JSON.stringify(extra)} too many`
  }
  const inodes = new Map(got.map(({ name, id }) => [name, id]))
  for (const { name, id } of want) {
    const problem = identities.difference(id, inodes.get(name) ?? -1)
    if (problem !== undefined) return `listed ${name}: ${problem}`
  }
  return undefined
}

/** What lseek calls a hole must read as zeros; where holes are is the filesystem's own affair. */
export function seekDifference(
  content: Buffer,
  at: number,
  { data, hole }: { readonly data: number; readonly hole: number },
): string | undefined {
  const size = content.length
  if (at >= size) {
    if (data === -E.ENXIO && hole === -E.ENXIO) return undefined
    return `lseek behind the end: data ${data}, hole ${hole}, want ENXIO twice`
  }
  if (data < 0 && data !== -E.ENXIO) return `SEEK_DATA: ${errnoName(data)}`
  const holeEnd = data < 0 ? size : data
  if (holeEnd < at || holeEnd > size) return `SEEK_DATA from ${at}: ${data} with size ${size}`
  const first = content.subarray(at, holeEnd).findIndex((byte) => byte !== 0)
  if (first >= 0) return `SEEK_DATA from ${at} skips the data at ${at + first}, says ${data}`
  if (hole < at || hole > size) return `SEEK_HOLE from ${at}: ${hole} with size ${size}`
  if (data > at && hole !== at) return `${at} is a hole to SEEK_DATA (${data}) but not to SEEK_HOLE (${hole})`
  return undefined
}
