/** A whole tree as plain data: what the model holds can be saved, and compared with a directory at any later time. */
import { createHash } from "node:crypto"
import * as sys from "../helpers/sys.ts"
import { factsOf, listed } from "./execute.ts"
import { difference, Identities, type Facts, type Listed } from "./outcome.ts"
import { facts, type Node } from "./tree.ts"

/** One inode under one of its names. */
export interface SnapshotEntry {
  readonly path: string
  readonly facts: Facts
  readonly sha256?: string
  readonly target?: string
  readonly xattrs: Readonly<Record<string, string>>
  readonly entries?: readonly Listed[]
}

const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex")

export function snapshot(root: Node): SnapshotEntry[] {
  const found: SnapshotEntry[] = []
  const visit = (node: Node, path: string): void => {
    const xattrs = Object.fromEntries([...node.xattrs].map(([name, value]) => [name, sha256(value)]))
    // reading the tree moves the access times
    const entry = { path, facts: { ...facts(node), atime: undefined }, xattrs }
    if (node.kind === "file") found.push({ ...entry, sha256: sha256(node.data) })
    else if (node.kind === "symlink") found.push({ ...entry, target: node.target })
    else if (node.kind !== "dir") found.push(entry)
    else {
      found.push({ ...entry, entries: [...node.entries].map(([name, { kind, id }]) => ({ name, kind, id })) })
      for (const [name, child] of node.entries) visit(child, path === "" ? name : `${path}/${name}`)
    }
  }
  visit(root, "")
  return found
}

/** Every difference between a directory and the saved tree, at most twenty. */
export function compareWithDirectory(directory: string, entries: readonly SnapshotEntry[]): string[] {
  const identities = new Identities(() => true)
  const problems: string[] = []
  for (const entry of entries) {
    const path = entry.path === "" ? directory : `${directory}/${entry.path}`
    for (const problem of compareEntry(path, entry, identities))
      problems.push(`${entry.path || "."}: ${problem}`)
    if (problems.length >= 20) break
  }
  return problems
}

function compareEntry(path: string, entry: SnapshotEntry, identities: Identities): string[] {
  const stat = sys.lstat(path)
  if (typeof stat === "number") return [`lstat: ${sys.errnoName(stat)}`]
  const differences = [
    difference({ is: "facts", facts: entry.facts }, { is: "facts", facts: factsOf(stat) }, identities),
    entry.sha256 === undefined ? undefined : contentDifference(path, stat.size, entry.sha256),
    entry.target === undefined || sys.readlink(path) === entry.target ? undefined : "symlink target differs",
    entry.entries === undefined ? undefined : listingDifference(path, entry.entries, identities),
    xattrDifference(path, entry.xattrs),
  ]
  return differences.filter((each) => each !== undefined)
}

function contentDifference(path: string, size: number, want: string): string | undefined {
  const fd = sys.open(path, sys.O.RDONLY)
  if (fd < 0) return `open: ${sys.errnoName(fd)}`
  const buffer = Buffer.alloc(size + 1)
  const got = sys.pread(fd, buffer, 0)
  sys.close(fd)
  if (got < 0) return `read: ${sys.errnoName(got)}`
  if (got !== size) return `read ${got} of ${size} bytes`
  return sha256(buffer.subarray(0, got)) === want ? undefined : `the ${size} bytes differ`
}

function listingDifference(
  path: string,
  want: readonly Listed[],
  identities: Identities,
): string | undefined {
  const entries = sys.readDirectory(path)
  if (typeof entries === "number") return `readdir: ${sys.errnoName(entries)}`
  return difference({ is: "listing", entries: want }, listed(entries), identities)
}

function xattrDifference(path: string, want: Readonly<Record<string, string>>): string | undefined {
  const names = sys.llistxattr(path)
  if (typeof names === "number") return `listxattr: ${sys.errnoName(names)}`
  const wanted = Object.keys(want).sort()
  if (names.join(" ") !== wanted.join(" "))
    return `xattrs are [${names.join(" ")}], want [${wanted.join(" ")}]`
  const wrong = names.find((name) => {
    const value = sys.lgetxattr(path, name)
    return typeof value === "number" || sha256(value) !== want[name]
  })
  return wrong === undefined ? undefined : `value of xattr ${wrong} differs`
}
