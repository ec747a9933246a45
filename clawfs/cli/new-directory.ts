/** Judges where a directory is to be made that must not lie in what it is about: a store, a backup. */
import { accessSync, constants, realpathSync, statSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { Fault } from "../core/fault.ts"
import { BACKUP_IDENTITY } from "../store/place.ts"
import { filesystemOf, isClawfs } from "../sys/clawfs-mounts.ts"
import { isStore } from "./store-files.ts"

export interface NewDirectory {
  /** Absolute, without symbolic links. */
  readonly path: string
  /** The first directory that has to be made on the way; undefined when all are there. */
  readonly firstNew: string | undefined
}

/** Where a `what` ("store", "backup") will lie. Throws a `Fault` if it can't lie there. */
export function placeOf(given: string, what: string): NewDirectory {
  const existing = nearestExisting(given)
  const missing = relative(existing, given)
  const above = realpathSync(existing)
  const path = missing === "" ? above : join(above, missing)
  const [first] = missing.split("/")
  refuseBadPlace(path, above, what)
  if (!statSync(above).isDirectory()) {
    const effect = missing === "" ? "" : `, so ${given} can't be made`
    throw new Fault("exists", `${above} is a file${effect}`, { hint: "name a new or an empty directory" })
  }
  // An existing store or a full directory gets its own message, whoever may write there.
  if (missing !== "" || !isStore(above)) requireWritable(above, path)
  return { path, firstNew: missing === "" || first === undefined ? undefined : join(above, first) }
}

function nearestExisting(path: string): string {
  let at = path
  while (!exists(at)) at = dirname(at)
  return at
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return false
    if (code === "EACCES") throw new Fault("denied", `no permission to reach ${path}`, { cause })
    throw cause
  }
}

function refuseBadPlace(path: string, above: string, what: string): void {
  const on = filesystemOf(above)
  if (isClawfs(on)) {
    throw new Fault(
      "invalid",
      `a ${what} can't lie on a ClawFS mount, and ${path} would (on ${on.mountpoint})`,
      {
        hint: "name a directory outside of the mount",
      },
    )
  }
  for (let at = dirname(path); at !== "/"; at = dirname(at)) {
    const around = isStore(at) ? "store" : exists(join(at, BACKUP_IDENTITY)) ? "backup" : undefined
    if (around === undefined) continue
    throw new Fault("invalid", `${path} would lie inside of the ${around} ${at}`, {
      hint: "name a directory outside of it",
    })
  }
}

function requireWritable(directory: string, path: string): void {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EROFS") {
      throw new Fault("read-only", `${path} would lie on a read-only filesystem`, {
        cause,
        hint: "name a directory on another one",
      })
    }
    throw new Fault("denied", `no permission to write in ${directory}`, {
      cause,
      hint: "name a directory of your own, or run this as root",
    })
  }
}
