/** Where an endpoint's key comes from. A file for now; the vault gives keys through the same port. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { Fault, kindOfThrown } from "../../core/fault.ts"

export interface KeySource {
  /** Read anew for each try, so that a changed key needs no restart. Throws a `Fault` that never has the key in it. */
  read(): Promise<string>
}

const LONGEST_KEY = 8192
const OTHERS = 0o077

/** A file with nothing but the key, which nobody else may read. */
export function keyFromFile(path: string): KeySource {
  return {
    read() {
      try {
        return Promise.resolve(readKey(path))
      } catch (thrown) {
        return Promise.reject(thrown instanceof Error ? thrown : new Error(String(thrown)))
      }
    },
  }
}

function readKey(path: string): string {
  const descriptor = opened(path)
  try {
    const { mode, uid } = fstatSync(descriptor)
    if ((mode & OTHERS) !== 0)
      throw new Fault("denied", `the key file ${path} can be read by others`, { hint: `chmod 600 ${path}` })
    if (uid !== process.geteuid?.() && uid !== 0)
      throw new Fault("denied", `the key file ${path} belongs to somebody else`)
    const bytes = Buffer.alloc(LONGEST_KEY + 1)
    const key = bytes.toString("utf8", 0, readSync(descriptor, bytes)).trim()
    if (!/^[\x21-\x7e]{1,8192}$/.test(key))
      throw new Fault("invalid", `the key file ${path} has no key in it`)
    return key
  } finally {
    closeSync(descriptor)
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "r")
  } catch (cause) {
    throw new Fault(kindOfThrown(cause), `the key file ${path} can't be read`, { cause })
  }
}
