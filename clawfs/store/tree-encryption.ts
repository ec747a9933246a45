/** What is done to encrypted trees as a whole: making one, its key slots, re-keying. Nothing here belongs to a request. */
import { present } from "../core/assert.ts"
import { Fault, mountedReadOnly } from "../core/fault.ts"
import type { KeySlot } from "../../keyring/slots.ts"
import type { TreeKey } from "../../keyring/tree-key.ts"
import { now } from "../sys/clock.ts"
import type { Inode } from "./inode.ts"
import type { Store } from "./store.ts"

/** The number that the next key gets. */
export function nextKeyId(store: Store): number {
  return Math.max(0, ...store.keys.ids()) + 1
}

/** The directory `ino`, if it can be made the top of an encrypted tree. Throws a `Fault` with the reason otherwise. */
export function encryptable(store: Store, ino: number): Inode {
  if (store.readOnly) throw mountedReadOnly()
  const inode = store.inodes.get(ino)
  if (inode === undefined || inode.nlink === 0) throw new Fault("not-found", "the directory is gone")
  if (!inode.isDirectory) throw new Fault("invalid", "only a directory can be encrypted")
  if (store.sealing.isEncrypted(inode)) throw new Fault("exists", "the directory is encrypted already")
  if (store.trees.isReadOnly(inode.tree)) throw new Fault("read-only", "the directory is in a snapshot")
  if (!store.dentries.isEmpty(inode.ino))
    throw new Fault(
      "not-empty",
      "the directory is not empty: create a new one, encrypt it, move the files in",
    )
  return inode
}

/** Makes the empty directory `ino` the top of a tree that is encrypted under `key`, which is unlocked then. */
export function encryptTree(store: Store, ino: number, key: TreeKey, slot: KeySlot): void {
  const inode = encryptable(store, ino)
  const { id, generation } = key.identity
  if (id !== nextKeyId(store))
    throw new Fault("busy", "another tree was encrypted meanwhile", { hint: "try again" })
  try {
    store.transactAlone(() => {
      store.keys.put({ id, generation, checkValue: key.checkValue(), previous: undefined })
      store.keys.addSlot(id, slot)
      store.unlockTree(key)
      enclose(store, inode, id)
    })
  } catch (thrown) {
    store.sealing.lock(id)
    throw thrown
  }
}

/** Extended attributes go along. */
function enclose(store: Store, inode: Inode, key: number): void {
  const attributes = store.xattrs
    .names(inode)
    .map((name) => ({ name, value: present(store.xattrs.get(inode, name), "attribute") }))
  for (const { name } of attributes) store.xattrs.delete(inode, name)
  const row = store.trees.get(inode.ino)
  if (row === undefined) {
    const limits = { limitBytes: 0, limitInodes: 0, usedBytes: 0, usedInodes: 1 }
    store.trees.save({ id: inode.ino, parent: inode.tree, flags: 0, key, ...limits })
  } else {
    row.key = key
    store.trees.save(row)
  }
  inode.tree = inode.ino
  inode.touchChange(now())
  store.inodes.save(inode)
  store.sealing.welcome(inode)
  for (const { name, value } of attributes) store.xattrs.put(inode, name, value)
}

/** Adds a slot to a key whose holder has shown it. Throws `Fault("busy")` when its number was taken meanwhile. */
export function addSlot(store: Store, key: number, slot: KeySlot): void {
  if (store.keys.slots(key).some((each) => each.slot === slot.slot))
    throw new Fault("busy", "another slot was added meanwhile", { hint: "try again" })
  store.transactAlone(() => store.keys.addSlot(key, slot))
}

export function removeSlot(store: Store, key: number, slot: number): void {
  const slots = store.keys.slots(key)
  if (!slots.some((each) => each.slot === slot))
    throw new Fault("not-found", `there is no slot ${slot}`, {
      hint: "clawfs keys lists them",
    })
  if (slots.length === 1)
    throw new Fault("invalid", "the last slot can't be removed: nothing would open the tree any more", {
      hint: "clawfs keys --add adds another one first",
    })
  store.transactAlone(() => store.keys.dropSlot(key, slot))
}

/**
 * Puts `next` in the place of the tree's key, with one slot. File keys are wrapped anew by `rewrap`; until that is done,
 * the earlier key is kept, wrapped by `next`. The tree must be unlocked.
 */
export function beginRekey(store: Store, current: TreeKey, next: TreeKey, slot: KeySlot): void {
  const { id, generation } = next.identity
  const row = store.keys.get(id)
  if (row === undefined) throw new Fault("not-found", "the tree is gone")
  if (row.previous !== undefined)
    throw new Fault("busy", "the tree is being re-keyed already", {
      hint: "clawfs keys shows how far that is",
    })
  if (generation !== row.generation + 1)
    throw new Fault("busy", "the tree was re-keyed meanwhile", { hint: "try again" })
  if (!current.isRight(row.checkValue)) throw new Fault("denied", "this is not the key of the tree")
  store.transactAlone(() => {
    const previous = next.wrapPrevious(current)
    store.keys.put({ id, generation, checkValue: next.checkValue(), previous })
    store.keys.dropSlots(id)
    store.keys.addSlot(id, slot)
  })
  store.unlockTree(next)
}

/** Keys whose file keys are still wrapped by two generations. */
export function rekeying(store: Store): number[] {
  return store.keys.ids().filter((id) => store.keys.get(id)?.previous !== undefined)
}

/**
 * Wraps up to `limit` file keys behind `body` anew, and returns the last of them; undefined when that is done and the
 * earlier key is gone. May be killed at any time, and begun again at 0. The tree must be unlocked.
 */
export function rewrap(store: Store, id: number, body: number, limit: number): number | undefined {
  const row = present(store.keys.get(id), `row of key ${id}`)
  const old = store.keys.olderThan(id, row.generation, body, limit)
  store.housekeep(() => {
    for (const { body: at, ...wrapped } of old)
      store.keys.putFileKey(at, store.sealing.rewrapped(id, wrapped))
    if (old.length === 0 && body === 0) store.keys.put({ ...row, previous: undefined })
  })
  if (old.length > 0) return old.at(-1)?.body
  if (body > 0) return 0
  store.sealing.endRekey(id)
  return undefined
}
