/** `clawfs vault sign` and `verify`: signed manifests of trees. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SPEC_SIGNATURES, entriesOf } from "../../manifest/entries.ts"
import {
  PUBLIC_KEY,
  SIGNED_DIRECTORY,
  changesSince,
  entriesHash,
  keyIdOf,
  manifestPath,
  readManifest,
  requireSignature,
  trustedKey,
} from "../../manifest/signed-manifest.ts"
import {
  MANIFEST_KINDS,
  type ManifestHead,
  type ManifestKind,
  type SignedManifest,
} from "../../../schema/signed-manifest.ts"
import { Fault } from "../../core/fault.ts"
import { writeWhole } from "../../tools/files.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { Attachments, callVault } from "../vault/client.ts"
import { presentPerson } from "../vault/people.ts"

function targetOf(action: string, [given = "", directory]: readonly string[]): [ManifestKind, string] {
  const kind = MANIFEST_KINDS.find((each) => each === given)
  if (kind === undefined)
    throw new UsageError(
      `vault ${action}: there is no kind "${given}"`,
      `one of: ${MANIFEST_KINDS.join(", ")}`,
    )
  const path = directory ?? join("/clawfs", kind)
  try {
    return [kind, realpathSync(path)]
  } catch (cause) {
    throw new Fault("not-found", `there is no directory ${path}`, { cause })
  }
}

export function sign({ directory: vault, values, operands, terminal }: VaultAction): ExitCode {
  const [kind, directory] = targetOf("sign", operands)
  const entries = entriesOf(kind, directory)
  using present = presentPerson(values)
  using attached = new Attachments()
  const params = { proof: attached.person(present), kind, directory, entries: entriesHash(entries) }
  const { head, signature } = callVault(vault, "manifest.sign", params, attached.fds) as {
    head: ManifestHead
    signature: string
  }
  const manifest: SignedManifest = { ...head, entries, signature }
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`
  const own = join(vault, SIGNED_DIRECTORY)
  mkdirSync(own, { recursive: true, mode: 0o755 })
  writeFileSync(join(own, PUBLIC_KEY), `${head.key}\n`, { mode: 0o644 })
  writeWhole(manifestPath(vault, kind), text, 0o644)
  if (kind === "specs") writeWhole(join(directory, SPEC_SIGNATURES), text, 0o444)
  terminal.note(`${entries.length} entries of ${directory} are signed by the key ${head.signed_by}`)
  return ExitCode.OK
}

export function verify({ directory: vault, values, operands, terminal }: VaultAction): ExitCode {
  const [kind, directory] = targetOf("verify", operands)
  const key = trustedKey(vault)
  if (values.key !== undefined && values.key !== keyIdOf(key))
    throw new Fault("denied", `the vault's key is ${keyIdOf(key)}, not ${values.key}`)
  const manifest = readManifest(manifestPath(vault, kind))
  requireSignature(manifest, key)
  const changes = changesSince(manifest, directory)
  if (changes.length > 0) {
    terminal.out(changes.join("\n"))
    terminal.note(`${directory} is not as it was signed on ${manifest.signed_at}`)
    return ExitCode.NO
  }
  terminal.note(
    `${directory} is as it was signed on ${manifest.signed_at} by the key ${manifest.signed_by}, ${manifest.entries.length} entries`,
  )
  return ExitCode.OK
}
