/**
 * Looks for values of all secrets in what others are about to show or store. The fingerprints stay in this process: who asks gives
 * the bytes and gets back what was found. Whoever may ask could try guesses so, each hit of which is a row; only the owner may.
 */
import { fstatSync, readSync, writeSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import { MOST_SCAN_BYTES, type VaultParams } from "../../schema/vault-api.ts"
import type { Subject } from "../audit.ts"
import { MOST_EXPANSION } from "../encodings.ts"
import { LeakFilter, LeakScanner } from "../leaks.ts"
import { SecretStack } from "../../keyring/secret-stack.ts"
import { MOST_VALUE_BYTES, type Vault } from "../vault.ts"
import type { SecretEntry } from "../secrets.ts"
import { requireMemory } from "./descriptors.ts"

export interface Seen {
  /** Where it was: "exec", "tool", "mcp", "file", "proxy request", "proxy answer". */
  readonly channel: string
  readonly action: string
  /** file: which. */
  readonly ino?: number
  /** exec: whose output it was. */
  readonly program?: string
  /** tool: whose. */
  readonly tool?: string
  readonly count: number
  readonly names: readonly string[]
}

export interface Scanned {
  readonly leaks: number
  readonly secrets: readonly string[]
  /** Bytes of the longest form of a secret: what is longer than that, less one, on both sides of a place can't belong to a leak there. */
  readonly longest: number
}

type Metadata = SecretEntry["metadata"]

const isDecoy = ({ canary }: Metadata): boolean => canary === true

export class LeakGuard {
  readonly #vault: Vault
  readonly #freeze: (uid: number, canary: Buffer) => boolean
  #decoys: { readonly count: number; readonly generation: number } | undefined
  #known: { readonly scanner: LeakScanner; readonly generation: number } | undefined

  /** `freeze` ends a user's grants, within a transaction. */
  constructor(vault: Vault, freeze: (uid: number, canary: Buffer) => boolean) {
    this.#vault = vault
    this.#freeze = freeze
  }

  /** Of all values that are in use now, decoys included. */
  scanner(): LeakScanner {
    const { generation } = this.#vault
    if (this.#known?.generation !== generation) {
      const scanner = new LeakScanner()
      this.#teach(scanner, () => true)
      this.#known = { scanner, generation }
    }
    return this.#known.scanner
  }

  /** Teaches a scanner of some secrets all decoys. */
  addCanaries(scanner: LeakScanner): void {
    this.#teach(scanner, isDecoy)
  }

  /** Another number when there may be other decoys; 0: there are none. */
  decoysNow(): number {
    const { generation } = this.#vault
    if (this.#decoys?.generation !== generation)
      this.#decoys = { generation, count: this.#inUse(isDecoy).length }
    return this.#decoys.count === 0 ? 0 : generation + 1
  }

  /** Runs `work` with each decoy. They are no secrets; who has one can do nothing with it. */
  eachDecoy(work: (name: string, value: Buffer) => void): void {
    for (const entry of this.#inUse(isDecoy))
      this.#vault.withNewest(entry, (value) => work(entry.metadata.name, value))
  }

  #inUse(which: (metadata: Metadata) => boolean): SecretEntry[] {
    return this.#vault.list().filter(({ metadata }) => metadata.removed === 0 && which(metadata))
  }

  #teach(scanner: LeakScanner, which: (metadata: Metadata) => boolean): void {
    const entries = this.#inUse(which)
    if (entries.length === 0) return
    using memory = new SecretStack(MOST_EXPANSION * MOST_VALUE_BYTES)
    for (const entry of entries)
      this.#vault.withNewest(entry, (value) =>
        memory.borrow(MOST_EXPANSION * value.length, (room) => scanner.add(entry.metadata.name, value, room)),
      )
  }

  /** Looks through a file in memory, and writes it to another without what was found, if that is wanted. */
  scan(
    subject: Subject,
    { channel, action, written }: Pick<VaultParams<"scan">, "channel" | "action" | "written">,
    { from, out }: { readonly from: number; readonly out: number },
  ): Scanned {
    requireMemory(from)
    requireMemory(out)
    const { size } = fstatSync(from)
    if (size > MOST_SCAN_BYTES)
      throw new Fault("invalid", `more than ${MOST_SCAN_BYTES} bytes are not looked through at once`)
    const bytes = Buffer.from(new ArrayBuffer(size))
    for (let at = 0; at < size;) {
      const got = readSync(from, bytes, at, size - at, at)
      if (got === 0) throw new Fault("invalid", "what is to be looked through is cut off")
      at += got
    }
    const scanner = this.scanner()
    const { longest } = scanner
    if (written !== undefined) {
      const leaks = scanner.touching(bytes, written.from, written.to)
      bytes.fill(0)
      const { uid, pid, ino } = written
      const found = { count: leaks.length, names: [...new Set(leaks.map(({ name }) => name))].sort() }
      if (leaks.length > 0) this.note({ uid, pid }, { channel, action, ino, ...found })
      return { leaks: found.count, secrets: found.names, longest }
    }
    const filter = new LeakFilter(scanner)
    const clean = Buffer.concat([filter.push(bytes), filter.end()])
    const { count, names } = filter
    if (count > 0) {
      this.note(subject, { channel, action, count, names })
      if (action === "redact")
        for (let at = 0; at < clean.length;) at += writeSync(out, clean, at, clean.length - at, at)
    }
    clean.fill(0)
    return { leaks: count, secrets: names, longest }
  }

  /** Writes down what was found: a row `leak`, and one `canary` for each decoy, with which the user's grants end. */
  note(subject: Subject, { names, ...detail }: Seen): void {
    const ids: string[] = []
    for (const name of names) {
      const entry = this.#vault.find(name)
      if (entry === undefined) continue
      ids.push(entry.id.toString("hex"))
      if (entry.metadata.canary === true)
        this.#vault.audited("canary", subject, (about) => {
          about.secret = entry.id
          about.detail = { seen: detail.channel, frozen: this.#freeze(subject.uid, entry.id) }
        })
    }
    this.#vault.audited("leak", subject, (about) => {
      about.detail = { ...detail, secrets: ids }
    })
  }
}
