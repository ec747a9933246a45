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

const FIRST_SLOT = 1

export async function runEncrypt({ values, operands, terminal }: EncryptInvocation): Promise<ExitCode> {
  const target = targetOf(operands[0] ?? "")
  const { uuid, nextKey, keys } = await keysOf(target.store)
  if (keys.some(({ directories }) => directories.includes(target.ino)))
    throw new Fault("exists", `${target.path} is encrypted already`)
  using source = newSecret("encrypt", values, { kdf: values.kdf })
  using key = TreeKey.random({ uuid: Buffer.from(uuid, "hex"), id: nextKey, generation: 1 })
  const slot = slotText(makeSlot(key, FIRST_SLOT, source))
  await callWithKeys(target.store, "encrypt", { ino: target.ino, key: nextKey, slot }, key)
  terminal.note(`${target.path} is encrypted and unlocked`)
  await warnOfLoss(target.store, terminal)
  return ExitCode.OK
}

/** The tree's key, by what is given now. */
function open(tree: TreeState, source: KeySource): { key: TreeKey; slot: KeySlot } {
  try {
    return openAnySlot(tree.identity, tree.slots, source, tree.checkValue)
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
  using source = presentSecret("unlock", values)
  using key = open(tree, source).key
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
  using source = presentSecret("rekey", values)
  using current = open(tree, source).key
  using next = nextOf(tree)
  using fresh = hasNew(values)
    ? newSecret("rekey", newValues(values), { prefix: "new-", kdf: values.kdf })
    : undefined
  const slot = makeSlot(next, FIRST_SLOT, fresh ?? source)
  const { id } = tree.identity
  const params = { key: id, generation: next.identity.generation, slot: slotText(slot) }
  await callWithKeys(target.store, "rekey", params, current, next)
  terminal.note("the new key is in force; file keys are wrapped anew in the background")
  return ExitCode.OK
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
  if (values.remove !== undefined) return await removeSlot(target, values.remove)
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
  using source = presentSecret("keys", values)
  using key = open(tree, source).key
  using fresh = newSecret("keys", newValues(values), { prefix: "new-", kdf: values.kdf })
  const slot = Math.max(0, ...tree.slots.map((each) => each.slot)) + 1
  const params = { key: tree.identity.id, slot: slotText(makeSlot(key, slot, fresh)) }
  await callWithKeys(target.store, "add-slot", params, key)
  return ExitCode.OK
}

async function removeSlot(target: Target, given: string): Promise<ExitCode> {
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new UsageError(`keys: "${given}" is no number of a slot`)
  const tree = await treeOf(target)
  await call(target.store, "remove-slot", { key: tree.identity.id, slot: Number(given) })
  return ExitCode.OK
}
