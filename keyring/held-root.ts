/**
 * The vault's root key while it is unlocked: in the kernel, in a keyring that this process alone can read, with a time after
 * which the kernel forgets it unless it was needed, and not after the machine was suspended. In our memory it is only during a call. Where the kernel offers no keyring
 * (many containers), it stays in secret memory, and the status says so.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { Ring, addKey, dropKey, expireKey, readKey } from "../clawfs/sys/keyctl.ts"
import type { SuspendWatch } from "../clawfs/sys/suspend.ts"
import { SecretMemory, type SecretMemoryKind } from "../clawfs/sys/secret-memory.ts"
import { expandInto } from "./primitives.ts"
import { KEY_BYTES } from "./secret.ts"
import { SecretStack } from "./secret-stack.ts"

/** Nothing secret, and no names: others can read a key's description. */
const NAME = "clawfs:vault"
const ROOM = 4096

export interface HeldOptions {
  /** How long the root key is kept since the last `touch`; 0: for ever. */
  readonly idleSeconds: number
  /** Tells several of a process apart. */
  readonly number?: number
  /** Tells whether the machine was suspended: then the root key is not used any more. */
  readonly sleep?: Pick<SuspendWatch, "hasSlept"> | undefined
  /** False: never in the kernel's keyring. */
  readonly inKernel?: boolean
  readonly memory?: SecretMemoryKind
}

export class HeldRoot implements Disposable {
  readonly #stack: SecretStack
  readonly #name: string
  readonly #idleSeconds: number
  readonly #sleep: HeldOptions["sleep"]
  /** Has the root key where the kernel does not keep it. */
  readonly #memory: SecretMemory | undefined
  #usedAt = Date.now()
  #isHeld = true
  #isForgotten = false

  /** Takes a copy of `root`. To be made on the thread that uses it. */
  constructor(root: Uint8Array, options: HeldOptions) {
    this.#stack = new SecretStack(ROOM, options.memory)
    this.#name = `${NAME}:${options.number ?? 0}`
    this.#idleSeconds = options.idleSeconds
    this.#sleep = options.sleep
    if (options.inKernel !== false && this.#keepInKernel(root)) return
    this.#memory = SecretMemory.allocate(ROOM, options.memory)
    this.#memory.bytes.set(root)
  }

  #keepInKernel(root: Uint8Array): boolean {
    try {
      addKey(this.#name, root, Ring.PROCESS)
      return expireKey(this.#name, this.#idleSeconds, Ring.PROCESS)
    } catch (thrown) {
      // No keyrings here, or no more room in them: the status tells where the key is instead.
      if (thrown instanceof Fault) return false
      throw thrown
    }
  }

  get place(): "kernel keyring" | "memory" {
    return this.#memory === undefined ? "kernel keyring" : "memory"
  }

  get memory(): SecretMemoryKind {
    return this.#stack.kind
  }

  /** What tells it of suspends, for the next root key. */
  get sleep(): HeldOptions["sleep"] {
    return this.#sleep
  }

  /** Room for further keys, as long as `work` runs. */
  borrow<T>(length: number, work: (bytes: Buffer) => T): T {
    return this.#stack.borrow(length, work)
  }

  /** Runs `work` with the root key. Throws `Fault("locked")` when it has been forgotten. */
  use<T>(work: (root: Buffer) => T): T {
    if (!this.#isHeld) throw isLocked()
    return this.#stack.borrow(KEY_BYTES, (root) => {
      if (!this.#copy(root)) throw isLocked()
      return work(root)
    })
  }

  /** Runs `work` with the key that HKDF-Expand makes of the root key for one purpose. */
  derive<T>(label: string, work: (key: Buffer) => T): T {
    return this.use((root) =>
      this.#stack.borrow(KEY_BYTES, (key) => {
        expandInto(key, root, label)
        return work(key)
      }),
    )
  }

  /** Whether the key is still there. */
  isHeld(): boolean {
    return this.#isHeld && this.#stack.borrow(KEY_BYTES, (root) => this.#copy(root))
  }

  /** The time after which the key is forgotten begins anew. */
  touch(): void {
    this.#usedAt = Date.now()
    if (this.#isHeld && this.#memory === undefined) expireKey(this.#name, this.#idleSeconds, Ring.PROCESS)
  }

  #copy(root: Buffer): boolean {
    if (this.#sleep?.hasSlept() === true) this.#forget()
    if (this.#isForgotten) return false
    if (this.#memory === undefined) return readKey(this.#name, root, Ring.PROCESS)
    if (this.#idleSeconds > 0 && Date.now() - this.#usedAt > this.#idleSeconds * 1000) {
      this.#forget()
      return false
    }
    root.set(this.#memory.bytes.subarray(0, KEY_BYTES))
    return true
  }

  #forget(): void {
    // Not unmapped: somebody may be borrowing of it.
    if (this.#memory === undefined) dropKey(this.#name, Ring.PROCESS)
    else this.#memory.bytes.fill(0)
    this.#isForgotten = true
  }

  [Symbol.dispose](): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    if (this.#memory === undefined) dropKey(this.#name, Ring.PROCESS)
    this.#memory?.[Symbol.dispose]()
    this.#stack[Symbol.dispose]()
  }
}

function isLocked(): Fault {
  return new Fault("locked", "the vault is locked", { hint: "clawfs vault unlock" })
}
