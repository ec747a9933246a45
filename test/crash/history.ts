/** What a load's directory looked like after each step of its plan, as digests of its files. */
import { createHash } from "node:crypto"
import { present } from "../../clawfs/core/assert.ts"
import { pattern } from "../model/random.ts"
import type { Step } from "./draft.ts"

/**
 * Names below the load's directory, "" for itself, each with what it holds; "@NAME" and "@NAME/…" for snapshots; and in the
 * same way `KEY` and `LIMITS` of the directory.
 */
export type Picture = ReadonlyMap<string, string>

export const DIRECTORY = "directory"
export const KEY = "@key"
export const LIMITS = "@limits"

export const digest = (bytes: Buffer): string =>
  `${bytes.length} bytes ${createHash("sha1").update(bytes).digest("hex").slice(0, 16)}`
export const keyFile = (number: number): string => `opened by key file ${number}`
export const limited = (bytes: number, inodes: number): string => `${bytes} bytes, ${inodes} inodes`

/** Buffers are never written to: a snapshot has those of its moment. */
interface Contents {
  readonly files: Map<string, Buffer>
  readonly snapshots: Map<string, ReadonlyMap<string, Buffer>>
}

const nothing = (): Contents => ({ files: new Map(), snapshots: new Map() })

/** `pictures[n]` is what `n` steps have made. */
export function picturesOf(steps: readonly Step[]): Picture[] {
  const contents = nothing()
  const pictures: Picture[] = [new Map()]
  for (const step of steps) {
    const next = new Map(pictures.at(-1))
    apply(step, contents, next)
    pictures.push(next)
  }
  return pictures
}

/** Whether `bytes` are what the file has when the write that comes after `done` steps has got to the end of some page. */
export function isPartOf(
  steps: readonly Step[],
  done: number,
  path: string,
  bytes: Buffer | undefined,
): boolean {
  const step = steps[done]
  if (step?.op !== "write" || step.path !== path || bytes === undefined) return false
  const contents = nothing()
  for (const each of steps.slice(0, done)) apply(each, contents, new Map())
  const before = contents.files.get(path) ?? Buffer.alloc(0)
  const data = pattern(step.seed, step.length)
  for (let end = PAGE * Math.ceil((step.at + 1) / PAGE); end < step.at + step.length; end += PAGE) {
    const between = Buffer.alloc(Math.max(before.length, end))
    before.copy(between)
    data.copy(between, step.at, 0, end - step.at)
    if (between.equals(bytes)) return true
  }
  return false
}

const PAGE = 4096

function apply(step: Step, { files, snapshots }: Contents, picture: Map<string, string>): void {
  const put = (path: string, bytes: Buffer): void => {
    files.set(path, bytes)
    picture.set(path, digest(bytes))
  }
  const drop = (path: string): void => {
    files.delete(path)
    picture.delete(path)
  }
  switch (step.op) {
    case "mkdir":
      picture.set(step.path, DIRECTORY)
      return
    case "create":
      put(step.path, Buffer.alloc(0))
      return
    case "write": {
      const old = files.get(step.path) ?? Buffer.alloc(0)
      const bytes = Buffer.alloc(Math.max(old.length, step.at + step.length))
      old.copy(bytes)
      pattern(step.seed, step.length).copy(bytes, step.at)
      put(step.path, bytes)
      return
    }
    case "truncate": {
      const bytes = Buffer.alloc(step.size)
      files.get(step.path)?.copy(bytes, 0, 0, step.size)
      put(step.path, bytes)
      return
    }
    case "rename":
      put(step.to, files.get(step.path) ?? Buffer.alloc(0))
      drop(step.path)
      return
    case "unlink":
      drop(step.path)
      return
    case "snapshot":
      snapshots.set(step.name, new Map(files))
      picture.set(`@${step.name}`, DIRECTORY)
      for (const [path, bytes] of files) picture.set(`@${step.name}/${path}`, digest(bytes))
      return
    case "deleteSnapshot":
      picture.delete(`@${step.name}`)
      for (const path of present(snapshots.get(step.name), "snapshot").keys())
        picture.delete(`@${step.name}/${path}`)
      snapshots.delete(step.name)
      return
    case "restore":
      for (const path of [...files.keys()]) drop(path)
      for (const [path, bytes] of present(snapshots.get(step.name), "snapshot")) put(path, bytes)
      return
    case "encrypt":
      picture.set(KEY, keyFile(step.key))
      return
    case "rekey":
      picture.set(KEY, keyFile(step.to))
      return
    case "limit":
      picture.set(LIMITS, limited(step.bytes, step.inodes))
      return
    case "unlimit":
      picture.delete(LIMITS)
      return
    case "relock":
    case "refused":
    case "clean":
    case "fsync":
    case "pause":
    case "kill":
  }
}
