/** The option --vault of the commands about encrypted trees: what opens the tree is in the vault. */
import { SourceKind, vaultNameOf, openSlot, type KeySlot, type KeySource } from "../../keyring/slots.ts"
import type { TreeKey } from "../../keyring/tree-key.ts"
import { VaultLink } from "../api/vault-link.ts"
import { Fault } from "../core/fault.ts"
import { newSource, presentSource } from "../server/vault-slots.ts"
import { UsageError } from "./command.ts"
import type { Target, TreeState } from "./encrypted-tree.ts"
import { noVaultProcess } from "./vault/client.ts"
import { vaultDirectory } from "./vault/place.ts"

const TIMEOUT_SECONDS = 120
const OTHERS = ["key-file", "passphrase-file", "passphrase-fd", "passphrase"] as const

/** Whether --vault (or --new-vault) is given, which no other option for a secret goes with. */
export function wantsVault(
  command: string,
  values: Readonly<Record<string, string | boolean | undefined>>,
  prefix: "" | "new-" = "",
): boolean {
  if (values[`${prefix}vault`] !== true) return false
  const other = OTHERS.find((name) => values[`${prefix}${name}`] !== undefined)
  if (other === undefined) return true
  throw new UsageError(`${command}: --${prefix}vault and --${prefix}${other} exclude each other`)
}

function link(): VaultLink {
  const directory = vaultDirectory(undefined)
  const found = VaultLink.connect(directory, TIMEOUT_SECONDS)
  if (found === undefined) throw noVaultProcess(directory)
  return found
}

/** Runs `work` with a new secret of the vault for a slot of the tree; if that fails, the secret is out of use again. */
export async function withNewSecret<T>(
  { path, store }: Target,
  work: (source: KeySource) => Promise<T>,
): Promise<T> {
  using vault = link()
  using source = newSource(vault, `opens ${path}, in the store ${store}`.slice(0, MOST_DESCRIPTION))
  try {
    return await work(source)
  } catch (thrown) {
    vault.request("rm", { name: vaultNameOf(source.salt) })
    throw thrown
  }
}

const MOST_DESCRIPTION = 900

/** The tree's key and the slot that gave it. Throws `Fault("denied")` when the vault has nothing that opens it. */
export function openByVault({
  identity,
  slots,
  checkValue,
}: Pick<TreeState, "identity" | "slots" | "checkValue">): { key: TreeKey; slot: KeySlot } {
  using vault = link()
  for (const slot of ofVault(slots)) {
    using source = presentSource(vault, slot.salt)
    const key = source === undefined ? undefined : openSlot(identity, slot, source, checkValue)
    if (key !== undefined) return { key, slot }
  }
  throw new Fault("denied", "this vault does not open the tree", { hint: "clawfs keys DIR shows what does" })
}

function ofVault(slots: readonly KeySlot[]): KeySlot[] {
  return slots.filter(({ kind }) => kind === SourceKind.VAULT)
}

/** Takes the secrets of slots that are gone out of use. A vault that is locked keeps them: returns whether all are out of use. */
export function forgetSlots(slots: readonly KeySlot[]): boolean {
  if (ofVault(slots).length === 0) return true
  using vault = VaultLink.connect(vaultDirectory(undefined), TIMEOUT_SECONDS)
  if (vault === undefined) return false
  for (const { salt } of ofVault(slots)) {
    try {
      vault.request("rm", { name: vaultNameOf(salt) })
    } catch (thrown) {
      // Another vault's, or removed by hand.
      if (!(thrown instanceof Fault && thrown.kind === "not-found")) throw thrown
    }
  }
  return true
}
