/** The one mount that a vault may have. */
import { Fault, describe } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import type { VaultView } from "../mount/vault-view.ts"
import { VaultMount } from "./vault-mount.ts"

const PATIENCE_SECONDS = 30

export interface MountsOptions {
  /** Shown as the device. */
  readonly source: string
  readonly log: Log
}

export class Mounts implements AsyncDisposable {
  readonly #view: VaultView
  readonly #options: MountsOptions
  #mount: VaultMount | undefined
  /** Of mounting and unmounting, one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(view: VaultView, options: MountsOptions) {
    this.#view = view
    this.#options = options
  }

  /** Where the vault is mounted. */
  get mountpoint(): string | undefined {
    return this.#mount?.mountpoint
  }

  /** Mounts on an existing directory. Without a sign of life for `patience` seconds the mount is taken away. */
  mount(mountpoint: string, patience = PATIENCE_SECONDS): Promise<void> {
    return this.#next(async () => {
      if (this.#mount !== undefined)
        throw new Fault("exists", `the vault is mounted on ${this.#mount.mountpoint}`, {
          hint: "clawfs vault unmount",
        })
      this.#mount = await VaultMount.begin({
        ...{ mountpoint, source: this.#options.source, patienceMs: patience * 1000 },
        ...{ view: this.#view, log: this.#options.log, onLost: () => void this.#lost() },
      })
    })
  }

  async #lost(): Promise<void> {
    await this.unmount().catch((thrown: unknown) =>
      this.#options.log.error("unmounting failed", { reason: describe(thrown) }),
    )
  }

  /** Does nothing where nothing is mounted. */
  unmount(): Promise<void> {
    return this.#next(async () => {
      await this.#mount?.[Symbol.asyncDispose]()
      this.#mount = undefined
    })
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount()
  }
}
