/** `clawfs vault export`, `import`: secrets in a file, encrypted under a passphrase of its own. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from "node:fs"
import { writeWhole } from "../../tools/files.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { bundlePassphrase, exportBundle, importBundle } from "../vault/bundle.ts"
import { presentPerson } from "../vault/people.ts"

export const MOST_BUNDLE_BYTES = 96 * 1024 * 1024

export function exportToFile({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const [path = "", ...names] = operands
  if (existsSync(path)) throw new Fault("exists", `${path} exists`)
  using person = presentPerson(values)
  using passphrase = bundlePassphrase(values, true)
  const wanted = names.length === 0 ? {} : { names }
  const { bundle, secrets, expired } = exportBundle(directory, { person, passphrase, ...wanted })
  writeWhole(path, bundle, 0o600)
  if (values.json === true) terminal.out(JSON.stringify({ secrets, expired }, undefined, 2))
  else terminal.note(`${path} has ${secrets.length === 1 ? "a secret" : `${secrets.length} secrets`}`)
  noteExpired(expired, terminal)
  return expired.length === 0 ? ExitCode.OK : ExitCode.NO
}

export function noteExpired(expired: readonly string[], terminal: VaultAction["terminal"]): void {
  for (const name of expired)
    terminal.note(`${name} has expired and was left out: clawfs vault describe ${name} --expires 0`)
}

export function importFromFile({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const [path] = operands
  if (path === undefined) throw new UsageError("vault import: FILE is missing")
  const bundle = readBundle(path)
  using passphrase = bundlePassphrase(values, false)
  const found = importBundle(directory, { bundle, passphrase, replaces: values.replace === true })
  if (values.json === true) terminal.out(JSON.stringify(found, undefined, 2))
  else terminal.note(`secrets: ${found.stored.length} stored, ${found.same.length} were there`)
  noteKept(found.kept, terminal)
  return found.kept.length === 0 ? ExitCode.OK : ExitCode.NO
}

export function noteKept(kept: readonly string[], terminal: VaultAction["terminal"]): void {
  for (const name of kept)
    terminal.note(`the vault has another value of ${name}, which was kept; --replace replaces it`)
}

function readBundle(path: string): Buffer {
  const fd = openSync(path, "r")
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > MOST_BUNDLE_BYTES)
      throw new Fault("corrupt", `${path} is no bundle of secrets`)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}
