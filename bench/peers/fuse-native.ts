/**
 * The peer "fuse-native": a filesystem in memory on the npm package of that name (libfuse 2, path based), as simple
 * as that package allows. Usage: node fuse-native.js MOUNTPOINT PACKAGE_JSON. Ends with SIGTERM.
 */
import { createRequire } from "node:module"

interface Attributes {
  mtime: Date
  atime: Date
  ctime: Date
  nlink: number
  size: number
  mode: number
  uid: number
  gid: number
}

interface FuseNative {
  mount(done: (error: Error | null) => void): void
  unmount(done: (error: Error | null) => void): void
}

type FuseNativeClass = new (
  mountpoint: string,
  operations: Operations,
  options: { readonly force: boolean; readonly mkdir: boolean },
) => FuseNative

type Reply<T extends unknown[] = []> = (code: number, ...result: T) => void
type Operations = Record<string, (...args: never[]) => void>

interface Node {
  attributes: Attributes
  bytes: Buffer
  readonly children: Map<string, Node> | undefined
}

const [mountpoint = "", packageJson = ""] = process.argv.slice(2)
const Fuse = createRequire(packageJson)("fuse-native") as FuseNativeClass

const ENOENT = -2
const EEXIST = -17
const EISDIR = -21
const ENOTEMPTY = -39
const directory = 0o040000

function node(mode: number): Node {
  const now = new Date()
  const isDirectory = (mode & 0o170000) === directory
  return {
    attributes: {
      mtime: now,
      atime: now,
      ctime: now,
      nlink: isDirectory ? 2 : 1,
      size: 0,
      mode,
      uid: 0,
      gid: 0,
    },
    bytes: Buffer.alloc(0),
    children: isDirectory ? new Map() : undefined,
  }
}

const tree = node(directory | 0o755)

function find(path: string): Node | undefined {
  let at: Node | undefined = tree
  for (const name of path.split("/")) if (name !== "") at = at?.children?.get(name)
  return at
}

function parentOf(path: string): { children: Map<string, Node>; name: string } | undefined {
  const slash = path.lastIndexOf("/")
  const children = find(path.slice(0, slash))?.children
  return children ? { children, name: path.slice(slash + 1) } : undefined
}

function add(path: string, mode: number): number {
  const parent = parentOf(path)
  if (!parent) return ENOENT
  if (parent.children.has(parent.name)) return EEXIST
  parent.children.set(parent.name, node(mode))
  return 0
}

function remove(path: string): number {
  const parent = parentOf(path)
  const children = parent?.children.get(parent.name)?.children
  if (children && children.size > 0) return ENOTEMPTY
  return parent?.children.delete(parent.name) ? 0 : ENOENT
}

function resize(file: Node, size: number): void {
  if (size > file.bytes.length) {
    const larger = Buffer.alloc(Math.max(size, file.bytes.length * 2))
    file.bytes.copy(larger)
    file.bytes = larger
  } else {
    file.bytes.fill(0, size, Math.max(size, file.attributes.size))
  }
  file.attributes.size = size
}

function change(path: string, reply: Reply, how: (file: Node) => void): void {
  const file = find(path)
  if (!file) {
    reply(ENOENT)
    return
  }
  how(file)
  file.attributes.ctime = new Date()
  reply(0)
}

const statfs = { bsize: 4096, frsize: 4096, blocks: 1 << 24, bfree: 1 << 23, bavail: 1 << 23, files: 1 << 20 }

const operations: Operations = {
  getattr: (path: string, reply: Reply<[Attributes?]>) => {
    const attributes = find(path)?.attributes
    if (attributes) reply(0, attributes)
    else reply(ENOENT)
  },
  readdir: (path: string, reply: Reply<[string[]?]>) => {
    const children = find(path)?.children
    if (children) reply(0, [...children.keys()])
    else reply(ENOENT)
  },
  open: (path: string, _flags: number, reply: Reply<[number?]>) => {
    if (find(path)) reply(0, 0)
    else reply(ENOENT)
  },
  release: (_path: string, _handle: number, reply: Reply) => reply(0),
  fsync: (_path: string, _dataOnly: boolean, _handle: number, reply: Reply) => reply(0),
  create: (path: string, mode: number, reply: Reply<[number?]>) => reply(add(path, mode), 0),
  read: (path: string, _handle: number, into: Buffer, length: number, position: number, reply: Reply) => {
    const file = find(path)
    if (!file) reply(ENOENT)
    else reply(file.bytes.copy(into, 0, position, Math.min(file.attributes.size, position + length)))
  },
  write: (path: string, _handle: number, from: Buffer, length: number, position: number, reply: Reply) => {
    const file = find(path)
    if (!file || file.children) {
      reply(file ? EISDIR : ENOENT)
      return
    }
    if (position + length > file.attributes.size) resize(file, position + length)
    from.copy(file.bytes, position, 0, length)
    file.attributes.mtime = new Date()
    reply(length)
  },
  truncate: (path: string, size: number, reply: Reply) => change(path, reply, (file) => resize(file, size)),
  unlink: (path: string, reply: Reply) => reply(remove(path)),
  rmdir: (path: string, reply: Reply) => reply(remove(path)),
  mkdir: (path: string, mode: number, reply: Reply) => reply(add(path, directory | mode)),
  rename: (from: string, to: string, reply: Reply) => {
    const source = parentOf(from)
    const target = parentOf(to)
    const moved = source?.children.get(source.name)
    if (!source || !target || !moved) {
      reply(ENOENT)
      return
    }
    source.children.delete(source.name)
    target.children.set(target.name, moved)
    reply(0)
  },
  utimens: (path: string, atime: Date, mtime: Date, reply: Reply) =>
    change(path, reply, (file) => Object.assign(file.attributes, { atime, mtime })),
  chmod: (path: string, mode: number, reply: Reply) =>
    change(path, reply, (file) => {
      file.attributes.mode = (file.attributes.mode & 0o170000) | (mode & 0o7777)
    }),
  chown: (path: string, uid: number, gid: number, reply: Reply) =>
    change(path, reply, (file) => Object.assign(file.attributes, { uid, gid })),
  statfs: (_path: string, reply: Reply<[object]>) =>
    reply(0, { ...statfs, ffree: 1 << 19, favail: 1 << 19, namemax: 255 }),
}

const fuse = new Fuse(mountpoint, operations, { force: true, mkdir: true })
fuse.mount((error) => {
  if (error) throw error
})
process.on("SIGTERM", () => {
  fuse.unmount(() => process.exit())
})
