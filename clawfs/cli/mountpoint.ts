/** Finds what a user calls a mount point, without touching what is mounted there: a dead or stopped daemon must not stop us. */
import { lstatSync, readlinkSync, realpathSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { isClawfs } from "../sys/clawfs-mounts.ts"
import { mountAt, type MountEntry } from "../sys/mountinfo.ts"

const MOST_LINKS = 40

export interface Place {
  /** Absolute, without symbolic links. It may not exist. */
  readonly path: string
  /** The topmost mount there. */
  readonly entry: MountEntry | undefined
}

export function locate(given: string): Place {
  let path = resolve(given)
  for (let links = 0; links < MOST_LINKS; links += 1) {
    // Only the part above the last name is resolved by the kernel.
    const real = path === "/" ? path : join(realParent(path), basename(path))
    const entry = mountAt(real)
    if (isClawfs(entry)) return { path: real, entry }
    if (lstatSync(real, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return { path: real, entry }
    path = resolve(dirname(real), readlinkSync(real))
  }
  return { path, entry: undefined }
}

/** Where the directory above is missing or closed to us, the path is taken as given: whoever uses it gets the error. */
function realParent(path: string): string {
  try {
    return realpathSync(dirname(path))
  } catch {
    return dirname(path)
  }
}
