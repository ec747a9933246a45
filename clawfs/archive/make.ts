/** Makes one file or directory of an archive under a name of its own, with everything but its name. */
import { createHash } from "node:crypto"
import { chmodSync, constants, fchmodSync, ftruncateSync, writeSync } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault } from "../core/fault.ts"
import { chownOf, makeNodeAt, setMtimeOf, symlinkAt } from "../sys/at-calls.ts"
import { O_PATH, makeDirectoryAt, openExactly, unlinkAt } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { listAttributes, removeAttribute, setAttributeOf, setAttributeOfOpen } from "../sys/xattr.ts"
import { notAsListed } from "./check.ts"
import { addZeroes, readContents } from "./contents.ts"
import { lineOf, type Inode } from "./entry.ts"
import type { ArchiveReader, Piece } from "./reader.ts"
import { Located, NOT_KEPT, UNFINISHED, deviceOf } from "./source.ts"

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK } =
  constants
const NODE_TYPES = { fifo: S_IFIFO, socket: S_IFSOCK, character: S_IFCHR, block: S_IFBLK }
const OWN = 0o600
export const HERE = Buffer.from(".")

export interface Making {
  readonly entry: Inode
  readonly pieces: readonly Piece[]
  readonly line: string
  /** Nobody else's directory: nothing is inherited from it. */
  readonly isAlone: boolean
}

export class Maker {
  readonly #archive: ArchiveReader
  readonly #id: string
  readonly #keepsOwners: boolean

  constructor(archive: ArchiveReader, id: string, keepsOwners: boolean) {
    this.#archive = archive
    this.#id = id
    this.#keepsOwners = keepsOwners
  }

  /** What an entry is called until it has its name: the same when the import is repeated. */
  nameOf(ordinal: number): Buffer {
    return Buffer.from(`.clawfs-import-${this.#id}-${ordinal}`)
  }

  /** Runs `make`; what an interrupted import has left under that name is removed. */
  anew<T>(directory: Descriptor, name: Buffer, make: () => T): T {
    try {
      return make()
    } catch (thrown) {
      if (!(thrown instanceof SysFault) || thrown.errno !== E.EEXIST) throw thrown
      remove(directory, name)
      return make()
    }
  }

  /** An empty directory with the mark that it is not finished, which nobody else can enter. */
  makeDirectory(parent: Descriptor, ordinal: number): Buffer {
    const name = this.nameOf(ordinal)
    this.anew(parent, name, () => makeDirectoryAt(parent.fd, name))
    // A default ACL would be handed on to what is made in it.
    removeOthers(pathOf(parent, name), [])
    this.mark(parent, name)
    return name
  }

  /** A directory is not finished: the same import once more knows it by that. */
  mark(parent: Descriptor, name: Buffer): void {
    try {
      setAttributeOf(pathOf(parent, name), UNFINISHED, Buffer.from(this.#id, "latin1"))
    } catch (thrown) {
      // A filesystem without attributes: an interrupted import finds such directories as if they were somebody's.
      if (!(thrown instanceof SysFault) || thrown.errno !== E.EOPNOTSUPP) throw thrown
    }
  }

  /** Gives a directory what the archive has of it, when everything is in it. */
  finishDirectory(directory: Descriptor, entry: Inode): void {
    if (this.#keepsOwners) chownOf(directory.fd, entry.uid, entry.gid)
    fchmodSync(directory.fd, entry.mode)
    const path = pathOf(directory, HERE)
    removeOthers(path, [...entry.attributes.map(({ name }) => name), UNFINISHED])
    for (const { name, value } of entry.attributes) setAttributeOf(path, name, value)
    setMtimeOf(directory.fd, entry.mtimeNs)
    // Last of all: that does not change the time.
    if (listAttributes(path).some((name) => name.equals(UNFINISHED))) removeAttribute(path, UNFINISHED)
  }

  /** Anything but a directory. Throws `Fault("corrupt")` when the archive is another one than when it was checked. */
  make(parent: Descriptor, ordinal: number, making: Making): Buffer {
    const name = this.nameOf(ordinal)
    try {
      if (making.entry.type === "file") this.#makeFile(parent, name, making)
      else this.#makeOther(parent, name, making)
      return name
    } catch (thrown) {
      remove(parent, name)
      throw thrown
    }
  }

  #makeFile(parent: Descriptor, name: Buffer, { entry, pieces, line, isAlone }: Making): void {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
    using file = new Descriptor(this.anew(parent, name, () => openExactly(parent.fd, name, flags, OWN)))
    const sha256 = this.#write(file, entry.size, pieces)
    if (lineOf(entry, sha256) !== line) throw notAsListed(entry)
    this.#own(file, entry)
    fchmodSync(file.fd, entry.mode)
    if (!isAlone) removeOthers(pathOf(parent, name), namesOf(entry))
    for (const attribute of entry.attributes) setAttributeOfOpen(file.fd, attribute.name, attribute.value)
    setMtimeOf(file.fd, entry.mtimeNs)
  }

  #makeOther(parent: Descriptor, name: Buffer, { entry, line, isAlone }: Making): void {
    const { type, target, mode, attributes, mtimeNs } = entry
    if (lineOf(entry) !== line) throw notAsListed(entry)
    if (type === "symlink") this.anew(parent, name, () => symlinkAt(target, parent.fd, name))
    else if (type !== "file" && type !== "directory")
      this.anew(parent, name, () => makeNodeAt(parent.fd, name, NODE_TYPES[type] | OWN, deviceOf(entry)))
    using place = new Descriptor(openExactly(parent.fd, name, O_PATH | O_NOFOLLOW))
    // It has a name that anybody may take who may write there.
    if (
      (Number(place.stat().mode) & S_IFMT) !==
      (type === "symlink" ? S_IFLNK : NODE_TYPES[type as keyof typeof NODE_TYPES])
    )
      throw new Fault("busy", "somebody else has put something in its place")
    this.#own(place, entry)
    if (type !== "symlink") chmodSync(place.path, mode)
    const path = pathOf(parent, name)
    if (!isAlone) removeOthers(path, namesOf(entry))
    for (const attribute of attributes) setAttributeOf(path, attribute.name, attribute.value)
    setMtimeOf(place.fd, mtimeNs)
  }

  /** Before the mode, as a change of the owner takes set-id bits away. */
  #own(place: Descriptor, { uid, gid }: Inode): void {
    if (this.#keepsOwners) chownOf(place.fd, uid, gid)
  }

  /** Returns the SHA-256 of what was written. */
  #write(file: Descriptor, size: number, pieces: readonly Piece[]): string {
    const hash = createHash("sha256")
    const onBytes = (bytes: Buffer, at: number): void => {
      hash.update(bytes)
      for (let done = 0; done < bytes.length;)
        done += writeSync(file.fd, bytes, done, bytes.length - done, at + done)
    }
    const onHole = (length: number): void => addZeroes(hash, length)
    readContents(this.#archive, size, pieces, { onBytes, onHole })
    // It may end in a hole.
    if (pieces.reduce((end, { at, length }) => Math.max(end, at + length), 0) < size)
      ftruncateSync(file.fd, size)
    return hash.digest("hex")
  }
}

function pathOf(directory: Descriptor, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${directory.path}/`), name])
}

function namesOf({ attributes }: Inode): Buffer[] {
  return attributes.map(({ name }) => name)
}

/** What was inherited from the directory, or was there before. */
function removeOthers(path: Buffer, names: readonly Buffer[]): void {
  for (const name of listAttributes(path))
    if (!names.some((wanted) => wanted.equals(name)) && !NOT_KEPT.some((other) => other.equals(name)))
      removeAttribute(path, name)
}

/** What was made under a name of ours, and not finished; nothing where there is nothing. */
function remove(directory: Descriptor, name: Buffer): void {
  using found = Located.at(directory, name)
  if (found !== undefined) unlinkAt(directory.fd, name, found.type === "directory")
}
