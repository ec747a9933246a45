/**
 * Encrypted trees that the vault opens: unlocked when the vault is, locked when it is. The connection to the vault's process
 * tells: it lasts as long as the vault is unlocked, however it ends.
 */
import { VaultLink } from "../api/vault-link.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { SourceKind, openSlot, type KeySlot } from "../../keyring/slots.ts"
import { forbidDumps } from "../sys/no-dumps.ts"
import type { Encryption } from "./encryption.ts"
import type { KeyReport, KeyState } from "./messages.ts"
import { presentSource } from "./vault-slots.ts"

const LOOK_MS = 500
/** The vault answers one request after the other; an argon2id takes a second. */
const TIMEOUT_SECONDS = 10

export class VaultTrees implements Disposable {
  readonly #directory: string
  readonly #encryption: Pick<Encryption, "report" | "unlock" | "lock">
  readonly #log: Log
  #link: VaultLink | undefined
  #timer: NodeJS.Timeout | undefined
  /** One look at a time. */
  #isLooking = false
  /** What an earlier server left unlocked is looked at once. */
  #isFirst = true

  /** `directory`: the vault's. */
  constructor(directory: string, encryption: Pick<Encryption, "report" | "unlock" | "lock">, log: Log) {
    this.#directory = directory
    this.#encryption = encryption
    this.#log = log
  }

  /** To be called when trees or their slots may have changed: a store without any that the vault opens costs nothing. */
  async begin(): Promise<void> {
    if (this.#timer !== undefined) return
    const { keys } = await this.#encryption.report()
    if (!keys.some(isOfVault)) return
    this.#timer ??= setInterval(() => void this.look(), LOOK_MS).unref()
    await this.look()
  }

  /** Does what the vault's state asks for now. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      if (this.#link?.hasEnded() === true) await this.#ended()
      else if (this.#link === undefined) await this.#connect()
    } catch (thrown) {
      this.#log.error("the vault's trees are not as they should be", { reason: describe(thrown) })
    } finally {
      this.#isLooking = false
    }
  }

  async #ended(): Promise<void> {
    this.#link?.[Symbol.dispose]()
    this.#link = undefined
    await this.#lockAll()
  }

  async #connect(): Promise<void> {
    const isFirst = this.#isFirst
    this.#isFirst = false
    const link = VaultLink.connect(this.#directory, TIMEOUT_SECONDS)
    if (link === undefined) {
      // The vault may have been locked while no server was there to see it.
      if (isFirst) await this.#lockAll()
      return
    }
    this.#link = link
    await this.#openAll(link)
  }

  async #lockAll(): Promise<void> {
    const { keys } = await this.#encryption.report()
    for (const { id } of keys.filter((key) => isOfVault(key) && !key.locked)) {
      await this.#encryption.lock(id)
      this.#log.info("locked with the vault", { key: id })
    }
  }

  async #openAll(link: VaultLink): Promise<void> {
    const report = await this.#encryption.report()
    for (const state of report.keys.filter((key) => isOfVault(key) && key.locked)) {
      try {
        await this.#open(link, report, state)
      } catch (thrown) {
        this.#log.error("the vault does not open a tree", { key: state.id, reason: describe(thrown) })
      }
    }
  }

  async #open(link: VaultLink, { uuid }: KeyReport, state: KeyState): Promise<void> {
    const { id, generation, checkValue } = state
    forbidDumps()
    for (const slot of state.slots.filter(({ kind }) => kind === SourceKind.VAULT)) {
      using source = presentSource(link, slot.salt)
      if (source === undefined) continue
      const identity = { uuid: Buffer.from(uuid), id, generation }
      using key = openSlot(identity, buffersIn(slot), source, checkValue)
      if (key === undefined) continue
      await this.#encryption.unlock(id, generation, key.expose())
      this.#log.info("unlocked by the vault", { key: id })
      return
    }
    throw new Fault("denied", "none of its slots")
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#link?.[Symbol.dispose]()
    this.#link = undefined
  }
}

function isOfVault({ slots }: KeyState): boolean {
  return slots.some(({ kind }) => kind === SourceKind.VAULT)
}

/** Messages between threads make plain arrays of Buffers. */
function buffersIn(slot: KeySlot): KeySlot {
  return { ...slot, salt: Buffer.from(slot.salt), wrapped: Buffer.from(slot.wrapped) }
}
