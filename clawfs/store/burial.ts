/** Inodes that neither a name nor the kernel holds: what they hold goes with the next commit. */
import type { NodeId } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Contents } from "./contents.ts"
import type { Dentries } from "./dentries.ts"
import { InodeFlag, type Inode } from "./inode.ts"
import type { Inodes } from "./inodes.ts"
import type { Sealing } from "./sealing.ts"
import type { Symlinks, Xattrs } from "./xattrs.ts"

/** Where an inode has rows. */
export interface Graveyard {
  readonly inodes: Inodes
  readonly contents: Contents
  readonly dentries: Dentries
  readonly symlinks: Symlinks
  readonly xattrs: Xattrs
  readonly sealing: Sealing
}

export class Burial {
  readonly #rows: Graveyard
  readonly #log: Log | undefined
  /** Unlinked and forgotten; their rows go with the next transaction. */
  readonly #dead: NodeId[] = []
  /** Their rows are gone in the transaction that is not committed yet. */
  readonly #buried: NodeId[] = []

  constructor(rows: Graveyard, log: Log | undefined) {
    this.#rows = rows
    this.#log = log
  }

  /** How many wait. */
  get waiting(): number {
    return this.#dead.length
  }

  add(ino: NodeId): void {
    this.#dead.push(ino)
  }

  /** Deletes the rows of all that wait; part of a transaction. */
  bury(): void {
    const { contents, inodes, symlinks, dentries, xattrs, sealing } = this.#rows
    for (const ino of this.#dead.splice(0)) {
      this.#buried.push(ino)
      const inode = this.#removable(ino, inodes, contents)
      if (inode === undefined) continue
      if (inode.isSymlink) symlinks.delete(ino)
      if (inode.isDirectory) dentries.forget(ino)
      if (inode.has(InodeFlag.HAS_XATTR)) xattrs.deleteAll(inode)
      sealing.bury(inode)
      inodes.delete(inode)
    }
  }

  /** The transaction is in the database. */
  committed(): void {
    this.#buried.length = 0
  }

  /** It is not: they wait for the next one. */
  rolledBack(): void {
    this.#dead.push(...this.#buried.splice(0))
  }

  /** Takes an inode's contents away. What is damaged stays for fsck: it must not keep the others from being committed. */
  #removable(ino: NodeId, inodes: Inodes, contents: Contents): Inode | undefined {
    try {
      const inode = inodes.get(ino)
      if (inode !== undefined) contents.removeAll(inode)
      return inode
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
      this.#log?.error("an unlinked inode can't be removed", { ino, reason: thrown.message })
      return undefined
    }
  }
}
