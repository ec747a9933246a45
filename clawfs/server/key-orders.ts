/**
 * The serving thread's part in encrypted trees: it alone writes the store, so it makes, unlocks and locks trees when the
 * main thread orders it, and wraps file keys anew in slices while nothing else is to do.
 */
import type { NodeId } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Environment } from "../fs/environment.ts"
import { keptKey } from "../../keyring/keyring.ts"
import { TreeKey } from "../../keyring/tree-key.ts"
import {
  addSlot,
  beginRekey,
  encryptTree,
  nextKeyId,
  rekeying,
  removeSlot,
  rewrap,
} from "../store/tree-encryption.ts"
import { forbidDumps } from "../sys/no-dumps.ts"
import { NOTHING_STALE, type Stale } from "../fuse/notify.ts"
import type { Method, Outcome } from "./desk.ts"
import type { KeyOrder, KeyReport, KeyState, WorkerReport } from "./messages.ts"

/** File keys in a slice: some 3 ms. */
const SLICE = 256
const PAUSE_MS = 10
/** The desk's name for key orders; no method of the control socket. */
export const KEYS = "keys"
const RETRY_MS = 10_000

export class KeyOrders {
  readonly #env: Environment
  readonly #report: (report: WorkerReport) => void
  readonly #log: Log
  /** Keys that are being replaced, and the body up to which that is done. */
  readonly #rekeying = new Map<number, number>()
  readonly #rewrapped = new Map<number, number>()

  constructor(env: Environment, report: (report: WorkerReport) => void, log: Log) {
    this.#env = env
    this.#report = report
    this.#log = log
  }

  /** Trees that an earlier server on this mount had unlocked are unlocked again. */
  adopt(): void {
    const { store } = this.#env
    for (const id of store.keys.ids()) {
      const key = keptKey(store.sealing.identityOf(id))
      if (key === undefined) continue
      forbidDumps()
      store.unlockTree(key)
      store.sealing.setKept(id, true)
      this.#report({ kind: "unlocked" })
    }
    this.#look()
  }

  #look(): void {
    const { store } = this.#env
    if (store.readOnly) return
    for (const id of rekeying(store))
      if (store.sealing.isUnlocked(id) && !this.#rekeying.has(id)) this.#rekeying.set(id, 0)
  }

  /** For the desk. */
  get method(): [string, Method] {
    return [KEYS, (order: KeyOrder) => this.#run(order)]
  }

  #run(order: KeyOrder): Outcome {
    if (order.do === "held") return { value: undefined, stale: this.#held(order.id) }
    if (order.do === "lock") return { value: undefined, stale: this.#lock(order.id) }
    return { value: this.#carryOut(order), stale: NOTHING_STALE }
  }

  #carryOut(order: Exclude<KeyOrder, { readonly do: "held" } | { readonly do: "lock" }>): unknown {
    const { store } = this.#env
    switch (order.do) {
      case "list":
        return this.#list()
      case "encrypt":
        encryptTree(store, order.ino, this.#keyOf(order.id, 1, order.key), buffersIn(order.slot))
        store.sealing.setKept(order.id, order.isKept)
        this.#report({ kind: "unlocked" })
        return undefined
      case "unlock":
        store.unlockTree(this.#keyOf(order.id, order.generation, order.key))
        store.sealing.setKept(order.id, order.isKept)
        this.#report({ kind: "unlocked" })
        this.#look()
        return undefined
      case "settle":
        this.#settle(order.id)
        return undefined
      case "add slot": {
        using key = this.#shown(order.id, order.key)
        addSlot(store, key.identity.id, buffersIn(order.slot))
        return undefined
      }
      case "remove slot":
        removeSlot(store, order.id, order.slot)
        return undefined
      case "rekey": {
        using current = this.#shown(order.id, order.key)
        const next = this.#keyOf(order.id, order.generation, order.next)
        beginRekey(store, current, next, buffersIn(order.slot))
        store.sealing.setKept(order.id, order.isKept)
        this.#look()
        return undefined
      }
    }
  }

  #settle(id: number | undefined): void {
    const { store } = this.#env
    store.commit()
    for (const each of id === undefined ? store.keys.ids() : [id]) store.sealing.setKept(each, false)
  }

  #keyOf(id: number, generation: number, bytes: Uint8Array): TreeKey {
    return new TreeKey({ uuid: this.#env.store.uuid, id, generation }, bufferOf(bytes))
  }

  /** The present key, shown by who wants to change its slots. */
  #shown(id: number, bytes: Uint8Array): TreeKey {
    const { store } = this.#env
    const row = store.keys.get(id)
    if (row === undefined) throw new Fault("not-found", "the tree is gone")
    const key = this.#keyOf(id, row.generation, bytes)
    if (key.isRight(row.checkValue)) return key
    key[Symbol.dispose]()
    throw new Fault("denied", "this is not the key of the tree")
  }

  #list(): KeyReport {
    const { store } = this.#env
    const keys = store.keys.ids().map((id) => this.#stateOf(id))
    return { uuid: store.uuid, nextId: nextKeyId(store), keys }
  }

  #stateOf(id: number): KeyState {
    const { store } = this.#env
    const row = store.keys.get(id)
    return {
      id,
      generation: row?.generation ?? 0,
      checkValue: row?.checkValue ?? new Uint8Array(),
      locked: !store.sealing.isUnlocked(id),
      tops: this.#tops(id),
      slots: store.keys.slots(id),
      rekeying: row?.previous !== undefined,
      rewrapped: this.#rewrapped.get(id) ?? 0,
    }
  }

  #tops(id: number): number[] {
    return [...this.#env.store.trees.all()].filter(({ key }) => key === id).map((tree) => tree.id)
  }

  /** What the kernel may have in its caches. */
  #held(id: number): Stale {
    const { store, lookups } = this.#env
    const inodes = ([...lookups.held()] as NodeId[]).filter((ino) => {
      const inode = store.inodes.get(ino)
      return inode !== undefined && store.sealing.keyOfTree(inode.tree) === id
    })
    store.inodes.trim()
    const entries = this.#tops(id).flatMap((ino) => {
      const parent = (store.inodes.get(ino)?.parent ?? 0) as NodeId
      const name = store.dentries.nameOf(parent, ino as NodeId)
      return name === undefined ? [] : [{ parent, name }]
    })
    return { inodes, entries }
  }

  #lock(id: number): Stale {
    const held = this.#held(id)
    this.#rekeying.delete(id)
    this.#env.store.lockTree(id)
    return held
  }

  /** A slice of work while nothing else is to do. Milliseconds until the next one; undefined when there is nothing. */
  onQuiet(): number | undefined {
    const [first] = this.#rekeying
    if (first === undefined) return undefined
    const [id, at] = first
    try {
      this.#slice(id, at)
      return PAUSE_MS
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "no-space")) throw thrown
      this.#log.error("re-keying waits for room on the disk", { key: id })
      return RETRY_MS
    }
  }

  #slice(id: number, at: number): void {
    const { store } = this.#env
    const next = rewrap(store, id, at, SLICE)
    store.commit()
    this.#rewrapped.set(id, (this.#rewrapped.get(id) ?? 0) + SLICE)
    if (next !== undefined) {
      this.#rekeying.set(id, next)
      return
    }
    this.#rekeying.delete(id)
    const { generation } = store.sealing.identityOf(id)
    this.#log.info("re-keyed", { key: id, generation })
    this.#report({ kind: "retired", id, generation: generation - 1 })
  }
}

/** Messages between threads make plain arrays of Buffers. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function buffersIn<S extends { readonly salt: Uint8Array; readonly wrapped: Uint8Array }>(
  slot: S,
): S & { salt: Buffer; wrapped: Buffer } {
  return { ...slot, salt: bufferOf(slot.salt), wrapped: bufferOf(slot.wrapped) }
}
