/** What operations do to the contents and extended attributes of the nodes in memory. */
import { E, FALLOC, O, XATTR } from "../helpers/sys.ts"
import { done, error, type Outcome } from "./outcome.ts"
import { pattern } from "./random.ts"
import type { TreeOperation } from "./tree-ops.ts"
import type { Node } from "./tree.ts"

type Of<K extends TreeOperation["op"]> = Extract<TreeOperation, { op: K }>

export interface Opened {
  readonly node: Node
  readonly flags: number
}

export const accessOf = (flags: number): number => flags & 3

export function resize(node: Node, size: number): void {
  const data = Buffer.alloc(size)
  node.data.copy(data, 0, 0, Math.min(size, node.data.length))
  node.data = data
  node.mtime = undefined
}

export function put(node: Node, at: number, data: Buffer): void {
  const size = Math.max(node.data.length, at + data.length)
  if (size > node.data.length) resize(node, size)
  data.copy(node.data, at)
  node.mtime = undefined
}

export function write({ node, flags }: Opened, at: number, data: Buffer): Outcome {
  if (accessOf(flags) === O.RDONLY) return error(E.EBADF)
  put(node, (flags & O.APPEND) === 0 ? at : node.data.length, data)
  return { is: "done", count: data.length }
}

export function onBytes(
  opened: Opened,
  operation: Of<"write" | "read" | "fallocate" | "seek" | "sync">,
): Outcome {
  const { node, flags } = opened
  switch (operation.op) {
    case "write":
      return write(opened, operation.at, pattern(operation.seed, operation.length))
    case "read":
      if (accessOf(flags) === O.WRONLY) return error(E.EBADF)
      if (node.kind === "fifo") return error(E.ESPIPE)
      if (node.kind === "dir") return error(E.EISDIR)
      node.atime = undefined
      return { is: "bytes", bytes: node.data.subarray(operation.at, operation.at + operation.length) }
    case "fallocate":
      return fallocate(opened, operation)
    case "seek":
      if (node.kind !== "file") return error(E.EINVAL)
      return { is: "seekable", content: node.data, at: operation.at }
    case "sync":
      return node.kind === "fifo" ? error(E.EINVAL) : done
  }
}

function fallocate({ node, flags }: Opened, { mode, at, length }: Of<"fallocate">): Outcome {
  if (accessOf(flags) === O.RDONLY) return error(E.EBADF)
  const end = at + length
  if ((mode & FALLOC.KEEP_SIZE) === 0 && end > node.data.length) resize(node, end)
  if ((mode & (FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE)) !== 0) {
    node.data.fill(0, Math.min(at, node.data.length), Math.min(end, node.data.length))
  }
  node.mtime = undefined
  return done
}

export function onXattrs(
  node: Node,
  operation: Of<"setxattr" | "getxattr" | "listxattr" | "removexattr">,
): Outcome {
  if (operation.op === "listxattr") return { is: "text", text: [...node.xattrs.keys()].sort().join(" ") }
  const { name } = operation
  const isForeign = name.startsWith("user.") && node.kind !== "file" && node.kind !== "dir"
  if (isForeign) return error(operation.op === "getxattr" ? E.ENODATA : E.EPERM)
  if (name.startsWith("bogus.")) return error(E.EOPNOTSUPP)
  const value = node.xattrs.get(name)
  switch (operation.op) {
    case "setxattr":
      if (value !== undefined && operation.flags === XATTR.CREATE) return error(E.EEXIST)
      if (value === undefined && operation.flags === XATTR.REPLACE) return error(E.ENODATA)
      node.xattrs.set(name, pattern(operation.seed, operation.length))
      return done
    case "getxattr":
      if (value === undefined) return error(E.ENODATA)
      return value.length > operation.capacity ? error(E.ERANGE) : { is: "bytes", bytes: value }
    case "removexattr":
      return node.xattrs.delete(name) ? done : error(E.ENODATA)
  }
}
