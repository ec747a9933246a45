/** Credentials of systemd (systemd-creds(1)): encrypted files, named as the credential, which it alone opens. */
import { readdirSync, statSync } from "node:fs"
import { basename, resolve } from "node:path"
import { Fault } from "../../../core/fault.ts"
import { outputOf } from "./program.ts"
import type { ForeignValue, ForeignValues } from "./value.ts"

/** Where units look for them. */
export const CREDENTIALS = "/etc/credstore.encrypted"
const SUFFIX = /\.cred$/

/** One credential, or all in a directory. Throws a `Fault` where systemd-creds does not open one. */
export function readCredentials(path: string): ForeignValues {
  const notes: string[] = []
  const values = filesAt(path).flatMap((file): ForeignValue[] => {
    const source = basename(file).replace(SUFFIX, "")
    const value = outputOf("systemd-creds", ["decrypt", `--name=${source}`, file, "-"], file)
    if (value.length > 0) return [{ source, value }]
    notes.push(`${source} is empty and was left out`)
    return []
  })
  return { values, notes }
}

function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [resolve(path)]
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => resolve(path, name))
      .sort()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
    throw new Fault("not-found", `there is no credential ${path}`, { cause })
  }
}
