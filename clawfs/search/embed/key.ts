/** Where an endpoint's key comes from: a file, or the vault. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { VaultLink } from "../../api/vault-link.ts"
import { Fault, kindOfThrown } from "../../core/fault.ts"
import { pipe } from "../../sys/pipes.ts"

export interface KeySource {
  /** Read anew for each try, so that a changed key needs no restart. Throws a `Fault` that never has the key in it. */
  read(): Promise<string>
}

const LONGEST_KEY = 8192
const KEY = /^[\x21-\x7e]{1,8192}$/
const OTHERS = 0o077
const VAULT_TIMEOUT_SECONDS = 5

/** A file with nothing but the key, which nobody else may read. */
export function keyFromFile(path: string): KeySource {
  return { read: () => promised(() => readKey(path)) }
}

/**
 * A secret of the vault in `directory`, asked for anew for each request, so that each use stands in the audit and none follows a
 * revoked grant. It takes a grant to reveal (docs/SEARCH.md): the process that embeds is no part of the vault.
 */
export function keyFromVault(directory: string, name: string): KeySource {
  return { read: () => promised(() => askForKey(directory, name)) }
}

function promised(work: () => string): Promise<string> {
  return new Promise((resolve) => {
    resolve(work())
  })
}

function askForKey(directory: string, name: string): string {
  using link = VaultLink.connect(directory, VAULT_TIMEOUT_SECONDS)
  if (link === undefined)
    throw new Fault("locked", `the vault is locked, which has the key ${name}`, {
      hint: "clawfs vault unlock",
    })
  const [reading, writing] = pipe()
  try {
    link.request("get", { name, fd: 0 }, [writing])
    const bytes = Buffer.alloc(LONGEST_KEY + 1)
    const key = bytes.toString("utf8", 0, readSync(reading, bytes, 0, bytes.length, null)).trim()
    bytes.fill(0)
    if (!KEY.test(key)) throw new Fault("invalid", `the secret ${name} is no key for an endpoint`)
    return key
  } finally {
    closeSync(reading)
    closeSync(writing)
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
    if (!KEY.test(key)) throw new Fault("invalid", `the key file ${path} has no key in it`)
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
