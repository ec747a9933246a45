/** `/lost+found`: where a repair hangs what has lost its name, under its inode number. Made when it is needed. */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import { Dentries } from "../store/dentries.ts"
import { insertDirectory } from "./directories.ts"
import { DT_DIR } from "./inode-index.ts"
import type { Pass } from "./pass.ts"
import { INO_LIMIT, change, numberOf } from "./scan.ts"

export const LOST_AND_FOUND = "lost+found"
const MOST_NAMES = 100

/** The inode of what has this name in the root. */
export function inRoot({ db, identity }: Pass, name: string): number | undefined {
  return new Dentries(db, identity.seedA, identity.seedB).find(ROOT_NODE, Buffer.from(name))?.ino
}

export class LostAndFound {
  readonly #pass: Pass
  readonly #dentries: Dentries
  #directory = 0

  constructor(pass: Pass) {
    this.#pass = pass
    this.#dentries = new Dentries(pass.db, pass.identity.seedA, pass.identity.seedB)
  }

  /** Whether there is, or can be, such a directory. A root that is missing has been made anew when it is needed. */
  get isPossible(): boolean {
    const { index } = this.#pass
    const root = index.find(ROOT_NODE)
    if (root >= 0 && !index.isDirectory(root)) return false
    return this.#directory !== 0 || this.#existing() !== undefined || this.#nextIno() < INO_LIMIT
  }

  /** Gives the inode at this place of the index a name there, and takes any other that it has. */
  attach(at: number): void {
    const { db, index } = this.#pass
    const [ino = 0, type = 0] = [index.ino[at], index.type[at]]
    const directory = this.#open()
    const [before = 0, beforeCookie = 0] = [index.nameParent[at], index.nameCookie[at]]
    if (before !== 0) change(db, "DELETE FROM dentry WHERE parent = ? AND cookie = ?", before, beforeCookie)
    const cookie = this.#enter(directory, String(ino), ino, type)
    if (index.isDirectory(at)) {
      change(db, "UPDATE inode SET parent = ? WHERE ino = ?", directory, ino)
      index.parent[at] = directory
      if (before !== 0) this.#countSubdirectory(before, -1)
      this.#countSubdirectory(directory, 1)
    }
    index.names[at] = 1
    index.nameParent[at] = directory
    index.nameCookie[at] = cookie
  }

  /** In the row as well as in the index: what was right stays right. */
  #countSubdirectory(ino: number, by: 1 | -1): void {
    const { db, index } = this.#pass
    change(db, "UPDATE inode SET nlink = max(0, nlink + ?) WHERE ino = ?", by, ino)
    const at = index.find(ino)
    if (at >= 0) index.subdirectories[at] = (index.subdirectories[at] ?? 0) + by
  }

  /** Under the first name of `name`, `name.1`, `name.2` that is free; returns the cookie. */
  #enter(directory: number, name: string, ino: number, type: number): number {
    this.#dentries.clearCache()
    for (let n = 0; n < MOST_NAMES; n += 1) {
      const bytes = Buffer.from(n === 0 ? name : `${name}.${n}`)
      if (this.#dentries.find(directory as NodeId, bytes) !== undefined) continue
      this.#dentries.insert(directory as NodeId, bytes, ino as NodeId, type)
      return this.#dentries.find(directory as NodeId, bytes)?.cookie ?? 0
    }
    throw new Fault("invalid", `no free name for inode ${ino}`)
  }

  #open(): number {
    if (this.#directory === 0) this.#directory = this.#existing() ?? this.#make()
    return this.#directory
  }

  #nextIno(): number {
    const { db } = this.#pass
    const highest = numberOf(db, `SELECT max(ino) FROM inode WHERE ino < ${INO_LIMIT}`) ?? ROOT_NODE
    const counted = numberOf(db, "SELECT next_ino FROM state") ?? 0
    const bodies = `SELECT max(body) FROM inode WHERE body != 0 AND body < ${INO_LIMIT}`
    const used = Math.max(highest, numberOf(db, bodies) ?? 0)
    return counted < INO_LIMIT ? Math.max(counted, used + 1) : used + 1
  }

  #existing(): number | undefined {
    const { index } = this.#pass
    const ino = this.#dentries.find(ROOT_NODE, Buffer.from(LOST_AND_FOUND))?.ino
    const at = ino === undefined ? -1 : index.find(ino)
    return at >= 0 && index.isDirectory(at) && index.nameParent[at] === ROOT_NODE ? ino : undefined
  }

  #make(): number {
    const { db, paths } = this.#pass
    const ino = this.#nextIno()
    if (ino >= INO_LIMIT) throw new Fault("invalid", "no inode number is left")
    insertDirectory(db, ino)
    change(db, "UPDATE state SET next_ino = ?, inodes = inodes + 1", ino + 1)
    this.#countSubdirectory(ROOT_NODE, 1)
    paths.note(ino, { parent: ROOT_NODE, cookie: this.#enter(ROOT_NODE, LOST_AND_FOUND, ino, DT_DIR) })
    return ino
  }
}
