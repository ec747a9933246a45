/** The directory of a store: what must be in it, and what must not before one is made. */
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"

export const META = "meta.db"
export const SEGMENTS = "segments"

export function requireStore(directory: string): void {
  const meta = join(directory, META)
  if (existsSync(meta) && existsSync(join(directory, SEGMENTS))) return
  if (!existsSync(directory)) {
    throw new Fault("not-found", `there is no store at ${directory}`, {
      hint: `make one: clawfs init ${directory}`,
    })
  }
  throw new Fault(
    "invalid",
    `${directory} is not a ClawFS store (no ${existsSync(meta) ? SEGMENTS : META} in it)`,
    {
      hint: "name the directory that clawfs init made",
    },
  )
}

export function requireEmpty(directory: string): void {
  const stat = statSync(directory, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) throw new Fault("invalid", `${directory} is not a directory`)
  if (existsSync(join(directory, META)))
    throw new Fault("exists", `${directory} already holds a ClawFS store`)
  if (readdirSync(directory).length > 0) {
    throw new Fault("not-empty", `${directory} is not empty`, { hint: "name a new or an empty directory" })
  }
}
