/**
 * Makes the files of a checked archive in a directory. Each is made under a name of its own beside its place, whole and with all of
 * its attributes, and then takes its name: an import that was killed leaves whole files, and the same archive once more goes on.
 * A directory that was begun has a mark until it is finished. What is there and differs is kept, unless it is to be replaced.
 *
 * Every name is looked up from the directory above it, without following links and without leaving the filesystem.
 */
import { constants, fsyncSync } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault } from "../core/fault.ts"
import { linkAt } from "../sys/at-calls.ts"
import { O_PATH, openExactly, renameAt, unlinkAt } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { checked } from "../sys/ffi.ts"
import { syncfs } from "../sys/libc.ts"
import { notAsListed, type Contents, type OnProgress } from "./check.ts"
import { differences, type Difference } from "./compare.ts"
import type { Entry, HardLink, Inode } from "./entry.ts"
import { HERE, Maker } from "./make.ts"
import { ManifestLines } from "./manifest.ts"
import { shown } from "./member.ts"
import type { ArchiveReader, Found } from "./reader.ts"
import { Located } from "./source.ts"
import { sumIn } from "./verify.ts"

export interface ApplyOptions {
  /** What is there and differs is replaced; directories are never removed. */
  readonly replaces: boolean
  readonly keepsOwners: boolean
  /** The directory was made for this: it gets the attributes of the archive's top. */
  readonly isNew: boolean
  readonly onProgress: OnProgress
}

export interface Conflict {
  /** Bytes that are no UTF-8 are replaced. */
  readonly path: string
  /** "above": it lies in a directory whose place something else has; "first name": another name of a file that was kept. */
  readonly differs: readonly (Difference | "above" | "first name")[]
}

export interface Applied {
  readonly made: number
  readonly replaced: number
  readonly same: number
  /** The first hundred of those that were kept as they are. */
  readonly conflicts: readonly Conflict[]
  readonly conflictCount: number
  /** Paths, each byte a character, of what was kept; and of directories that were there. */
  readonly kept: ReadonlySet<string>
  readonly existing: ReadonlySet<string>
}

const MOST_NAMED = 100

interface Open {
  readonly path: Buffer
  readonly directory: Descriptor
  /** To be finished with these; undefined: it stays as it is. */
  readonly entry: Inode | undefined
  /** It was made by an import of this archive, and nobody else has anything in it. */
  readonly isAlone: boolean
}

export function applyArchive(
  archive: ArchiveReader,
  contents: Contents,
  target: Descriptor,
  options: ApplyOptions,
): Applied {
  return new Applier(archive, contents, target, options).run()
}

class Applier {
  readonly #archive: ArchiveReader
  readonly #contents: Contents
  readonly #target: Descriptor
  readonly #options: ApplyOptions
  readonly #maker: Maker
  /** The directories above the current entry. */
  readonly #open: Open[] = []
  readonly #count = { made: 0, replaced: 0, same: 0, conflictCount: 0 }
  readonly #conflicts: Conflict[] = []
  readonly #kept = new Set<string>()
  readonly #existing = new Set<string>()
  #ordinal = 0

  constructor(archive: ArchiveReader, contents: Contents, target: Descriptor, options: ApplyOptions) {
    this.#archive = archive
    this.#contents = contents
    this.#target = target
    this.#options = options
    this.#maker = new Maker(archive, contents.id, options.keepsOwners)
  }

  run(): Applied {
    const lines = new ManifestLines(this.#archive, this.#contents.manifest)
    try {
      this.#archive.walk((found) => {
        this.#ordinal += 1
        this.#take(found, lines.next() ?? "")
        this.#options.onProgress("writing", this.#ordinal, this.#contents.end.totals.entries)
      })
      while (this.#open.length > 0) this.#finish()
    } finally {
      for (const { directory } of this.#open) if (directory !== this.#target) directory[Symbol.dispose]()
    }
    // A ClawFS syncs all of itself for one file; other filesystems are asked to.
    fsyncSync(this.#target.fd)
    checked("syncfs", syncfs(this.#target.fd))
    return { ...this.#count, conflicts: this.#conflicts, kept: this.#kept, existing: this.#existing }
  }

  #take({ entry, pieces }: Found, line: string): void {
    if (entry.path.length === 0) {
      this.#top(entry)
      return
    }
    const slash = entry.path.lastIndexOf(SLASH)
    const parentPath = entry.path.subarray(0, Math.max(0, slash))
    const name = entry.path.subarray(slash + 1)
    while (!isWithin(entry.path, this.#open.at(-1)?.path ?? EMPTY)) this.#finish()
    const above = this.#open.at(-1)
    if (above?.path.equals(parentPath) !== true) {
      this.#keep(entry, ["above"])
      return
    }
    try {
      if (entry.type === "link") this.#link(entry, above, name)
      else if (entry.type === "directory") this.#directory(entry, above, name)
      else this.#file({ entry, pieces, line }, above, name)
    } catch (thrown) {
      throw explained(thrown, entry)
    }
  }

  #top(entry: Entry): void {
    if (this.#options.isNew) this.#maker.mark(this.#target, HERE)
    using found = Located.at(this.#target, HERE)
    const isOurs = this.#options.isNew || found?.unfinished() === this.#contents.id
    if (!isOurs) this.#existing.add("")
    const own = isOurs && entry.type === "directory" ? entry : undefined
    this.#open.push({ path: entry.path, directory: this.#target, entry: own, isAlone: isOurs })
  }

  #directory(entry: Inode, above: Open, name: Buffer): void {
    using found = Located.at(above.directory, name)
    if (found?.type === "directory") {
      const isOurs = found.unfinished() === this.#contents.id
      const comparing = { withOwner: this.#options.keepsOwners, withTime: false }
      const differing = isOurs ? [] : differences(entry, undefined, found, comparing)
      const isToBe = isOurs || (differing.length > 0 && this.#options.replaces)
      if (isOurs) this.#count.made += 1
      else if (isToBe) this.#count.replaced += 1
      else if (differing.length > 0) this.#note(entry, differing)
      else this.#count.same += 1
      if (!isToBe) this.#existing.add(entry.path.toString("latin1"))
      this.#open.push({
        path: entry.path,
        directory: found.openDirectory(),
        entry: isToBe ? entry : undefined,
        isAlone: isOurs,
      })
      return
    }
    if (found !== undefined && !this.#options.replaces) {
      this.#keep(entry, ["type"])
      return
    }
    if (found !== undefined) unlinkAt(above.directory.fd, name)
    const temporary = this.#maker.makeDirectory(above.directory, this.#ordinal)
    renameAt(above.directory.fd, temporary, above.directory.fd, name, false)
    using made = Located.at(above.directory, name)
    if (made?.type !== "directory") throw new Fault("busy", "somebody else removed it meanwhile")
    this.#count[found === undefined ? "made" : "replaced"] += 1
    this.#open.push({ path: entry.path, directory: made.openDirectory(), entry, isAlone: true })
  }

  /** Anything that is no directory. */
  #file({ entry, pieces, line }: Found & { entry: Inode; line: string }, above: Open, name: Buffer): void {
    using found = Located.at(above.directory, name)
    if (found !== undefined) {
      const comparing = { withOwner: this.#options.keepsOwners, withTime: true }
      const differing = differences(entry, sumIn(line), found, comparing)
      if (differing.length === 0) {
        this.#count.same += 1
        return
      }
      if (!this.#options.replaces || found.type === "directory") {
        this.#keep(entry, differing)
        return
      }
    }
    const temporary = this.#maker.make(above.directory, this.#ordinal, {
      entry,
      pieces,
      line,
      isAlone: above.isAlone,
    })
    this.#name(above, temporary, name, found !== undefined)
  }

  #link(entry: HardLink, above: Open, name: Buffer): void {
    if (this.#kept.has(entry.target.toString("latin1"))) {
      this.#keep(entry, ["first name"])
      return
    }
    const slash = entry.target.lastIndexOf(SLASH)
    const parent = slash < 0 ? Buffer.from(".") : entry.target.subarray(0, slash)
    using directory = new Descriptor(openExactly(this.#target.fd, parent, O_PATH | O_DIRECTORY))
    const first = entry.target.subarray(slash + 1)
    using wanted = Located.at(directory, first)
    if (wanted === undefined) throw new Fault("busy", "somebody else removed its first name meanwhile")
    using found = Located.at(above.directory, name)
    if (found !== undefined) {
      if (found.stat.ino === wanted.stat.ino && found.stat.dev === wanted.stat.dev) {
        this.#count.same += 1
        return
      }
      if (!this.#options.replaces || found.type === "directory") {
        this.#keep(entry, ["contents"])
        return
      }
    }
    const temporary = this.#maker.nameOf(this.#ordinal)
    this.#maker.anew(above.directory, temporary, () =>
      linkAt(directory.fd, first, above.directory.fd, temporary),
    )
    this.#name(above, temporary, name, found !== undefined)
  }

  /** The new file takes its name. */
  #name({ directory }: Open, temporary: Buffer, name: Buffer, replaces: boolean): void {
    try {
      renameAt(directory.fd, temporary, directory.fd, name, replaces)
    } catch (thrown) {
      unlinkAt(directory.fd, temporary)
      if (thrown instanceof SysFault && thrown.errno === E.EEXIST)
        throw new Fault("busy", "somebody else has made it meanwhile", {
          cause: thrown,
          hint: "run the import again",
        })
      throw thrown
    }
    this.#count[replaces ? "replaced" : "made"] += 1
  }

  #finish(): void {
    const last = this.#open.at(-1)
    if (last?.entry !== undefined) this.#maker.finishDirectory(last.directory, last.entry)
    this.#open.pop()
    if (last !== undefined && last.directory !== this.#target) last.directory[Symbol.dispose]()
  }

  /** It stays, and what the archive has of it is left. */
  #keep(entry: Entry, differs: Conflict["differs"]): void {
    this.#kept.add(entry.path.toString("latin1"))
    this.#note(entry, differs)
  }

  #note({ path }: Entry, differs: Conflict["differs"]): void {
    this.#count.conflictCount += 1
    if (this.#conflicts.length < MOST_NAMED) this.#conflicts.push({ path: path.toString(), differs })
  }
}

const SLASH = 0x2f
const EMPTY = Buffer.alloc(0)
const { O_DIRECTORY } = constants

function isWithin(path: Buffer, directory: Buffer): boolean {
  if (directory.length === 0) return true
  return path[directory.length] === SLASH && path.subarray(0, directory.length).equals(directory)
}

function explained(thrown: unknown, entry: Entry): unknown {
  if (!(thrown instanceof Fault) || thrown.kind === "bug") return thrown
  if (thrown.kind === "corrupt" && thrown.message === notAsListed(entry).message) return thrown
  const said = thrown instanceof SysFault ? `can't be made (${thrown.message})` : thrown.message
  return new Fault(thrown.kind, `${shown(entry.path)}: ${said}`, { cause: thrown, hint: thrown.hint })
}
