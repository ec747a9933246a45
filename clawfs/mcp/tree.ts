/**
 * A directory that what a client names can't leave, for the time of one call. The kernel resolves every path beneath the
 * directory's descriptor (openat2 with RESOLVE_BENEATH), and what is found is used through descriptors from then on: nothing
 * is checked by its path and then opened by it again.
 */
import { constants, lstatSync, readlinkSync, type BigIntStats } from "node:fs"
import { O_PATH, makeDirectoryAt, openBeneath, reopen } from "../sys/beneath.ts"
import { Fault } from "../core/fault.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { TOO_LONG, codeOf, explained, failure } from "./failure.ts"
import { bytesOf, shown } from "./names.ts"

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants
const SLASH = 0x2f
const HERE = Buffer.from(".")
/** limits.h: PATH_MAX has a NUL at its end. */
const MOST_PATH_BYTES = 4095
const MOST_NAME_BYTES = 255
const MOST_SHOWN = 200

/** What a client has named. */
export interface Target {
  /** From the tree's directory. */
  readonly bytes: Buffer
  /** As the client calls it. */
  readonly shown: string
}

/** What is at a path, not yet opened. */
export class Found implements Disposable {
  /** O_PATH. */
  readonly place: Descriptor
  readonly stat: BigIntStats

  constructor(place: Descriptor) {
    this.place = place
    this.stat = place.stat()
  }

  [Symbol.dispose](): void {
    this.place[Symbol.dispose]()
  }
}

/** Where a name is, or is to be made. */
export class Slot implements Disposable {
  readonly directory: Descriptor
  /** One name, neither "." nor "..". */
  readonly name: Buffer
  readonly shown: string

  constructor(directory: Descriptor, name: Buffer, path: string) {
    this.directory = directory
    this.name = name
    this.shown = path
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]()
  }
}

export class Tree implements Disposable {
  /** As the client knows it: what an absolute path begins with. */
  readonly names: readonly string[]
  readonly #directory: Descriptor

  /** Owns the descriptor. */
  constructor(directory: Descriptor, names: readonly string[]) {
    this.#directory = directory
    this.names = names
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]()
  }

  /** Where the tree is now, for those who need a path from the filesystem's root. */
  realPath(): string {
    return readlinkSync(this.#directory.path)
  }

  /** Reads a path: from the tree's directory, or absolute if it begins with that. Throws a `Fault` for what can be none. */
  target(path: string): Target {
    const bytes = bytesOf(path.startsWith("/") ? this.#relative(path) : path)
    if (bytes[0] === SLASH) throw this.#outside(path)
    const isTooLong =
      bytes.length > MOST_PATH_BYTES || partsOf(bytes).some((name) => name.length > MOST_NAME_BYTES)
    if (isTooLong) throw new Fault("name-too-long", `${shortened(path)} ${TOO_LONG}`)
    return { bytes, shown: path }
  }

  #relative(path: string): string {
    const base = this.names.find((name) => path === name || path.startsWith(name === "/" ? "/" : `${name}/`))
    if (base === undefined) throw this.#outside(path)
    return path.slice(base.length).replace(/^\/+/, "")
  }

  #outside(path: string): Fault {
    return new Fault(
      "denied",
      `${shortened(path)} lies outside of ${this.names[0] ?? "/"}, which this server is confined to`,
    )
  }

  /** What is there, without opening it. `follow`: a link as the last name is followed, as long as it stays inside. */
  find(target: Target, { follow }: { follow: boolean }): Found {
    return new Found(this.#open(target, O_PATH | (follow ? 0 : O_NOFOLLOW)))
  }

  /** A regular file to read. Never waits for the other end of a fifo or a terminal. */
  openFile(target: Target): Descriptor {
    using found = this.find(target, { follow: true })
    return openFound(found, target.shown)
  }

  /** A directory, as a place (O_PATH) that names can be looked up in. */
  openDirectory(target: Target): Descriptor {
    return this.#open(target, O_PATH | O_DIRECTORY)
  }

  /** The directory that `target`'s last name is in; `make`: directories on the way that are missing are made. */
  slot(target: Target, { make }: { make: boolean }): Slot {
    const end = trimmedLength(target.bytes)
    const cut = target.bytes.lastIndexOf(SLASH, end - 1)
    const name = target.bytes.subarray(cut + 1, end)
    if (end === 0 || name.equals(HERE) || name.equals(Buffer.from("..")))
      throw new Fault(
        "invalid",
        `${target.shown} is the directory itself or one above it, not something in it`,
      )
    const above = { bytes: target.bytes.subarray(0, Math.max(cut, 0)), shown: target.shown }
    const directory = make ? this.makeDirectories(above) : this.openDirectory(above)
    return new Slot(directory, name, target.shown)
  }

  /** `openDirectory`, after what is missing of it was made. */
  makeDirectories(target: Target): Descriptor {
    const names = partsOf(target.bytes)
    let directory = this.openDirectory({ ...target, bytes: HERE })
    for (const [at, name] of names.entries()) {
      using above = directory
      directory = this.#openOrMake(above, name, { ...target, bytes: joined(names.slice(0, at + 1)) })
    }
    return directory
  }

  #openOrMake(above: Descriptor, name: Buffer, target: Target): Descriptor {
    try {
      return this.openDirectory(target)
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "not-found")) throw thrown
    }
    explained(target.shown, () => makeDirectory(above, name))
    return this.openDirectory(target)
  }

  /** A tree of one of its directories. */
  subtree(target: Target, names: readonly string[], { make }: { make: boolean }): Tree {
    return new Tree(make ? this.makeDirectories(target) : this.openDirectory(target), names)
  }

  #open({ bytes, shown: path }: Target, flags: number): Descriptor {
    const from = bytes.length === 0 ? HERE : bytes
    return explained(path, () => new Descriptor(openBeneath(this.#directory.fd, from, flags)))
  }
}

/** What is at a slot, a link itself; undefined if there is nothing. */
export function findAt({ directory, name, shown: path }: Slot): Found | undefined {
  try {
    return new Found(new Descriptor(openBeneath(directory.fd, name, O_PATH | O_NOFOLLOW)))
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return undefined
    throw failure(path, thrown)
  }
}

/** What was found, open as `flags` say if it is a regular file. Throws a `Fault` for anything else. */
export function openFound(found: Found, path: string, flags: number = O_RDONLY): Descriptor {
  requireFile(found.stat, path)
  return explained(path, () => new Descriptor(reopen(found.place.fd, flags | O_NONBLOCK | O_NOCTTY)))
}

/** The attributes of a name in a directory, of a link itself. */
export function statAt(directory: Descriptor, name: Buffer): BigIntStats {
  return lstatSync(Buffer.concat([Buffer.from(`${directory.path}/`), name]), { bigint: true })
}

/** What the symbolic link at a slot says. */
export function linkTargetAt({ directory, name, shown: path }: Slot): string {
  const link = Buffer.concat([Buffer.from(`${directory.path}/`), name])
  return explained(path, () => shown(readlinkSync(link, { encoding: "buffer" })))
}

export type Kind = "file" | "directory" | "link" | "fifo" | "socket" | "device"

export function kindOf(stat: BigIntStats): Kind {
  if (stat.isFile()) return "file"
  if (stat.isDirectory()) return "directory"
  if (stat.isSymbolicLink()) return "link"
  if (stat.isFIFO()) return "fifo"
  return stat.isSocket() ? "socket" : "device"
}

/** Throws unless it is a regular file. */
export function requireFile(stat: BigIntStats, path: string): void {
  const kind = kindOf(stat)
  if (kind === "file") return
  if (kind === "link")
    throw new Fault("invalid", `${path} is a symbolic link, and writing follows none: name the file itself`)
  throw new Fault("invalid", `${path} is a ${kind}, not a regular file`)
}

function makeDirectory(directory: Descriptor, name: Buffer): void {
  try {
    makeDirectoryAt(directory.fd, name)
  } catch (thrown) {
    // Somebody else was quicker. If it is no directory, opening it tells.
    if (codeOf(thrown) !== "EEXIST") throw thrown
  }
}

/** Length without slashes at the end. */
function trimmedLength(path: Buffer): number {
  let end = path.length
  while (end > 0 && path[end - 1] === SLASH) end -= 1
  return end
}

/** Enough of a path to know which one is meant. */
function shortened(path: string): string {
  return path.length <= MOST_SHOWN ? path : `${path.slice(0, MOST_SHOWN)}…`
}

function partsOf(path: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < path.length;) {
    const slash = path.indexOf(SLASH, at)
    const end = slash < 0 ? path.length : slash
    if (end > at) parts.push(path.subarray(at, end))
    at = end + 1
  }
  return parts
}

function joined(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.flatMap((part, at) => (at === 0 ? [part] : [Buffer.of(SLASH), part])))
}
