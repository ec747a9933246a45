/** Paths from the root of the filesystem, as the command line gives them: resolved already, without links. */
import { ROOT_NODE } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import { present } from "../core/assert.ts"
import { damagedRow } from "../store/checksum.ts"
import type { Inode } from "../store/inode.ts"
import { NAME_MAX } from "./directory.ts"
import type { Environment } from "./environment.ts"

const SLASH = 0x2f

/** The names of a path; `/` has none. Throws `Fault("invalid")` for what is no such path. */
export function namesOf(path: Buffer): Buffer[] {
  const names: Buffer[] = []
  let start = 0
  for (let at = 0; at <= path.length; at += 1) {
    if (at < path.length && path[at] !== SLASH) continue
    if (at > start) names.push(path.subarray(start, at))
    start = at + 1
  }
  const isBad = (name: Buffer): boolean =>
    name.length > NAME_MAX || name.includes(0) || [".", ".."].includes(name.toString("latin1"))
  if (path[0] !== SLASH || names.some(isBad)) throw new Fault("invalid", "a path from the root was expected")
  return names
}

/** The inode at `path`; the message says which part of it is missing. */
export function find(env: Environment, path: Buffer): Inode {
  const inode = findIfThere(env, path)
  if (inode === undefined) throw new Fault("not-found", `there is no ${printable(path)} in the filesystem`)
  return inode
}

/** The inode at `path`; undefined when there is none. */
export function findIfThere(env: Environment, path: Buffer): Inode | undefined {
  let inode = present(env.store.inodes.get(ROOT_NODE), "root inode")
  for (const name of namesOf(path)) {
    const entry = inode.isDirectory ? env.store.dentries.find(inode.ino, name) : undefined
    const next = entry === undefined ? undefined : env.store.inodes.get(entry.ino)
    if (next === undefined) return undefined
    inode = next
  }
  return inode
}

/** A directory and a name in it, which may or may not exist. Throws for the root itself. */
export function findPlace(env: Environment, path: Buffer): { directory: Inode; name: Buffer } {
  const names = namesOf(path)
  const name = names.pop()
  if (name === undefined) throw new Fault("invalid", "the root of the filesystem can't be the target")
  const directory = find(env, Buffer.concat([Buffer.from("/"), join(names)]))
  if (!directory.isDirectory)
    throw new Fault("invalid", `what is to hold ${printable(path)} is not a directory`)
  return { directory, name }
}

function join(names: readonly Buffer[]): Buffer {
  return Buffer.concat(names.flatMap((name, index) => (index === 0 ? [name] : [Buffer.from("/"), name])))
}

/** For messages: bytes that a terminal would act on are left out. */
export function printable(path: Buffer): string {
  return JSON.stringify(path.toString())
}

/** The directories from the root down to the one that holds `inode`. */
export function ancestorsOf(env: Environment, inode: Inode): Inode[] {
  const above: Inode[] = []
  const way = new Set<Inode>()
  for (let at = inode; at.ino !== ROOT_NODE;) {
    at = present(env.store.inodes.get(at.parent), "directory above")
    if (way.has(at)) throw damagedRow(`directory ${at.ino}, which lies inside of itself,`)
    way.add(at)
    above.unshift(at)
  }
  return above
}
