/** The main thread's part in encrypted trees: the methods of the control socket, and the session keyring. */
import { closeSync, constants, openSync, readSync } from "node:fs"
import type { Handler } from "../api/server.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { dropKept, keepKey } from "../../keyring/keyring.ts"
import { KEY_BYTES, copySecret, newSecret, wipe } from "../../keyring/secret.ts"
import type { KeySlot } from "../../keyring/slots.ts"
import { TreeKey, type KeyIdentity } from "../../keyring/tree-key.ts"
import {
  AddSlotParams,
  EncryptParams,
  LockParams,
  RekeyParams,
  RemoveSlotParams,
  UnlockParams,
  type KeyList,
  type Pipe,
  type Slot,
} from "../../schema/encryption.ts"
import { forbidDumps } from "../sys/no-dumps.ts"
import type { KeyOrder, KeyReport } from "./messages.ts"
import { checkedParameters, type Schema } from "./parameters.ts"

type Run = (order: KeyOrder, moved: readonly ArrayBuffer[]) => Promise<unknown>

export class Encryption {
  readonly #run: Run
  readonly #writesBack: () => boolean
  readonly #log: Log
  readonly #onSlots: () => void
  /** Why keys can't be kept in the kernel. */
  #notKept: string | undefined

  /** `run` has the serving thread carry out an order; memory that is moved goes along. `onSlots`: there are other slots. */
  constructor(run: Run, writesBack: () => boolean, log: Log, onSlots: () => void = () => undefined) {
    this.#run = run
    this.#writesBack = writesBack
    this.#log = log
    this.#onSlots = onSlots
  }

  get methods(): [string, Handler][] {
    return [
      ["keys", () => this.#list()],
      ["encrypt", (params) => this.#encrypt(params)],
      ["unlock", (params) => this.#unlock(params)],
      ["lock", (params) => this.#lock(params)],
      ["add-slot", (params) => this.#addSlot(params)],
      ["remove-slot", (params) => this.#removeSlot(params)],
      ["rekey", (params) => this.#rekey(params)],
    ]
  }

  #ask(order: KeyOrder, ...keys: readonly Uint8Array[]): Promise<unknown> {
    return this.#run(
      order,
      keys.map((key) => key.buffer as ArrayBuffer),
    )
  }

  /** Nobody will have the keys any more: from now on nothing that is answered waits for them. */
  async settle(): Promise<void> {
    await this.#ask({ do: "settle" })
  }

  async onRetired(id: number, generation: number): Promise<void> {
    const { uuid } = await this.report()
    dropKept({ uuid: Buffer.from(uuid), id, generation })
  }

  /** All encrypted trees, their slots, whether they are locked. */
  async report(): Promise<KeyReport> {
    return (await this.#ask({ do: "list" })) as KeyReport
  }

  async #list(): Promise<KeyList> {
    const { uuid, nextId, keys } = await this.report()
    return {
      uuid: hex(uuid),
      nextKey: nextId,
      ...(this.#notKept === undefined ? {} : { notKept: this.#notKept }),
      keys: keys.map(({ id, tops, slots, checkValue, ...rest }) => ({
        ...rest,
        key: id,
        checkValue: hex(checkValue),
        directories: [...tops],
        slots: slots.map((slot) => ({ ...slot, salt: hex(slot.salt), wrapped: hex(slot.wrapped) })),
      })),
    }
  }

  async #identity(id: number, generation?: number): Promise<KeyIdentity> {
    const { uuid, keys } = await this.report()
    const known = keys.find((each) => each.id === id)?.generation
    return { uuid: Buffer.from(uuid), id, generation: generation ?? known ?? 1 }
  }

  /** Keeps the key for the servers to come, then has the serving thread take it; if that fails, it is not kept. */
  async #introduce(
    identity: KeyIdentity,
    key: Uint8Array,
    order: (isKept: boolean) => Promise<unknown>,
  ): Promise<void> {
    using copy = new TreeKey(identity, copySecret(key))
    // The kernel has one key of that name: until this one is known to be right, nothing may wait for the one before.
    await this.#ask({ do: "settle", id: identity.id })
    this.#notKept = keepKey(copy)
    if (this.#notKept !== undefined)
      this.#log.error("keys can't be kept in the kernel: a new server will find its trees locked", {
        reason: this.#notKept,
      })
    try {
      await order(this.#notKept === undefined)
    } catch (thrown) {
      dropKept(identity)
      throw thrown
    }
  }

  async #encrypt(params: unknown): Promise<object> {
    const { ino, key: id, secret, slot } = parsed(EncryptParams, params)
    const [key] = receive(secret, 1)
    const order = { do: "encrypt", ino, id, key, slot: slotOf(slot) } as const
    await this.#introduce(await this.#identity(id, 1), key, (isKept) => this.#ask({ ...order, isKept }, key))
    this.#onSlots()
    return {}
  }

  async #unlock(params: unknown): Promise<object> {
    const { key: id, generation, secret } = parsed(UnlockParams, params)
    const [key] = receive(secret, 1)
    await this.unlock(id, generation, key)
    return {}
  }

  /** Unlocks a tree; `key`, in a buffer of its own, goes to the serving thread. */
  async unlock(id: number, generation: number, key: Buffer): Promise<void> {
    const order = { do: "unlock", id, generation, key } as const
    const identity = await this.#identity(id, generation)
    await this.#requireRight(identity, key)
    await this.#introduce(identity, key, (isKept) => this.#ask({ ...order, isKept }, key))
  }

  /** The kernel has one key of that name: a wrong one must not take the place of the right one. */
  async #requireRight(identity: KeyIdentity, key: Uint8Array): Promise<void> {
    const { keys } = await this.report()
    const known = keys.find(({ id, generation }) => id === identity.id && generation === identity.generation)
    if (known === undefined) return
    using given = new TreeKey(identity, copySecret(key))
    if (given.isRight(known.checkValue)) return
    wipe(key)
    throw new Fault("denied", "this is not the key of the tree")
  }

  async #lock(params: unknown): Promise<object> {
    await this.lock(parsed(LockParams, params).key)
    return {}
  }

  /** A kill in between leaves a tree that is locked, or one that the next server finds unlocked: then it is asked again. */
  async lock(id: number): Promise<void> {
    // What programs have written and the kernel has not passed on needs the key.
    if (this.#writesBack()) await this.#ask({ do: "held", id })
    const { generation, uuid } = await this.#identity(id)
    // The next server will not have the key: nothing that was answered may wait for it.
    await this.#ask({ do: "settle", id })
    for (const each of [generation, generation - 1]) dropKept({ uuid, id, generation: each })
    await this.#ask({ do: "lock", id })
  }

  async #addSlot(params: unknown): Promise<object> {
    const { key: id, secret, slot } = parsed(AddSlotParams, params)
    const [key] = receive(secret, 1)
    await this.#ask({ do: "add slot", id, key, slot: slotOf(slot) }, key)
    this.#onSlots()
    return {}
  }

  async #removeSlot(params: unknown): Promise<object> {
    const { key: id, slot } = parsed(RemoveSlotParams, params)
    await this.#ask({ do: "remove slot", id, slot })
    return {}
  }

  async #rekey(params: unknown): Promise<object> {
    const { key: id, generation, secret, slot } = parsed(RekeyParams, params)
    const [key, next] = receive(secret, 2)
    const order = { do: "rekey", id, generation, key, next, slot: slotOf(slot) } as const
    const identity = await this.#identity(id, generation)
    await this.#introduce(identity, next, (isKept) => this.#ask({ ...order, isKept }, key, next))
    this.#onSlots()
    return {}
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}

function slotOf(slot: Slot): KeySlot {
  return { ...slot, salt: Buffer.from(slot.salt, "hex"), wrapped: Buffer.from(slot.wrapped, "hex") }
}

function parsed<T>(schema: Schema<T>, params: unknown): T {
  return checkedParameters(schema, params, "params: ")
}

/** Reads keys from a pipe that the client holds: so they are never text, and in no buffer but their own. */
function receive(pipe: Pipe, count: 1): [Buffer]
function receive(pipe: Pipe, count: 2): [Buffer, Buffer]
function receive({ pid, fd }: Pipe, count: number): Buffer[] {
  forbidDumps()
  const source = openPipe(pid, fd)
  try {
    return Array.from({ length: count }, () => {
      const key = newSecret(KEY_BYTES)
      if (readSync(source, key, 0, KEY_BYTES, null) === KEY_BYTES) return key
      wipe(key)
      throw new Fault("invalid", "the pipe holds no key")
    })
  } finally {
    closeSync(source)
  }
}

function openPipe(pid: number, fd: number): number {
  try {
    return openSync(`/proc/${pid}/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw new Fault("denied", "the daemon may not read the key from this process", {
      cause,
      hint: "run this as the user who mounted the store",
    })
  }
}
