/**
 * `workspaces/<ws>/snapshots`, where the specification has them (P1.4 §1.2): a directory with a link for each snapshot that
 * shows the workspace, its own or one of a directory above. It is there as long as there is one and nothing else of that
 * name; listings leave it out, so that `find`, `rm -r` and backups don't fall in. The path decides, as for restoring.
 */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { E, OK, type Result, type Status } from "../core/errno.ts"
import type { InHeader } from "../fuse/abi.ts"
import type { DirentPacker } from "../fuse/dirent.ts"
import { S_IFDIR, S_IFLNK, type Inode } from "../store/inode.ts"
import type { Snapshot } from "../store/snapshots.ts"
import type { Environment } from "./environment.ts"
import { SNAPSHOTS } from "./hidden.ts"
import { namesOf } from "./path.ts"
import { VirtualDirectory, VirtualLink, type VirtualNode, type VirtualNodes } from "./virtual.ts"

const WORKSPACES = Buffer.from("workspaces")
const NAME = Buffer.from("snapshots")
/** From `workspaces/WS/snapshots/` to the root. */
const UP = Buffer.from("../../../")
const SLASH = Buffer.from("/")
const NOBODYS = { uid: 0, gid: 0 }
const FIRST_LINK = 2

export class SnapshotLinks extends VirtualDirectory {
  readonly workspace: NodeId

  constructor(ino: NodeId, workspace: NodeId) {
    super(ino, 0o555)
    this.workspace = workspace
  }
}

export class WorkspaceSnapshots {
  readonly #env: Environment
  readonly #nodes: VirtualNodes
  /** By the workspace: what the kernel holds stays the same directory. */
  readonly #directories = new Map<NodeId, SnapshotLinks>()

  constructor(env: Environment, nodes: VirtualNodes) {
    this.#env = env
    this.#nodes = nodes
    nodes.onForgotten((node) => {
      if (node instanceof SnapshotLinks) this.#directories.delete(node.workspace)
    })
  }

  /** Whether `name` in `directory` may be there at the next look, without anybody having made it. */
  comesAndGoes(directory: NodeId, name: Buffer): boolean {
    return this.#nodes.get(directory) instanceof SnapshotLinks || this.#isPlace(directory, name)
  }

  /** Whether a directory of snapshots is shown under this name, at which the store has nothing. */
  isShown(directory: NodeId, name: Buffer): boolean {
    return this.#isPlace(directory, name) && this.#targets(directory).size > 0
  }

  /** A name in a directory of snapshots, or such a directory itself; ENOENT for any other name. */
  lookup(directory: NodeId, name: Buffer): Result<VirtualNode> {
    const node = this.#nodes.get(directory)
    if (node instanceof SnapshotLinks) {
      const target = this.#targets(node.workspace).get(name.toString("latin1"))
      return target === undefined ? E.ENOENT : this.#nodes.give(this.#link(target))
    }
    if (!this.isShown(directory, name)) return E.ENOENT
    const links =
      this.#directories.get(directory) ?? this.#nodes.make((ino) => new SnapshotLinks(ino, directory))
    this.#directories.set(directory, links)
    return this.#nodes.give(links)
  }

  /** Undefined: the node is no directory of snapshots. */
  readdir({ node }: InHeader, cookie: number, packer: DirentPacker): Status | undefined {
    const directory = this.#nodes.get(node)
    if (!(directory instanceof SnapshotLinks)) return undefined
    const type = S_IFDIR >>> 12
    if (cookie < 1 && !packer.add(Buffer.from("."), node, type, 1, undefined, 0)) return OK
    if (cookie < FIRST_LINK && !packer.add(Buffer.from(".."), directory.workspace, type, 2, undefined, 0))
      return OK
    // The inode number is the cookie: one that is deleted moves none of the others.
    for (const [name, { root, path }] of this.#targets(directory.workspace)) {
      if (root <= cookie) continue
      const link = this.#link({ root, path })
      const attr = packer.plus ? link : undefined
      if (!packer.add(Buffer.from(name, "latin1"), link.ino, S_IFLNK >>> 12, root, attr, 0)) return OK
      if (packer.plus) this.#nodes.give(link)
    }
    return OK
  }

  #link({ path }: Target): VirtualLink {
    return this.#nodes.make((ino) => new VirtualLink(ino, path, new Map(), NOBODYS))
  }

  #isPlace(directory: NodeId, name: Buffer): boolean {
    return name.equals(NAME) && this.#pathOf(directory) !== undefined
  }

  /** `["workspaces", name]` of a workspace; undefined for anything else, and where the names are locked. */
  #pathOf(node: NodeId): [Buffer, Buffer] | undefined {
    const { inodes, dentries, sealing } = this.#env.store
    const [workspace, root] = [inodes.get(node), inodes.get(ROOT_NODE)]
    if (workspace?.isDirectory !== true || root === undefined || workspace.nlink === 0) return undefined
    const all = inodes.get(workspace.parent)
    if (all?.parent !== ROOT_NODE || sealing.isLocked(all) || sealing.isLocked(root)) return undefined
    if (dentries.find(ROOT_NODE, WORKSPACES)?.ino !== all.ino) return undefined
    const name = dentries.nameOf(all.ino, node)
    return name === undefined ? undefined : [WORKSPACES, name]
  }

  /** What the links lead to, oldest snapshot first. */
  #targets(workspace: NodeId): Map<string, Target> {
    const place = this.#pathOf(workspace)
    if (place === undefined) return new Map()
    const targets = this.#env.store.snapshots.all().flatMap((snapshot): [string, Target][] => {
      const base = namesOf(snapshot.path)
      const isAbove = base.length <= place.length && base.every((name, i) => place[i]?.equals(name) === true)
      const rest = place.slice(base.length)
      if (!isAbove || !this.#has(snapshot, rest)) return []
      const path = [SNAPSHOTS, Buffer.from(snapshot.name), ...rest].flatMap((name) => [SLASH, name]).slice(1)
      return [[snapshot.name, { root: snapshot.root, path: Buffer.concat([UP, ...path]) }]]
    })
    return new Map(targets.sort(([, a], [, b]) => a.root - b.root))
  }

  /** Whether the snapshot has a directory at `names`. */
  #has({ root }: Snapshot, names: readonly Buffer[]): boolean {
    const { inodes, dentries, sealing } = this.#env.store
    let at: Inode | undefined = inodes.get(root)
    for (const name of names) {
      const found = at === undefined || sealing.isLocked(at) ? undefined : dentries.find(at.ino, name)
      at = found === undefined ? undefined : inodes.get(found.ino)
    }
    return at?.isDirectory === true
  }
}

interface Target {
  /** Inode number of the snapshot's top: always higher than those of the snapshots before. */
  readonly root: number
  /** From the directory of the links. */
  readonly path: Buffer
}
