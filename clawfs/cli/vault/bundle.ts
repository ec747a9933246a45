/** Bundles of secrets: made and opened by the vault's process, so that no value is in this one. */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs"
import { askPassphrase, readPassphraseFd, readPassphraseFile } from "../../../keyring/passphrase.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import type { KeySource } from "../../../keyring/slots.ts"
import type { ExportedSecrets, ImportedSecrets } from "../../../vault/service/bundle.ts"
import { memoryFile } from "../../sys/memory-file.ts"
import { UsageError } from "../command.ts"
import { Attachments, callVault } from "./client.ts"
import { descriptor } from "./people.ts"

export interface BundleValues {
  readonly "bundle-pass-file"?: string | undefined
  readonly "bundle-pass-fd"?: string | undefined
}

/** What the options say, or what is typed; `isNew`: for a bundle that is made, asked twice. The caller disposes of it. */
export function bundlePassphrase(values: BundleValues, isNew: boolean): KeySource {
  const { "bundle-pass-file": file, "bundle-pass-fd": fd } = values
  if (file !== undefined && fd !== undefined)
    throw new UsageError("--bundle-pass-file and --bundle-pass-fd exclude each other")
  if (file !== undefined) return readPassphraseFile(file)
  if (fd !== undefined) return readPassphraseFd(descriptor("--bundle-pass-fd", fd))
  return askPassphrase(`${isNew ? "new " : ""}passphrase of the bundle`, { twice: isNew })
}

/** A file in memory, for what is passed along: the vault's process waits for no other kind. */
function inMemory(): number {
  return memoryFile("clawfs-bundle")
}

/** A bundle of these secrets, or of all; `person`: who shows that he is there. */
export function exportBundle(
  directory: string,
  { person, passphrase, names }: { person: PersonSecret; passphrase: KeySource; names?: readonly string[] },
): { readonly bundle: Buffer } & ExportedSecrets {
  const file = inMemory()
  try {
    using attached = new Attachments()
    const given = { proof: attached.person(person), passphrase: attached.give(passphrase.secret) }
    const out = attached.fds.push(file) - 1
    const params = { ...given, out, ...(names === undefined ? {} : { names }) }
    const found = callVault(directory, "export", params, attached.fds) as ExportedSecrets
    const bundle = Buffer.alloc(fstatSync(file).size)
    for (let at = 0; at < bundle.length;) at += readSync(file, bundle, at, bundle.length - at, at)
    return { ...found, bundle }
  } finally {
    closeSync(file)
  }
}

export function importBundle(
  directory: string,
  { bundle, passphrase, replaces }: { bundle: Buffer; passphrase: KeySource; replaces: boolean },
): ImportedSecrets {
  const file = inMemory()
  try {
    for (let at = 0; at < bundle.length;) at += writeSync(file, bundle, at)
    using attached = new Attachments()
    const given = { passphrase: attached.give(passphrase.secret), from: attached.fds.push(file) - 1 }
    return callVault(directory, "import", { ...given, replaces }, attached.fds) as ImportedSecrets
  } finally {
    closeSync(file)
  }
}
