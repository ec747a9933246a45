/** The tree as a server shows it, compared with the model of what it had acknowledged. */
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { firstDifference } from "../unit/support/compare.ts"
import { unpack, words, z } from "../unit/support/requests.ts"
import { KILLED } from "../unit/support/server.ts"
import { ROOT, type Session } from "../unit/support/session.ts"
import type { Model, ModelFile } from "./steps.ts"

const O = Opcode
const DIRECTORY = 4
const READ_MAX = 128 * 1024
const NODE_AT = 0
const SIZE_AT = 48

function ask(session: Session, opcode: number, node: number, bodies: readonly Buffer[]): Buffer {
  const answer = session.server.send(session.make(opcode, node, bodies))
  if (answer === KILLED || answer === undefined) throw new Error("no answer")
  if (answer.error !== 0) throw new Error(`opcode ${opcode} of node ${node} fails: ${answer.error}`)
  return answer.payload
}

function contentsOf(session: Session, node: number, size: number): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < size; at += READ_MAX)
    parts.push(ask(session, O.READ, node, [words(0n, BigInt(at), READ_MAX, 0, 0n, 0, 0)]))
  return Buffer.concat(parts)
}

function xattrsOf(session: Session, node: number): Map<string, string> {
  const names = ask(session, O.LISTXATTR, node, [words(65_536, 0)])
    .toString("latin1")
    .split("\0")
    .filter((name) => name !== "")
  return new Map(
    names.map((name) => [name, ask(session, O.GETXATTR, node, [words(65_536, 0), z(name)]).toString()]),
  )
}

function treeOf(session: Session, directory = ROOT, prefix = ""): Model {
  const tree: Model = new Map()
  const listing = ask(session, O.READDIR, directory, [words(0n, 0n, 100_000, 0, 0n, 0, 0)])
  for (const { name, type } of unpack(listing, false)) {
    if (name === "." || name === "..") continue
    const entry = ask(session, O.LOOKUP, directory, [z(name)])
    const node = Number(entry.readBigUInt64LE(NODE_AT))
    if (type === DIRECTORY) {
      tree.set(prefix + name, undefined)
      for (const [path, file] of treeOf(session, node, `${prefix}${name}/`)) tree.set(path, file)
    } else tree.set(prefix + name, fileOf(session, node, Number(entry.readBigUInt64LE(SIZE_AT))))
    session.forget(node)
  }
  return tree
}

function fileOf(session: Session, node: number, size: number): ModelFile {
  return { contents: contentsOf(session, node, size), xattrs: xattrsOf(session, node) }
}

/** A line for each path that is not as the model has it. */
export function differences(session: Session, model: Model): string[] {
  const tree = treeOf(session)
  const lines = [...model.keys()].filter((path) => !tree.has(path)).map((path) => `${path} is missing`)
  for (const [path, file] of tree) {
    if (!model.has(path)) lines.push(`${path} is there and should not be`)
    else lines.push(...different(path, file, model.get(path)))
  }
  return lines
}

function different(path: string, found: ModelFile | undefined, wanted: ModelFile | undefined): string[] {
  if (found === undefined || wanted === undefined) return found === wanted ? [] : [`${path} has another type`]
  const lines: string[] = []
  const at = firstDifference(found.contents, wanted.contents)
  if (at >= 0)
    lines.push(`${path} differs at ${at} (${found.contents.length}/${wanted.contents.length} bytes)`)
  const [have, want] = [found, wanted].map(({ xattrs }) => JSON.stringify([...xattrs].sort()))
  if (have !== want) lines.push(`${path} has other xattrs`)
  return lines
}
