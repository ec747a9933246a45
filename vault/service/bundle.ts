/** Secrets that leave the vault in a bundle, and those that come in one. Values never leave the vault's process in the clear. */
import { fstatSync, readSync, writeSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import type { BundledSecret } from "../../schema/secrets-bundle.ts"
import type { Subject } from "../audit.ts"
import { MOST_BUNDLE_BYTES, openBundle, sealBundle } from "../bundle.ts"
import { isExpired, type Metadata } from "../metadata.ts"
import type { Vault } from "../vault.ts"
import { requireMemory } from "./descriptors.ts"
import { isFreeName, requireFreeName } from "./manifest-key.ts"

export interface ExportedSecrets {
  readonly secrets: readonly string[]
  /** Their time is over: they are not given out. */
  readonly expired: readonly string[]
}

/** Writes a bundle of these secrets, or of all, to a file in memory. Each is a use of its own in the audit. */
export function exportSecrets(
  vault: Vault,
  subject: Subject,
  options: {
    readonly passphrase: Buffer
    readonly out: number
    readonly names?: readonly string[] | undefined
  },
): ExportedSecrets {
  const { passphrase, out, names } = options
  requireMemory(out)
  const present = vault.list().filter(({ metadata }) => metadata.removed === 0 && isPersonal(metadata))
  const missing = names?.find((name) => !present.some(({ metadata }) => metadata.name === name))
  if (missing !== undefined)
    throw new Fault("not-found", `the vault has no secret ${JSON.stringify(missing)}`)
  const now = Date.now()
  const wanted = present.filter(({ metadata }) => names?.includes(metadata.name) !== false)
  const list = wanted
    .filter(({ metadata }) => !isExpired(metadata, now))
    .map(({ metadata }): BundledSecret => {
      const { name, description, tags, created, changed, expires, rotateDays, keep, latest } = metadata
      const bytes = vault.history(name).find(({ version }) => version === latest)?.bytes ?? 0
      return {
        name,
        bytes,
        description,
        tags: [...tags],
        created,
        changed,
        expires,
        rotate_days: rotateDays,
        keep,
      }
    })
  const bundle = sealBundle(passphrase, list, ({ name }, room) =>
    vault.use(subject, "export", { name }, (value) => {
      if (value.length !== room.length) throw new Fault("busy", `${name} was changed meanwhile`)
      value.copy(room)
    }),
  )
  for (let at = 0; at < bundle.length;) at += writeSync(out, bundle, at)
  const expired = wanted
    .filter(({ metadata }) => isExpired(metadata, now))
    .map(({ metadata }) => metadata.name)
  return { secrets: list.map(({ name }) => name), expired }
}

/** Keys that never leave this vault, keys of its trees and decoys stay. */
function isPersonal({ name, canary }: Metadata): boolean {
  return isFreeName(name) && canary !== true
}

export interface ImportedSecrets {
  readonly stored: readonly string[]
  /** The vault has the same value. */
  readonly same: readonly string[]
  /** The vault has another value, which was kept. */
  readonly kept: readonly string[]
}

/** Stores what a bundle has, all or nothing; a secret that is there with another value is kept, unless `replaces`. */
export function importSecrets(
  vault: Vault,
  subject: Subject,
  options: { readonly passphrase: Buffer; readonly from: number; readonly replaces: boolean },
): ImportedSecrets {
  const { passphrase, from, replaces } = options
  const result = { stored: [] as string[], same: [] as string[], kept: [] as string[] }
  const bundle = readBundle(from)
  vault.takeIn(
    subject,
    (take) =>
      openBundle(bundle, passphrase, (secret, value) => {
        const { name, description, tags, expires, rotate_days: rotateDays, keep } = secret
        requireFreeName(name)
        take({ name, value, options: { description, tags, expires, rotateDays, keep } })
      }),
    (name, found) => {
      const stores = found === "new" || (found === "other" && replaces)
      result[stores ? "stored" : found === "same" ? "same" : "kept"].push(name)
      return stores
    },
  )
  return result
}

function readBundle(fd: number): Buffer {
  requireMemory(fd)
  const stat = fstatSync(fd)
  if (stat.size > MOST_BUNDLE_BYTES) throw new Fault("corrupt", "this is no bundle of secrets")
  const bytes = Buffer.alloc(stat.size)
  for (let at = 0; at < bytes.length;) {
    const got = readSync(fd, bytes, at, bytes.length - at, at)
    if (got === 0) throw new Fault("corrupt", "the bundle is cut off")
    at += got
  }
  return bytes
}
