/** Which mount a command is about that names none, or names a directory. */
import { Fault } from "../core/fault.ts"
import { clawfsMounts, filesystemOf, isClawfs } from "../sys/clawfs-mounts.ts"
import { inside, type Inside } from "./inside.ts"

/** The root of a filesystem as a parameter of the control socket. */
const ROOT = Buffer.from("/").toString("base64")

/**
 * What `directory` names; without one, all of the mount that the current directory lies on, or else of the only one that
 * there is. Throws `Fault("not-found")` with what to do; `choice`: when there are several.
 */
export function mountHere(
  directory: string | undefined,
  choice = "name a directory on the one that is meant",
): Inside {
  if (directory !== undefined) return inside(directory)
  const here = filesystemOf(process.cwd())
  const [first, ...others] = isClawfs(here) ? [here] : clawfsMounts()
  if (first === undefined)
    throw new Fault("not-found", "no ClawFS is mounted", { hint: "clawfs mount STORE MOUNTPOINT" })
  if (others.length > 0) throw new Fault("not-found", "there are several ClawFS mounts", { hint: choice })
  return { store: first.source, mountpoint: first.mountpoint, path: ROOT }
}
