/**
 * The directory that the server is confined to, between calls: only its path is kept, so that a mount can be taken away and
 * come back. Whoever can rename the directories above it is not who the server guards against.
 */
import { constants, readlinkSync, realpathSync, statSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { O_PATH, lacksOpenBeneath, openPath } from "../sys/beneath.ts"
import { filesystemOf, isClawfs, type ClawfsEntry } from "../sys/clawfs-mounts.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { explained } from "./failure.ts"
import { Tree } from "./tree.ts"

export class Workspace {
  /** Absolute, without links. */
  readonly path: string
  /** Store of the ClawFS that the directory lay on at the start; undefined: on none. */
  readonly store: string | undefined
  readonly #names: readonly string[]

  /** Throws a `Fault` if `given` is no directory, or nothing can be confined on this machine. */
  constructor(given: string) {
    this.path = explained(given, () => realpathSync(given))
    const lack = lacksOpenBeneath(this.path)
    if (lack !== undefined) throw new Fault("unsupported", lack)
    if (!explained(given, () => statSync(this.path)).isDirectory())
      throw new Fault("invalid", `${given} is no directory`)
    this.#names = given.startsWith("/") ? [given.replace(/(?<=.)\/+$/, ""), this.path] : [this.path]
    this.store = clawfsAt(this.path)?.source
  }

  /** The directory as it is now. Throws a `Fault` if it is gone, or its ClawFS is not mounted any more. */
  open(): Tree {
    const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW
    const directory = new Descriptor(explained(this.path, () => openPath(this.path, flags)))
    try {
      this.#requireMounted(directory)
    } catch (thrown) {
      directory[Symbol.dispose]()
      throw thrown
    }
    return new Tree(directory, this.#names)
  }

  /** The mount that the directory lies on, and where in its filesystem; undefined for other filesystems. */
  onClawfs(): { store: string; inside: string } | undefined {
    const entry = clawfsAt(this.path)
    if (entry === undefined) return undefined
    const rest = this.path.slice(entry.mountpoint === "/" ? 0 : entry.mountpoint.length)
    return { store: entry.source, inside: `${entry.root}${rest}`.replace(/^\/+/, "") }
  }

  /** A tree's path from this directory: "" for itself. */
  pathOf(tree: Tree): string {
    return tree.realPath().slice(this.path === "/" ? 1 : this.path.length + 1)
  }

  /** What a mount had covered must not be written to in its place. */
  #requireMounted(directory: Descriptor): void {
    if (this.store === undefined) return
    const entry = clawfsAt(readlinkSync(directory.path))
    if (entry?.source === this.store) return
    throw new Fault("not-found", `the ClawFS with ${this.path} is not mounted`, {
      hint: `clawfs mount ${this.store} mounts it again`,
    })
  }
}

function clawfsAt(path: string): ClawfsEntry | undefined {
  const entry = filesystemOf(path)
  return isClawfs(entry) ? entry : undefined
}
