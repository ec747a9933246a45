/** Where in a mounted filesystem something is that a user names by its path. */
import { realpathSync } from "node:fs"
import { resolve } from "node:path"
import { Fault } from "../core/fault.ts"
import { filesystemOf, isClawfs } from "../sys/clawfs-mounts.ts"

export interface Inside {
  /** Directory of the store. */
  readonly store: string
  readonly mountpoint: string
  /** From the root of the filesystem, bytes in base64: a parameter of the control socket. */
  readonly path: string
}

/** Resolves links. Throws `Fault("not-found")` for what does not exist, or lies on no ClawFS. */
export function inside(given: string): Inside {
  const real = realpathSync.native(given, "buffer")
  return placed(given, real)
}

/** As `inside`, for a name that need not exist yet in a directory that does. */
export function insideNew(given: string): Inside {
  const path = resolve(given)
  const cut = path.lastIndexOf("/")
  const name = path.slice(cut + 1)
  if (name === "") throw new Fault("invalid", `${given} can't be made`)
  const parent = realpathSync.native(path.slice(0, cut) || "/", "buffer")
  return placed(given, Buffer.concat([parent, Buffer.from(`/${name}`)]))
}

function placed(given: string, real: Buffer): Inside {
  const entry = filesystemOf(real.toString())
  if (!isClawfs(entry)) {
    throw new Fault("not-found", `${given} does not lie on a mounted ClawFS`, {
      hint: "clawfs status shows what is mounted",
    })
  }
  const rest = real.subarray(Buffer.byteLength(entry.mountpoint))
  const path = rest.length === 0 ? Buffer.from("/") : rest
  return { store: entry.source, mountpoint: entry.mountpoint, path: path.toString("base64") }
}
