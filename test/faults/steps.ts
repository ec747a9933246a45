/**
 * The scripted session: one request a step, each with what it does to a model of the tree. A step that failed can be
 * asked again later, and steps that need what it makes wait for it.
 */
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { words, z } from "../unit/support/requests.ts"
import { ROOT, type Session } from "../unit/support/session.ts"

const O = Opcode
const KIB = 1024

export interface ModelFile {
  readonly contents: Buffer
  readonly xattrs: ReadonlyMap<string, string>
}

/** By path; a directory is undefined. */
export type Model = Map<string, ModelFile | undefined>

/** Nodes of the names that the session has made, as the kernel would know them. */
export type Nodes = Map<string, number>

export interface Step {
  readonly name: string
  /** 0, or a negative errno. */
  readonly ask: (session: Session, nodes: Nodes) => number
  readonly apply: (model: Model) => void
}

const EMPTY: ModelFile = { contents: Buffer.alloc(0), xattrs: new Map() }

function fileOf(model: Model, path: string): ModelFile {
  return model.get(path) ?? EMPTY
}

function split(path: string): [directory: string, name: string] {
  const at = path.lastIndexOf("/")
  return at < 0 ? ["", path] : [path.slice(0, at), path.slice(at + 1)]
}

/** Of a directory or file that must be there. */
function node(nodes: Nodes, path: string): number {
  if (path === "") return ROOT
  const found = nodes.get(path)
  if (found === undefined) throw new Error(`${path} was not made`)
  return found
}

function noting(nodes: Nodes, path: string, made: number): number {
  if (made <= 0) return made
  nodes.set(path, made)
  return 0
}

export function mkdir(path: string): Step {
  const [parent, name] = split(path)
  return {
    name: `mkdir ${path}`,
    ask: (session, nodes) =>
      noting(nodes, path, session.entry(O.MKDIR, node(nodes, parent), [words(0o755, 0), z(name)])),
    apply: (model) => model.set(path, undefined),
  }
}

export function create(path: string): Step {
  const [parent, name] = split(path)
  const body = [words(0o100644, 0, 0, 0), z(name)]
  return {
    name: `create ${path}`,
    ask: (session, nodes) => noting(nodes, path, session.entry(O.MKNOD, node(nodes, parent), body)),
    apply: (model) => model.set(path, EMPTY),
  }
}

/** Bytes that differ from file to file, from place to place and from write to write. */
function bytesFor(path: string, offset: number, length: number, salt: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + offset + path.length * 13 + salt * 29) & 0xff))
}

function overwritten(old: Buffer, offset: number, data: Buffer): Buffer {
  const out = Buffer.alloc(Math.max(old.length, offset + data.length))
  old.copy(out)
  data.copy(out, offset)
  return out
}

let salt = 0

export function write(path: string, offset: number, length: number): Step {
  salt += 1
  const data = bytesFor(path, offset, length, salt)
  return {
    name: `write ${length} bytes at ${offset} of ${path}`,
    ask: (session, nodes) => session.write(node(nodes, path), offset, data),
    apply: (model) => {
      const file = fileOf(model, path)
      model.set(path, { ...file, contents: overwritten(file.contents, offset, data) })
    },
  }
}

export function truncate(path: string, size: number): Step {
  const FATTR_SIZE = 8
  const body = words(FATTR_SIZE, 0, 0n, BigInt(size), 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0)
  return {
    name: `truncate ${path} to ${size}`,
    ask: (session, nodes) => session.status(O.SETATTR, node(nodes, path), [body]),
    apply: (model) => {
      const file = fileOf(model, path)
      const contents = Buffer.alloc(size)
      file.contents.copy(contents)
      model.set(path, { ...file, contents })
    },
  }
}

const PUNCH = 3

/** fallocate(2): reserves, or with `mode` 3 punches a hole. */
export function allocate(path: string, mode: 0 | typeof PUNCH, offset: number, length: number): Step {
  const body = words(0n, BigInt(offset), BigInt(length), mode, 0)
  return {
    name: `fallocate ${mode} ${offset}+${length} of ${path}`,
    ask: (session, nodes) => session.status(O.FALLOCATE, node(nodes, path), [body]),
    apply: (model) => {
      const file = fileOf(model, path)
      const zeroes = Buffer.alloc(Math.max(0, Math.min(length, file.contents.length - offset)))
      const contents =
        mode === PUNCH
          ? overwritten(file.contents, offset, zeroes)
          : overwritten(file.contents, offset + length, Buffer.alloc(0))
      model.set(path, { ...file, contents })
    },
  }
}

export function setxattr(path: string, name: string, value: string): Step {
  const body = [words(value.length, 0, 0, 0), z(name), Buffer.from(value)]
  return {
    name: `setxattr ${name} of ${path}`,
    ask: (session, nodes) => session.status(O.SETXATTR, node(nodes, path), body),
    apply: (model) => {
      const file = fileOf(model, path)
      model.set(path, { ...file, xattrs: new Map([...file.xattrs, [name, value]]) })
    },
  }
}

export function rename(from: string, to: string): Step {
  const [[fromParent, fromName], [toParent, toName]] = [split(from), split(to)]
  return {
    name: `rename ${from} to ${to}`,
    ask: (session, nodes) => {
      const body = [words(BigInt(node(nodes, toParent))), z(fromName), z(toName)]
      const status = session.status(O.RENAME, node(nodes, fromParent), body)
      if (status === 0) {
        nodes.set(to, node(nodes, from))
        nodes.delete(from)
      }
      return status
    },
    apply: (model) => {
      model.set(to, model.get(from))
      model.delete(from)
    },
  }
}

export function unlink(path: string): Step {
  const [parent, name] = split(path)
  return {
    name: `unlink ${path}`,
    ask: (session, nodes) => {
      const status = session.status(O.UNLINK, node(nodes, parent), [z(name)])
      if (status !== 0) return status
      session.forget(node(nodes, path))
      nodes.delete(path)
      return status
    },
    apply: (model) => model.delete(path),
  }
}

export function copy(from: string, to: string, offset: number, length: number): Step {
  return {
    name: `copy_file_range ${from} to ${to}`,
    ask: (session, nodes) => {
      const target = BigInt(node(nodes, to))
      const body = words(0n, BigInt(offset), target, 0n, BigInt(offset), BigInt(length), 0n)
      return session.status(O.COPY_FILE_RANGE, node(nodes, from), [body])
    },
    apply: (model) => {
      const [source, file] = [fileOf(model, from), fileOf(model, to)]
      const data = source.contents.subarray(offset, offset + length)
      model.set(to, { ...file, contents: overwritten(file.contents, offset, data) })
    },
  }
}

export function fsync(path: string): Step {
  return {
    name: `fsync ${path}`,
    ask: (session, nodes) => session.status(O.FSYNC, node(nodes, path), [words(0n, 0, 0)]),
    apply: () => undefined,
  }
}

/** Work of the server between requests: a `Fault` of a full disk counts as that errno. */
export function housekeeping(name: string, work: (session: Session) => void): Step {
  return {
    name,
    ask: (session) => {
      work(session)
      return 0
    },
    apply: () => undefined,
  }
}

/** Everything that a store does, in an order that leaves dead bytes for the cleaner and a WAL to fold back. */
export function script(): Step[] {
  const pause = housekeeping("pause", (session) => void session.server.pause())
  const checkpoint = housekeeping("checkpoint", ({ server: { store } }) => {
    store.settle()
    store.checkpointInline()
  })
  return [
    mkdir("d"),
    create("d/small"),
    write("d/small", 0, 900),
    create("d/large"),
    write("d/large", 0, 200 * KIB),
    write("d/large", 200 * KIB, 100 * KIB),
    pause,
    write("d/large", 128 * KIB, 20 * KIB),
    write("d/large", 300 * KIB, 100),
    write("d/large", 300 * KIB + 100, 100),
    setxattr("d/small", "user.note", "n".repeat(3000)),
    create("d/more"),
    write("d/more", 0, 16 * KIB),
    write("d/more", 16 * KIB, 5 * KIB),
    fsync("d/more"),
    copy("d/large", "d/more", 128 * KIB, 64 * KIB),
    allocate("d/small", 0, 4 * KIB, 8 * KIB),
    allocate("d/large", PUNCH, 10 * KIB, 100 * KIB),
    checkpoint,
    truncate("d/large", 200 * KIB),
    rename("d/small", "d/renamed"),
    create("gone"),
    ...[0, 1, 2, 3, 4, 5].map((part) => write("gone", part * 200 * KIB, 200 * KIB)),
    pause,
    unlink("gone"),
    housekeeping("settle", (session) => session.server.settle()),
    write("d/large", 0, 50 * KIB),
    housekeeping("clean", (session) => {
      session.server.store.garbage.wantAll()
      session.server.store.clean(8 * 1024 * KIB)
      session.server.store.commit()
    }),
    ...Array.from({ length: 12 }, (_, i) => [create(`f${i}`), write(`f${i}`, 0, 3000)]).flat(),
    mkdir("e"),
    rename("d/renamed", "e/renamed"),
    checkpoint,
    write("e/renamed", 100, 100),
    fsync("e/renamed"),
  ]
}
