/** The files of tools and of what they are granted, opened so that names can't be exchanged on the way. */
import { closeSync, constants, fstatSync, readSync, statSync, type BigIntStats } from "node:fs"
import { createHash } from "node:crypto"
import { basename } from "node:path"
import type { ToolDefinition } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import { O_PATH, openExactly, openPath } from "../sys/beneath.ts"
import type { Grant } from "./plan.ts"

const MOST_KNOWN = 256
const CHUNK = 1024 * 1024

/** A directory of the mount that is open for as long as it is needed: longer, and the mount could not be unmounted. */
export function openRoot(mountpoint: string): number {
  return openPath(mountpoint, O_PATH | constants.O_DIRECTORY)
}

/** Hashes of files that have not changed since: the change time tells of everything that is written. */
export class Binaries {
  readonly #known = new Map<string, string>()

  /** Opens a tool's file and makes sure that it is the one that was installed. */
  open(root: number, definition: ToolDefinition): number {
    const { tool_id: name, version, binary_hash } = definition
    const path = Buffer.from(`tools/binaries/${basename(definition.binary_path)}`)
    const fd = openGranted(root, path, constants.O_RDONLY, `the binary of "${name}" ${version}`)
    try {
      if (this.#hashOf(fd) === binary_hash) return fd
    } catch (thrown) {
      closeSync(fd)
      throw thrown
    }
    closeSync(fd)
    throw new Fault("corrupt", `the binary of "${name}" ${version} is not what was installed`, {
      hint: `clawfs tool remove ${name}, then install it again`,
    })
  }

  #hashOf(fd: number): string {
    const key = identityOf(fstatSync(fd, { bigint: true }))
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const hash = createHash("sha256")
    const chunk = Buffer.alloc(CHUNK)
    for (let at = 0; ;) {
      const count = readSync(fd, chunk, 0, CHUNK, at)
      if (count === 0) break
      hash.update(chunk.subarray(0, count))
      at += count
    }
    const value = `sha256:${hash.digest("hex")}`
    if (this.#known.size === MOST_KNOWN) this.#known.clear()
    this.#known.set(key, value)
    return value
  }
}

function identityOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
}

/** What a capability names, as bubblewrap will bind it. */
export function openGrant(root: number, { access, path }: Grant): number {
  return openGranted(root, Buffer.from(path), O_PATH, `the granted path /clawfs/${path} (${access})`)
}

function openGranted(root: number, path: Buffer, flags: number, what: string): number {
  try {
    return openExactly(root, path, flags)
  } catch (cause) {
    const { kind } = cause as Fault
    if (kind === "not-found") throw new Fault("not-found", `${what} does not exist`, { cause })
    throw new Fault("denied", `${what} can't be opened: it leads through a link, or another mount is there`, {
      cause,
    })
  }
}

/** Throws when a standard descriptor is a directory: through it a tool would leave its sandbox. */
export function requireNoDirectory(stdio: readonly number[]): void {
  const at = stdio.findIndex((fd) => fstatSync(fd).isDirectory())
  if (at < 0) return
  throw new Fault("denied", `${["stdin", "stdout", "stderr"][at] ?? "a descriptor"} is a directory`)
}

/** Whether `fd` is the file at `path` of the mount. */
export function isSameFile(fd: number, path: string): boolean {
  const [a, b] = [fstatSync(fd, { bigint: true }), statSync(path, { bigint: true })]
  return a.dev === b.dev && a.ino === b.ino
}
