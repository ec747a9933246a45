/**
 * The keys below a vault's root key, each for one purpose (docs/FORMAT.md): they exist for the time of a call, in secret
 * memory.
 */
import type { HeldRoot } from "../keyring/held-root.ts"
import { hmac, openBlobInto, primitives, sameBytes, sealBlob, BLOB_OVERHEAD } from "../keyring/primitives.ts"
import { KEY_BYTES } from "../keyring/secret.ts"
import { Fault } from "../clawfs/core/fault.ts"
import { bound } from "./bound.ts"

/** wrap: keys of versions · metadata · names: tags · protectors: MACs · audit: wraps the key of the chain · grants · rows, sums: row-sums.ts */
export type Purpose =
  "rows" | "sums" | "wrap" | "metadata" | "names" | "protectors" | "audit" | "grants" | "fingerprints"
const MOST_PURPOSES = 9

/** Keys that were derived in the course of one call. */
interface Kept {
  readonly room: Buffer
  readonly keys: Map<Purpose, Buffer>
}

export class VaultKeys implements Disposable {
  readonly uuid: Buffer
  readonly epoch: number
  readonly held: HeldRoot
  #kept: Kept | undefined

  /** Takes `held` over. */
  constructor(held: HeldRoot, uuid: Buffer, epoch: number) {
    this.held = held
    this.uuid = uuid
    this.epoch = epoch
  }

  with<T>(purpose: Purpose, work: (key: Buffer) => T): T {
    try {
      return this.#kept === undefined
        ? this.held.derive(labelOf(purpose), work)
        : work(this.#keptKey(this.#kept, purpose))
    } finally {
      primitives().forget()
    }
  }

  /** Runs `work`, which needs several keys, some of them more than once: each is derived at most once, and all are wiped at its end. */
  during<T>(work: () => T): T {
    if (this.#kept !== undefined) return work()
    return this.borrow(MOST_PURPOSES * KEY_BYTES, (room) => {
      this.#kept = { room, keys: new Map() }
      try {
        return work()
      } finally {
        this.#kept = undefined
      }
    })
  }

  #keptKey({ room, keys }: Kept, purpose: Purpose): Buffer {
    const known = keys.get(purpose)
    if (known !== undefined) return known
    const start = keys.size * KEY_BYTES
    const key = room.subarray(start, start + KEY_BYTES)
    this.held.derive(labelOf(purpose), (derived) => key.set(derived))
    keys.set(purpose, key)
    return key
  }

  /** Room in secret memory, as long as `work` runs. */
  borrow<T>(length: number, work: (bytes: Buffer) => T): T {
    return this.held.borrow(length, work)
  }

  /** Commits to the root key: AES-GCM alone does not (docs/FORMAT.md §6). */
  checkValue(): Buffer {
    return this.held.derive("clawfs/v1/vault check", (key) =>
      hmac(key, bound("check", this.uuid, this.epoch)),
    )
  }

  isRight(checkValue: Uint8Array): boolean {
    return sameBytes(this.checkValue(), checkValue)
  }

  mac(purpose: Purpose, message: Uint8Array): Buffer {
    return this.with(purpose, (key) => hmac(key, message))
  }

  seal(purpose: Purpose, aad: Uint8Array, plain: Uint8Array): Buffer {
    return this.with(purpose, (key) => sealBlob(key, aad, plain))
  }

  /** Opens a blob of some size into `out`. Throws `Fault("corrupt")`, which names `what`, for any other. */
  open(purpose: Purpose, aad: Uint8Array, blob: Uint8Array, out: Buffer, what: string): void {
    if (!this.with(purpose, (key) => openBlobInto(key, aad, blob, out))) throw damaged(what)
  }

  /** Runs `work` with a key that is wrapped in `blob`. */
  withWrapped<T>(
    purpose: Purpose,
    aad: Uint8Array,
    blob: Uint8Array,
    what: string,
    work: (key: Buffer) => T,
  ): T {
    if (blob.length !== KEY_BYTES + BLOB_OVERHEAD) throw damaged(what)
    return this.borrow(KEY_BYTES, (key) => {
      this.open(purpose, aad, blob, key, what)
      return work(key)
    })
  }

  [Symbol.dispose](): void {
    this.held[Symbol.dispose]()
  }
}

function labelOf(purpose: Purpose): string {
  return `clawfs/v1/vault ${purpose}`
}

export function damaged(what: string): Fault {
  return new Fault("corrupt", `${what} is damaged or belongs elsewhere`)
}
