/** What a load's directory looked like after each step of its plan, as digests of its files. */
import { createHash } from "node:crypto"
import { pattern } from "../model/random.ts"
import type { Step } from "./plan.ts"

/** Names below the load's directory, "" for itself, each with what it holds. */
export type Picture = ReadonlyMap<string, string>

export const DIRECTORY = "directory"

export const digest = (bytes: Buffer): string =>
  `${bytes.length} bytes ${createHash("sha1").update(bytes).digest("hex").slice(0, 16)}`

/** `pictures[n]` is what `n` steps have made. */
export function picturesOf(steps: readonly Step[]): Picture[] {
  const files = new Map<string, Buffer>()
  const pictures: Picture[] = [new Map()]
  for (const step of steps) {
    const next = new Map(pictures.at(-1))
    apply(step, files, next)
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
  const files = new Map<string, Buffer>()
  for (const each of steps.slice(0, done)) apply(each, files, new Map())
  const before = files.get(path) ?? Buffer.alloc(0)
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

function apply(step: Step, files: Map<string, Buffer>, picture: Map<string, string>): void {
  const put = (path: string, bytes: Buffer): void => {
    files.set(path, bytes)
    picture.set(path, digest(bytes))
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
      files.delete(step.path)
      picture.delete(step.path)
      return
    case "unlink":
      files.delete(step.path)
      picture.delete(step.path)
      return
    case "fsync":
    case "pause":
    case "kill":
  }
}
