/** What commands about encrypted trees have in common: which tree a directory is in, and keys on their way to the daemon. */
import { closeSync, realpathSync, statSync, writeSync } from "node:fs"
import type { KeySlot } from "../../keyring/slots.ts"
import { wipe } from "../../keyring/secret.ts"
import type { TreeKey, KeyIdentity } from "../../keyring/tree-key.ts"
import { KeyList, type Pipe, type Slot } from "../../schema/encryption.ts"
import { call } from "../api/client.ts"
import { Fault } from "../core/fault.ts"
import { filesystemOf, isClawfs } from "../sys/clawfs-mounts.ts"
import { pipe } from "../sys/pipes.ts"

export interface Target {
  readonly path: string
  readonly mountpoint: string
  readonly store: string
  readonly ino: number
}

/** A directory on a ClawFS mount. */
export function targetOf(given: string): Target {
  let path: string
  try {
    path = realpathSync(given)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT")
      throw new Fault("not-found", `there is no directory ${given}`, { cause })
    throw cause
  }
  const on = filesystemOf(path)
  if (!isClawfs(on))
    throw new Fault("invalid", `${path} is not on a ClawFS mount`, {
      hint: "clawfs status shows what is mounted",
    })
  const stat = statSync(path)
  if (!stat.isDirectory()) throw new Fault("invalid", `${path} is not a directory`)
  return { path, mountpoint: on.mountpoint, store: on.source, ino: stat.ino }
}

type Key = KeyList["keys"][number]

/** An encrypted tree as the daemon describes it. */
export interface TreeState {
  readonly identity: KeyIdentity
  readonly key: Key
  readonly slots: readonly KeySlot[]
  readonly checkValue: Buffer
}

export async function keysOf(store: string): Promise<KeyList> {
  const list = KeyList.safeParse(await call(store, "keys"))
  if (!list.success) throw new Fault("io", "the daemon's answer can't be understood")
  return list.data
}

/** The tree whose top `target` is. Throws `Fault("not-found")` for any other directory. */
export async function treeOf({ store, ino, path }: Target): Promise<TreeState> {
  const { uuid, keys } = await keysOf(store)
  const key = keys.find(({ directories }) => directories.includes(ino))
  if (key === undefined)
    throw new Fault("not-found", `${path} is not the top of an encrypted tree`, {
      hint: "clawfs keys MOUNTPOINT lists them",
    })
  return {
    identity: { uuid: Buffer.from(uuid, "hex"), id: key.key, generation: key.generation },
    key,
    slots: key.slots.map((slot) => ({
      ...slot,
      salt: Buffer.from(slot.salt, "hex"),
      wrapped: Buffer.from(slot.wrapped, "hex"),
    })),
    checkValue: Buffer.from(key.checkValue, "hex"),
  }
}

export function slotText(slot: KeySlot): Slot {
  return { ...slot, salt: slot.salt.toString("hex"), wrapped: slot.wrapped.toString("hex") }
}

/**
 * Hands keys to the daemon through a pipe, which it opens by our process's number: not as text in a message, not on disk.
 */
export async function callWithKeys(
  store: string,
  method: string,
  params: Record<string, unknown>,
  ...keys: readonly TreeKey[]
): Promise<void> {
  const [reading, writing] = pipe()
  try {
    for (const key of keys) {
      const bytes = key.expose()
      writeSync(writing, bytes)
      wipe(bytes)
    }
    const secret: Pipe = { pid: process.pid, fd: reading }
    await call(store, method, { ...params, secret })
  } finally {
    closeSync(reading)
    closeSync(writing)
  }
}
