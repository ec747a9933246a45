/** Keys that `clawfs mount` is given: which trees of the store they open, and their way to the supervisor. */
import { closeSync, writeSync } from "node:fs"
import { join } from "node:path"
import { openAnySlot, type KeySource } from "../../keyring/slots.ts"
import { wipe } from "../../keyring/secret.ts"
import type { TreeKey } from "../../keyring/tree-key.ts"
import { Fault } from "../core/fault.ts"
import { requireVersion } from "../fsck/fsck.ts"
import { Database } from "../store/database.ts"
import { identityOf } from "../store/identity.ts"
import { Keys } from "../store/keys.ts"
import { META } from "../store/store.ts"
import type { KeyName } from "../supervisor/supervisor.ts"
import { pipe } from "../sys/pipes.ts"
import type { TreeState } from "./encrypted-tree.ts"
import { presentSecret, type SecretValues } from "./secret-options.ts"
import { openByVault, wantsVault } from "./vault-slots.ts"

/** A pipe holds twice as many. */
const MOST = 1024

export interface GivenKeys {
  readonly names: readonly KeyName[]
  /** Reading end of a pipe that holds them. */
  readonly fd: number
}

type Tree = Pick<TreeState, "identity" | "slots" | "checkValue">
type Values = SecretValues & { readonly vault?: boolean | undefined }

/**
 * The keys of all trees of the store that the options open, in a pipe; undefined without such an option. Throws
 * `Fault("denied")` when they open none.
 */
export function keysForMount(store: string, values: Values): GivenKeys | undefined {
  const isVault = wantsVault("mount", { ...values })
  const isSecret = ["key-file", "passphrase-file", "passphrase-fd"].some(
    (name) => values[name as keyof SecretValues] !== undefined,
  )
  if (!isVault && !isSecret) return undefined
  const trees = treesOf(store)
  const keys = isVault ? opened(trees, (tree) => openByVault(tree).key) : openedBySecret(trees, values)
  if (keys.length === 0)
    throw new Fault("denied", "this opens no encrypted tree of the store", {
      hint: "clawfs keys MOUNTPOINT shows what opens them",
    })
  return inPipe(keys.slice(0, MOST))
}

function treesOf(store: string): Tree[] {
  using db = new Database(join(store, META), { readonly: true })
  requireVersion(db)
  const { uuid } = identityOf(db)
  const keys = new Keys(db)
  return keys.ids().flatMap((id) => {
    const row = keys.get(id)
    if (row === undefined) return []
    const identity = { uuid, id, generation: row.generation }
    return [{ identity, slots: keys.slots(id), checkValue: row.checkValue }]
  })
}

function openedBySecret(trees: readonly Tree[], values: Values): TreeKey[] {
  using source: KeySource = presentSecret("mount", values)
  return opened(trees, (tree) => openAnySlot(tree.identity, tree.slots, source, tree.checkValue).key)
}

/** What `open` opens; a tree that it does not is left locked. */
function opened(trees: readonly Tree[], open: (tree: Tree) => TreeKey): TreeKey[] {
  return trees.flatMap((tree) => {
    try {
      return [open(tree)]
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.kind === "denied") return []
      throw thrown
    }
  })
}

function inPipe(keys: readonly TreeKey[]): GivenKeys {
  const [fd, writing] = pipe()
  for (const key of keys) {
    const bytes = key.expose()
    writeSync(writing, bytes)
    wipe(bytes)
    key[Symbol.dispose]()
  }
  closeSync(writing)
  const names = keys.map(({ identity: { uuid, id, generation } }) => ({
    uuid: uuid.toString("hex"),
    id,
    generation,
  }))
  return { names, fd }
}

export function closeGiven(keys: GivenKeys | undefined): void {
  if (keys !== undefined) closeSync(keys.fd)
}
