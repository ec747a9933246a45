/** The work of `clawfs encrypt`, `unlock`, `lock`, `rekey` and `keys`. */
import { KDF_NAMES } from "../../../keyring/kdf.ts"
import { SOURCE_NAMES, makeSlot, openAnySlot, type KeySlot, type KeySource } from "../../../keyring/slots.ts"
import { TreeKey } from "../../../keyring/tree-key.ts"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import type { EncryptInvocation } from "../commands/encrypt.ts"
import type { KeysInvocation } from "../commands/keys.ts"
import type { LockInvocation } from "../commands/lock.ts"
import type { RekeyInvocation } from "../commands/rekey.ts"
import type { UnlockInvocation } from "../commands/unlock.ts"
import {
  callWithKeys,
  keysOf,
  slotText,
  targetOf,
  treeOf,
  type Target,
  type TreeState,
} from "../encrypted-tree.ts"
import { ExitCode } from "../exit-code.ts"
import { explain, newSecret, presentSecret, type SecretValues } from "../secret-options.ts"
import type { Terminal } from "../terminal.ts"
import { forgetSlots, openByVault, wantsVault, withNewSecret } from "../vault-slots.ts"

const FIRST_SLOT = 1

export async function runEncrypt({ values, operands, terminal }: EncryptInvocation): Promise<ExitCode> {
  const target = targetOf(operands[0] ?? "")
  const { uuid, nextKey, keys } = await keysOf(target.store)
  if (keys.some(({ directories }) => directories.includes(target.ino)))
    throw new Fault("exists", `${target.path} is encrypted already`)
  using key = TreeKey.random({ uuid: Buffer.from(uuid, "hex"), id: nextKey, generation: 1 })
  await withSecret("encrypt", values, { target, kdf: values.kdf }, async (source) => {
    const slot = slotText(makeSlot(key, FIRST_SLOT, source))
    await callWithKeys(target.store, "encrypt", { ino: target.ino, key: nextKey, slot }, key)
  })
  terminal.note(`${target.path} is encrypted and unlocked`)
  await warnOfLoss(target.store, terminal)
  return ExitCode.OK
}

interface NewSecret {
  readonly target: Target
  readonly prefix?: "new-"
  readonly kdf?: string | undefined
}

/** Runs `work` with what is to open the tree from now on. `values` without the prefix, but for the vault's. */
async function withSecret<T>(
  command: string,
  values: SecretValues & NewValues & Parameters<typeof wantsVault>[1],
  { target, prefix, kdf }: NewSecret,
  work: (source: KeySource) => Promise<T>,
): Promise<T> {
  if (wantsVault(command, values, prefix)) return await withNewSecret(target, work)
  const own = prefix === undefined ? values : newValues(values)
  using source = newSecret(command, own, { prefix: prefix ?? "", kdf })
  return await work(source)
}

/** The tree's key, by what is given now. */
function open(
  command: string,
  tree: TreeState,
  values: Parameters<typeof wantsVault>[1] & SecretValues,
): { key: TreeKey; slot: KeySlot } {
  if (wantsVault(command, values)) return openByVault(tree)
  using source = presentSecret(command, values)
  return explained(() => openAnySlot(tree.identity, tree.slots, source, tree.checkValue))
}

function explained<T>(work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    return explain(thrown)
  }
}

export async function runUnlock({ values, operands, terminal }: UnlockInvocation): Promise<ExitCode> {
  const target = targetOf(operands[0] ?? "")
  const tree = await treeOf(target)
  if (!tree.key.locked) {
    terminal.note(`${target.path} is not locked`)
    return ExitCode.OK
  }
  using key = open("unlock", tree, values).key
  const { id, generation } = tree.identity
  await callWithKeys(target.store, "unlock", { key: id, generation }, key)
  await warnOfLoss(target.store, terminal)
  return ExitCode.OK
}

/** Where the kernel keeps no keys, unlocking does not outlive the server. */
async function warnOfLoss(store: string, terminal: Terminal): Promise<void> {
  const { notKept } = await keysOf(store)
  if (notKept !== undefined)
    terminal.note(`if the server is killed, the tree will be locked: the kernel keeps no keys (${notKept})`)
}

export async function runLock({ operands }: LockInvocation): Promise<ExitCode> {
  const target = targetOf(operands[0] ?? "")
  const tree = await treeOf(target)
  await call(target.store, "lock", { key: tree.identity.id })
  return ExitCode.OK
}

export async function runRekey({ values, operands, terminal }: RekeyInvocation): Promise<ExitCode> {
  const target = targetOf(operands[0] ?? "")
  const tree = await treeOf(target)
  if (tree.key.locked)
    throw new Fault("locked", `${target.path} is locked`, { hint: `clawfs unlock ${target.path}` })
  if (tree.slots.length > 1 && values["drop-slots"] !== true) {
    throw new Fault(
      "invalid",
      `${target.path} has ${tree.slots.length} slots, and only one can be re-keyed`,
      {
        hint: "with --drop-slots the others go; add them again afterwards",
      },
    )
  }
  // The vault's secret is for one slot: with a new key there is a new one.
  const isNew = hasNew(values) || values["new-vault"] === true || values.vault === true
  if (isNew) await rekeyByNew(target, tree, values)
  else {
    using source = presentSecret("rekey", values)
    using current = explained(() => openAnySlot(tree.identity, tree.slots, source, tree.checkValue)).key
    await replaceKey(target, tree, current, source)
  }
  terminal.note("the new key is in force; file keys are wrapped anew in the background")
  if (!forgetSlots(tree.slots))
    terminal.note("the vault is locked and keeps what opened the tree until now; clawfs vault rm removes it")
  return ExitCode.OK
}

async function rekeyByNew(target: Target, tree: TreeState, values: RekeyInvocation["values"]): Promise<void> {
  using current = open("rekey", tree, values).key
  const wanted = hasNew(values) ? values : { ...values, "new-vault": true }
  const options = { target, prefix: "new-", kdf: values.kdf } as const
  await withSecret("rekey", wanted, options, (source) => replaceKey(target, tree, current, source))
}

async function replaceKey(
  { store }: Target,
  tree: TreeState,
  current: TreeKey,
  source: KeySource,
): Promise<void> {
  using next = nextOf(tree)
  const slot = slotText(makeSlot(next, FIRST_SLOT, source))
  const { id, generation } = next.identity
  await callWithKeys(store, "rekey", { key: id, generation, slot }, current, next)
}

function nextOf({ identity }: TreeState): TreeKey {
  return TreeKey.random({ ...identity, generation: identity.generation + 1 })
}

interface NewValues {
  readonly "new-key-file"?: string
  readonly "new-passphrase-file"?: string
  readonly "new-passphrase-fd"?: string
  readonly "new-passphrase"?: boolean
}

function newValues(values: NewValues): SecretValues {
  return {
    "key-file": values["new-key-file"],
    "passphrase-file": values["new-passphrase-file"],
    "passphrase-fd": values["new-passphrase-fd"],
  }
}

function hasNew(values: NewValues): boolean {
  return (
    values["new-passphrase"] === true || Object.values(newValues(values)).some((each) => each !== undefined)
  )
}

export async function runKeys({ values, operands, terminal }: KeysInvocation): Promise<ExitCode> {
  if (values.add === true && values.remove !== undefined)
    throw new UsageError("keys: --add and --remove exclude each other")
  const target = targetOf(operands[0] ?? "")
  if (values.add === true) return await addSlot(target, values)
  if (values.remove !== undefined) return await removeSlot(target, values.remove, terminal)
  const { notKept, keys } = await keysOf(target.store)
  const shown = keys.filter(
    ({ directories }) => target.path === target.mountpoint || directories.includes(target.ino),
  )
  if (values.json === true) {
    terminal.out(
      JSON.stringify({ keptByKernel: notKept === undefined, trees: shown.map(forJson) }, undefined, 2),
    )
    return ExitCode.OK
  }
  if (shown.length === 0) terminal.note("no tree is encrypted here")
  else terminal.out(shown.map(describeKey).join("\n\n"))
  return ExitCode.OK
}

type Shown = Awaited<ReturnType<typeof keysOf>>["keys"][number]

/** Nothing of the keys themselves, wrapped or not: a status is passed around. */
function forJson({ key, generation, locked, directories, rekeying, rewrapped, slots }: Shown): object {
  return {
    ...{ key, generation, locked, directories, rekeying, rewrapped },
    slots: slots.map(({ slot, kind, kdf, cost, memoryKiB }) => ({
      ...{ slot, kind: SOURCE_NAMES[kind], kdf: KDF_NAMES[kdf], cost, memoryKiB },
    })),
  }
}

function describeKey({ key, generation, locked, directories, rekeying, rewrapped, slots }: Shown): string {
  const lines = [
    `key         ${key}, generation ${generation}`,
    `state       ${locked ? "locked" : "unlocked"}`,
    `inodes      ${directories.join(" ")}`,
    ...(rekeying ? [`re-keying   ${rewrapped} files so far`] : []),
    ...slots.map(({ slot, kind, kdf, cost, memoryKiB }) => {
      const memory = memoryKiB === 0 ? "" : `, ${memoryKiB / 1024} MiB`
      const effort = cost === 0 ? "" : ` (${cost}${memory})`
      return `slot ${String(slot).padEnd(6)} ${SOURCE_NAMES[kind]}, ${KDF_NAMES[kdf]}${effort}`
    }),
  ]
  return lines.join("\n")
}

async function addSlot(target: Target, values: KeysInvocation["values"]): Promise<ExitCode> {
  const tree = await treeOf(target)
  using key = open("keys", tree, values).key
  const slot = Math.max(0, ...tree.slots.map((each) => each.slot)) + 1
  await withSecret("keys", values, { target, prefix: "new-", kdf: values.kdf }, async (source) => {
    const params = { key: tree.identity.id, slot: slotText(makeSlot(key, slot, source)) }
    await callWithKeys(target.store, "add-slot", params, key)
  })
  return ExitCode.OK
}

async function removeSlot(target: Target, given: string, terminal: Terminal): Promise<ExitCode> {
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new UsageError(`keys: "${given}" is no number of a slot`)
  const tree = await treeOf(target)
  await call(target.store, "remove-slot", { key: tree.identity.id, slot: Number(given) })
  if (!forgetSlots(tree.slots.filter(({ slot }) => slot === Number(given))))
    terminal.note(
      "the vault is locked and keeps what opened the tree by this slot; clawfs vault rm removes it",
    )
  return ExitCode.OK
}
