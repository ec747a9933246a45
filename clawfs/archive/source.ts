/** What is in a directory of a filesystem, as entries. Nothing here follows a link or goes to another filesystem. */
import { constants, readdirSync, readlinkSync, type BigIntStats } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault } from "../core/fault.ts"
import { O_PATH, openExactly, reopen } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { getAttribute, listAttributes } from "../sys/xattr.ts"
import type { Attribute, EntryType, Inode } from "./entry.ts"

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, S_IFMT } = constants
const TYPES: ReadonlyMap<number, EntryType> = new Map([
  [constants.S_IFREG, "file"],
  [constants.S_IFDIR, "directory"],
  [constants.S_IFLNK, "symlink"],
  [constants.S_IFIFO, "fifo"],
  [constants.S_IFSOCK, "socket"],
  [constants.S_IFCHR, "character"],
  [constants.S_IFBLK, "block"],
])
const MODE_BITS = 0o7777n
const EMPTY = Buffer.alloc(0)
/** On a directory that an import has made and not finished (apply.ts). */
export const UNFINISHED = Buffer.from("user.clawfs.importing")
/** Of this machine, not of the file. */
export const NOT_KEPT: readonly Buffer[] = [UNFINISHED, Buffer.from("security.selinux")]

/** A file that is there: its place is held, so that it stays the same whatever becomes of its name. */
export class Located implements Disposable {
  readonly #place: Descriptor
  readonly stat: BigIntStats
  readonly type: EntryType
  /** Means the file itself, a link too. */
  readonly #path: Buffer

  private constructor(place: Descriptor, path: Buffer) {
    this.#place = place
    this.#path = path
    this.stat = place.stat()
    const type = TYPES.get(Number(this.stat.mode) & S_IFMT)
    if (type === undefined) throw new Fault("invalid", "a file has a type that is not known")
    this.type = type
  }

  /**
   * What `name` of a directory is, or with "." the directory itself; undefined where there is nothing. Throws
   * `Fault("unsupported")` for another filesystem's mount point.
   */
  static at(directory: Descriptor, name: Buffer): Located | undefined {
    try {
      const place = new Descriptor(openExactly(directory.fd, name, O_PATH | O_NOFOLLOW))
      return new Located(place, Buffer.concat([Buffer.from(`${directory.path}/`), name]))
    } catch (thrown) {
      if (thrown instanceof SysFault && thrown.errno === E.ENOENT) return undefined
      if (thrown instanceof SysFault && thrown.errno === E.EXDEV)
        throw new Fault("unsupported", "another filesystem is mounted there", { cause: thrown })
      throw thrown
    }
  }

  /** Everything but contents. */
  entry(path: Buffer): Inode {
    const { type, stat } = this
    const device = type === "character" || type === "block" ? numbersOf(stat.rdev) : { major: 0, minor: 0 }
    return {
      ...{ path, type, mode: Number(stat.mode & MODE_BITS), uid: Number(stat.uid), gid: Number(stat.gid) },
      ...{ mtimeNs: stat.mtimeNs, size: type === "file" ? Number(stat.size) : 0, ...device },
      attributes: this.#attributes(),
      target: type === "symlink" ? readlinkSync(this.#path, "buffer") : EMPTY,
    }
  }

  /** The contents of a file. */
  open(): Descriptor {
    return new Descriptor(reopen(this.#place.fd, O_RDONLY | O_NONBLOCK))
  }

  openDirectory(): Descriptor {
    return new Descriptor(reopen(this.#place.fd, O_RDONLY | O_DIRECTORY))
  }

  /** The value that marks a directory which an import has not finished. */
  unfinished(): string | undefined {
    return getAttribute(this.#path, UNFINISHED)?.toString("latin1")
  }

  #attributes(): readonly Attribute[] {
    return listAttributes(this.#path).flatMap((name) => {
      const value = NOT_KEPT.some((other) => other.equals(name)) ? undefined : getAttribute(this.#path, name)
      return value === undefined ? [] : [{ name, value }]
    })
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]()
  }
}

/** The names in a directory, in the order of an archive. */
export function namesIn(directory: Descriptor): Buffer[] {
  return readdirSync(directory.path, { encoding: "buffer" }).sort((a, b) => a.compare(b))
}

/** As gnu_dev_major(3) and gnu_dev_minor(3) take a number apart. */
function numbersOf(device: bigint): { readonly major: number; readonly minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  }
}

/** As gnu_dev_makedev(3). */
export function deviceOf({ major, minor }: { readonly major: number; readonly minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)]
  return (
    ((high & 0xfffn) << 8n) | ((high & 0xfffff000n) << 32n) | (low & 0xffn) | ((low & 0xffffff00n) << 12n)
  )
}
