/**
 * Reads an archive that may be hostile: what it says is checked before anything is made of it, and nothing is kept of what was
 * read. Members come in the order of their paths, each directory before what it holds: so no name can come twice, and none is
 * below something that is no directory.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import type { Entry } from "./entry.ts"
import { BLOCK, Flag, decodeHeader, padding, type Header } from "./header.ts"
import { COMMENT, MANIFEST, MOST_PATH, SECRETS, decodeMember, shown, type Member } from "./member.ts"
import { MOST_RECORD_BYTES, decodeRecords, type Records } from "./pax.ts"
import { decodeMap, type Range } from "./pieces.ts"

/** `length` bytes of a file from `at` on, which stand at `from` in the archive. */
export interface Piece extends Range {
  readonly from: number
}

export interface Found {
  readonly entry: Entry
  readonly pieces: readonly Piece[]
}

/** A file of ours beside the tree. */
export interface Own {
  readonly from: number
  readonly length: number
}

export interface Layout {
  readonly secrets: Own | undefined
  readonly manifest: Own
}

const MOST_NAME = 255
const MAP_STEP = 64 * 1024
const NAME_OF_MANIFEST = Buffer.from(MANIFEST)
const NAME_OF_SECRETS = Buffer.from(SECRETS)
const NO_RECORDS: Records = new Map()

export class ArchiveReader implements Disposable {
  readonly #fd: number
  readonly path: string
  readonly length: number

  /** Throws a `Fault` for what can't be read, or is no regular file. */
  constructor(path: string) {
    this.path = path
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(this.#fd)
    this.length = stat.size
    if (stat.isFile()) return
    closeSync(this.#fd)
    throw new Fault("invalid", `${path} is no regular file`, {
      hint: "an archive is read more than once: save it to a file",
    })
  }

  /** Fills `into` with the archive's bytes from `from` on. Throws `Fault("corrupt")` where it ends before. */
  read(into: Buffer, from: number): Buffer {
    for (let length = 0; length < into.length;) {
      const got = readSync(this.#fd, into, length, into.length - length, from + length)
      if (got === 0) throw new Fault("corrupt", `${this.path} is cut off: it ends after ${this.length} bytes`)
      length += got
    }
    return into
  }

  /** Calls `each` for every entry, and gives back what stands beside the tree. Throws `Fault("corrupt")`, with where it is. */
  walk(each: (found: Found) => void): Layout {
    const place = { at: 0 }
    try {
      return this.#walk(each, place)
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind !== "corrupt" || thrown.message.startsWith(this.path))
        throw thrown
      const message = `${this.path}, at byte ${place.at}: ${thrown.message}`
      throw new Fault("corrupt", message, { cause: thrown, hint: thrown.hint })
    }
  }

  #walk(each: (found: Found) => void, place: { at: number }): Layout {
    place.at = this.#beginning()
    const order = new Order()
    let secrets: Own | undefined
    for (;;) {
      const { member, from, end } = this.#member(place.at)
      const { entry, name, stored } = member
      const isAllowed = entry === undefined ? this.#isOwn(name, secrets) : secrets === undefined
      if (!isAllowed) throw new Fault("corrupt", `it holds ${shown(name)}, which no export has there`)
      if (entry !== undefined) {
        order.take(entry)
        each({ entry, pieces: this.#pieces(member, from) })
      } else if (name.equals(NAME_OF_MANIFEST))
        return this.#ended(end, { secrets, manifest: { from, length: stored } }, order)
      else secrets = { from, length: stored }
      place.at = end
    }
  }

  #isOwn(name: Buffer, secrets: Own | undefined): boolean {
    return name.equals(NAME_OF_MANIFEST) || (name.equals(NAME_OF_SECRETS) && secrets === undefined)
  }

  #beginning(): number {
    const start = this.length < BLOCK ? undefined : headerIn(this.read(Buffer.alloc(BLOCK), 0))
    if (start?.flag !== Flag.GLOBAL || start.size > BLOCK) throw this.#noExport()
    const records = decodeRecords(this.read(Buffer.alloc(start.size), BLOCK))
    if (records.get("comment")?.toString() !== COMMENT) throw this.#noExport()
    return BLOCK + start.size + padding(start.size)
  }

  #noExport(): Fault {
    return new Fault("invalid", `${this.path} is no export of this version of clawfs`, {
      hint: "other archives are unpacked by tar",
    })
  }

  #header(at: number): Header {
    const header = decodeHeader(this.read(Buffer.alloc(BLOCK), at))
    if (header === undefined) throw new Fault("corrupt", "it ends before its manifest")
    return header
  }

  #member(at: number): { readonly member: Member; readonly from: number; readonly end: number } {
    let header = this.#header(at)
    let from = at + BLOCK
    let records = NO_RECORDS
    if (header.flag === Flag.RECORDS) {
      if (header.size > MOST_RECORD_BYTES)
        throw new Fault(
          "corrupt",
          `a header has ${header.size} bytes of records, more than any that clawfs writes`,
        )
      records = decodeRecords(this.read(Buffer.alloc(header.size), from))
      const next = from + header.size + padding(header.size)
      header = this.#header(next)
      from = next + BLOCK
    }
    if (header.flag === Flag.RECORDS || header.flag === Flag.GLOBAL)
      throw new Fault("corrupt", "its headers are not in their order")
    const member = decodeMember(header, records)
    const end = from + member.stored + padding(member.stored)
    if (end > this.length)
      throw new Fault(
        "corrupt",
        `${shown(member.name)} is to have ${member.stored} bytes, the archive ends before`,
      )
    return { member, from, end }
  }

  #pieces({ stored, hasHoles, entry }: Member, from: number): readonly Piece[] {
    if (!hasHoles) return stored === 0 ? [] : [{ at: 0, length: stored, from }]
    const size = entry?.type === "file" ? entry.size : 0
    for (let length = Math.min(stored, MAP_STEP); ; length = Math.min(stored, 4 * length)) {
      const map = decodeMap(this.read(Buffer.alloc(length), from), size)
      if (map === undefined) {
        if (length < stored) continue
        throw new Fault("corrupt", "the map of a file's holes is cut off")
      }
      let next = from + map.length
      const pieces = map.ranges.map(({ at, length: bytes }) => {
        next += bytes
        return { at, length: bytes, from: next - bytes }
      })
      if (next !== from + stored)
        throw new Fault("corrupt", "a file has other contents than the map of its holes says")
      return pieces
    }
  }

  #ended(at: number, layout: Layout, order: Order): Layout {
    const rest = this.length - at
    if (rest !== 2 * BLOCK || this.read(Buffer.alloc(rest), at).some((byte) => byte !== 0))
      throw new Fault("corrupt", "something follows its manifest")
    order.end()
    return layout
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

function headerIn(block: Buffer): Header | undefined {
  try {
    return decodeHeader(block)
  } catch (thrown) {
    // Any other file; whoever asks says so.
    if (thrown instanceof Fault) return undefined
    throw thrown
  }
}

/** The order of paths, and what a path can be. Knows the directories above the current one, and nothing else. */
class Order {
  #last: Buffer | undefined
  readonly #above: Buffer[] = []

  take({ path, type }: Entry): void {
    if (this.#last === undefined) {
      if (path.length > 0 || type !== "directory")
        throw new Fault("corrupt", "it does not begin with its top directory")
    } else {
      requirePath(path)
      if (sortKey(this.#last).compare(sortKey(path)) >= 0)
        throw new Fault("corrupt", `${shown(path)} comes twice, or not in its order`)
      const parent = path.subarray(0, Math.max(0, path.lastIndexOf(SLASH)))
      while (this.#above.length > 0 && !(this.#above.at(-1) ?? parent).equals(parent)) this.#above.pop()
      if (this.#above.length === 0)
        throw new Fault("corrupt", `${shown(path)} is in no directory of the archive`)
    }
    this.#last = path
    if (type === "directory") this.#above.push(path)
  }

  end(): void {
    if (this.#last === undefined) throw new Fault("corrupt", "it holds no tree")
  }
}

const SLASH = 0x2f

/** Slashes before all other bytes: then what a directory holds comes right behind it. No name has a zero byte. */
function sortKey(path: Buffer): Buffer {
  return Buffer.from(path.map((byte) => (byte === SLASH ? 0 : byte)))
}

function requirePath(path: Buffer): void {
  if (path.includes(0) || path.length > MOST_PATH) throw new Fault("corrupt", `${shown(path)} is no path`)
  for (const name of path.toString("latin1").split("/")) {
    if (name === "..") throw new Fault("corrupt", `${shown(path)} leads out of the tree`)
    if (name === "" || name === "." || name.length > MOST_NAME)
      throw new Fault("corrupt", `${shown(path)} is no path`)
  }
}
