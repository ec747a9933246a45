/**
 * An unlocked vault: what can be done with its secrets. Each use, change and refusal is a row of the audit in the same
 * transaction; what can't be written there does not happen. Everything is synchronous, on one thread.
 */
import { randomBytes } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import { hmac, sameBytes } from "../keyring/primitives.ts"
import type { PersonSecret } from "../keyring/secret-protector.ts"
import { SecretStack } from "../keyring/secret-stack.ts"
import { Audit, type AuditEvent, type Subject } from "./audit.ts"
import { signatureOfEnd, verifySigned } from "./audit-signature.ts"
import type { TpmChoice } from "./create.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { DAY_MS, MOST_KEPT, RETENTION_DAYS, checkName, isExpired } from "./metadata.ts"
import { addPerson, addTpm, removeProtector } from "./protector-changes.ts"
import { Protectors, type ProtectorRow } from "./protectors.ts"
import { newMetadata, withOptions, type PutOptions } from "./put-options.ts"
import { adopt, rotateRoot, type Step } from "./rotate.ts"
import { Secrets, type SecretEntry } from "./secrets.ts"
import { Versions, type VersionInfo } from "./versions.ts"

export const MOST_VALUE_BYTES = 64 * 1024

/** A value from elsewhere. */
export interface Incoming {
  readonly name: string
  readonly value: Buffer
  readonly options?: PutOptions
}

/** What the vault has under the name of a value that comes in: nothing, the same value, another one. */
export type Found = "new" | "same" | "other"

/** What a row of the audit is about; filled in while the work finds out. */
export interface About {
  secret?: Buffer
  version?: number
  detail?: Readonly<Record<string, unknown>>
}

export class Vault implements Disposable {
  readonly #db: VaultDatabase
  #keys: VaultKeys
  readonly #audit: Audit
  readonly #secrets: Secrets
  readonly #versions: Versions
  readonly #values = new SecretStack(2 * MOST_VALUE_BYTES)
  readonly #step: Step | undefined
  #generation = 0
  #isDoubtful = false

  /** Takes `keys` over. `step` is called at named points, for tests that stop there. */
  constructor(db: VaultDatabase, keys: VaultKeys, step?: Step) {
    this.#db = db
    this.#keys = keys
    this.#audit = new Audit(db)
    this.#secrets = new Secrets(db)
    this.#versions = new Versions(db)
    this.#step = step
  }

  /** Goes up when the newest value of a secret may be another one. */
  get generation(): number {
    return this.#generation
  }

  get keys(): VaultKeys {
    return this.#keys
  }

  /** Runs `work`, which uses the vault several times: its keys are derived once meanwhile. Not for what makes a new root key. */
  during<T>(work: () => T): T {
    return this.#keys.during(work)
  }

  /** Where values are while they are used. */
  get values(): SecretStack {
    return this.#values
  }

  isLocked(): boolean {
    return !this.#keys.held.isHeld()
  }

  /**
   * Runs `work` and writes its row, both or neither. A `Fault` of it becomes a row too: a refusal. With `isUse` the row may be
   * lost with the power, though not with the process.
   */
  audited<T>(event: string, subject: Subject, work: (about: About) => T, isUse = false): T {
    const about: About = {}
    const row = (outcome: string): AuditEvent => ({ event, outcome, subject, ...about })
    try {
      return this.#db.transact(
        () =>
          this.#keys.during(() => {
            this.#requireOwnRows()
            const result = work(about)
            this.#step?.(`${event}: before the audit`)
            this.#audit.append(this.#keys, row("done"))
            this.#step?.(`${event}: before the commit`)
            return result
          }),
        { durable: !isUse },
      )
    } catch (thrown) {
      if (thrown instanceof Fault && REFUSALS.has(thrown.kind))
        this.#db.transact(() => this.#audit.append(this.#keys, row(thrown.kind)), { durable: !isUse })
      throw thrown
    } finally {
      this.#step?.(`${event}: after the commit`)
    }
  }

  /** Nobody else writes to the database: when another connection did, all rows are looked at, until they are right again. */
  #requireOwnRows(): void {
    this.#isDoubtful ||= this.#db.wasChangedByOthers()
    if (this.#isDoubtful) this.#audit.verifyRows(this.#keys)
    this.#isDoubtful = false
  }

  #present(name: string, about: About): SecretEntry {
    const entry = this.#secrets.find(this.#keys, name)
    if (entry?.metadata.removed !== 0) throw unknown(name)
    about.secret = entry.id
    return entry
  }

  /** Stores a value as the secret's next version, and what else is given. Returns the version. */
  put(subject: Subject, name: string, value: Uint8Array, options: PutOptions = {}): number {
    checkValue(name, value)
    return this.audited("put", subject, (about) => this.#store(about, name, value, options))
  }

  #store(about: About, name: string, value: Uint8Array, options: PutOptions): number {
    const now = Date.now()
    const found = this.#secrets.find(this.#keys, name)
    const isThere = found?.metadata.removed === 0
    if (options.must === "exist" && !isThere) throw unknown(name)
    if (options.must === "be new" && isThere)
      throw new Fault("exists", `the vault has a secret ${JSON.stringify(name)}`)
    const id = found?.id ?? randomBytes(16)
    const metadata = withOptions(found?.metadata ?? newMetadata(name, now), options)
    const version = metadata.latest + 1
    about.secret = id
    about.version = version
    this.#versions.add(this.#keys, { secret: id, version, created: now }, value)
    this.#step?.("put: version added")
    const entry = { id, metadata: { ...metadata, latest: version, changed: now, removed: 0 } }
    this.#secrets.put(this.#keys, entry)
    this.#generation += 1
    this.#prune(entry, now)
    return version
  }

  /**
   * Takes values in from elsewhere: all that are to be stored, or none. `feed` gives them one by one; `choose` is told what the
   * vault has under each name, says whether the value is stored, and throws to refuse them all. A row `import` for each.
   */
  takeIn(
    subject: Subject,
    feed: (take: (incoming: Incoming) => void) => void,
    choose: (name: string, found: Found) => boolean,
  ): void {
    const take = ({ name, value, options = {} }: Incoming): void => {
      checkValue(name, value)
      const about: About = {}
      const found = this.#compare(name, value, about)
      const stores = choose(name, found)
      about.detail = { found, stores }
      if (stores) this.#store(about, name, value, options)
      this.#step?.("import: one taken")
      this.#audit.append(this.#keys, { event: "import", outcome: "done", subject, ...about })
    }
    try {
      this.#db.transact(() => {
        this.#requireOwnRows()
        this.#keys.during(() => feed(take))
        this.#step?.("import: before the commit")
      })
      this.#step?.("import: after the commit")
    } catch (thrown) {
      if (thrown instanceof Fault && REFUSALS.has(thrown.kind))
        this.#db.transact(() =>
          this.#audit.append(this.#keys, { event: "import", outcome: thrown.kind, subject }),
        )
      throw thrown
    }
  }

  /** Decoys, and what has expired, are not compared: nobody learns of them this way. */
  #compare(name: string, value: Buffer, about: About): Found {
    const entry = this.#secrets.find(this.#keys, name)
    if (entry?.metadata.removed !== 0) return "new"
    const { id, metadata } = entry
    about.secret = id
    const isOpen = metadata.canary !== true && !isExpired(metadata, Date.now())
    if (!isOpen || this.#versions.sizeOf(id, metadata.latest) !== value.length) return "other"
    return this.#values.borrow(value.length, (room) => {
      this.#versions.open(this.#keys, id, metadata.latest, room)
      return sameBytes(room, value) ? "same" : "other"
    })
  }

  /**
   * HMAC-SHA256 under `key` of a version, decrypted from the database: shows who has just put it that it arrived. Not for
   * anybody else, who could try values with it.
   */
  echo(name: string, version: number, key: Buffer): Buffer {
    const { id } = this.#present(name, {})
    const size = this.#versions.sizeOf(id, version)
    if (size === undefined) throw damaged("a version of a secret")
    return this.#values.borrow(size, (room) => {
      this.#versions.open(this.#keys, id, version, room)
      return hmac(key, room)
    })
  }

  /** Changes what is known of a secret, not its value. */
  describe(subject: Subject, name: string, options: PutOptions): void {
    this.audited("describe", subject, (about) => {
      const { id, metadata } = this.#present(name, about)
      this.#secrets.put(this.#keys, { id, metadata: withOptions(metadata, options) })
    })
  }

  /**
   * Decrypts a value, writes the use down, and then runs `work` with the value in secret memory. `event`: what it is used for.
   * `allow` is asked within the transaction, and throws to refuse.
   */
  use<T>(
    subject: Subject,
    event: string,
    {
      name,
      version,
      detail,
    }: {
      readonly name: string
      readonly version?: number | undefined
      /** More for the audit: neither values nor names. */
      readonly detail?: Readonly<Record<string, unknown>>
    },
    work: (value: Buffer) => T,
    allow?: (entry: SecretEntry) => void,
  ): T {
    return this.#values.borrow(MOST_VALUE_BYTES, (room) => {
      const value = this.audited(
        event,
        subject,
        (about) => {
          if (detail !== undefined) about.detail = detail
          const entry = this.#present(name, about)
          allow?.(entry)
          if (isExpired(entry.metadata, Date.now()))
            throw new Fault(
              "denied",
              `the secret expired on ${new Date(entry.metadata.expires).toISOString()}`,
            )
          const wanted = version ?? entry.metadata.latest
          about.version = wanted
          const size = this.#versions.sizeOf(entry.id, wanted)
          if (size === undefined || size > MOST_VALUE_BYTES) throw this.#noVersion(entry, wanted)
          const bytes = room.subarray(0, size)
          this.#versions.open(this.#keys, entry.id, wanted, bytes)
          return bytes
        },
        true,
      )
      return work(value)
    })
  }

  /** Runs `work` with the newest value, without a row: for fingerprints, which give nothing out. */
  withNewest({ id, metadata }: SecretEntry, work: (value: Buffer) => void): void {
    const size = this.#versions.sizeOf(id, metadata.latest)
    if (size === undefined || size > MOST_VALUE_BYTES) throw damaged("the newest version of a secret")
    this.#values.borrow(size, (room) => {
      this.#versions.open(this.#keys, id, metadata.latest, room)
      work(room)
    })
  }

  #noVersion({ metadata }: SecretEntry, wanted: number): Fault {
    const isKnown = wanted >= 1 && wanted <= metadata.latest
    if (isKnown && wanted === metadata.latest) return damaged("the newest version of a secret")
    return new Fault("not-found", `version ${wanted} of the secret ${isKnown ? "is destroyed" : "never was"}`)
  }

  list(): SecretEntry[] {
    return this.#secrets.all(this.#keys)
  }

  find(name: string): SecretEntry | undefined {
    return this.#secrets.find(this.#keys, name)
  }

  /** Of a secret that is in use. */
  nameOf(id: string): string | undefined {
    const metadata = this.#secrets.byId(this.#keys, Buffer.from(id, "hex"))?.metadata
    return metadata?.removed === 0 ? metadata.name : undefined
  }

  history(name: string): VersionInfo[] {
    return this.#versions.list(this.#present(name, {}).id)
  }

  /** The secret is out of use at once; its versions go after the retention. */
  remove(subject: Subject, name: string): void {
    this.audited("rm", subject, (about) => {
      const { id, metadata } = this.#present(name, about)
      this.#secrets.put(this.#keys, { id, metadata: { ...metadata, removed: Date.now() } })
      this.#generation += 1
    })
  }

  /**
   * Destroys the keys of all versions, or of one that is not the newest. A removed secret can be destroyed too. `also` goes with
   * the whole secret, in the same transaction.
   */
  destroy(subject: Subject, name: string, version?: number, also?: (secret: Buffer) => unknown): void {
    this.audited("destroy", subject, (about) => {
      const entry = this.#secrets.find(this.#keys, name)
      if (entry === undefined) throw unknown(name)
      about.secret = entry.id
      if (version === undefined) {
        this.#forget(entry)
        also?.(entry.id)
        return
      }
      about.version = version
      if (version === entry.metadata.latest)
        throw new Fault("invalid", "the newest version of a secret is in use", {
          hint: "put a new value first, or destroy the whole secret",
        })
      if (!this.#versions.destroy(entry.id, version)) throw this.#noVersion(entry, version)
    })
    this.#db.settle()
    this.#step?.("destroy: settled")
  }

  #forget({ id }: SecretEntry): void {
    for (const { version } of this.#versions.list(id)) this.#versions.destroy(id, version)
    this.#versions.removeAll(id)
    this.#secrets.delete(id)
    this.#generation += 1
  }

  /** Old versions of a secret: destroyed when there are too many, or the retention is over. */
  #prune({ id, metadata }: SecretEntry, now: number): number {
    // Those before were destroyed when there were fewer behind them than there are now.
    const versions = this.#versions.list(id, metadata.latest - MOST_KEPT - 1)
    let count = 0
    versions.forEach(({ version, isDestroyed }, at) => {
      const next = versions[at + 1]
      if (next === undefined || isDestroyed) return
      const isOld = now - next.created > RETENTION_DAYS * DAY_MS
      if (!isOld && versions.length - 1 - at <= metadata.keep) return
      this.#versions.destroy(id, version)
      count += 1
    })
    return count
  }

  /** Destroys what the retention is over for. Returns how many versions and secrets. */
  maintain(subject: Subject): number {
    const now = Date.now()
    const gone = this.list().filter(
      ({ metadata: { removed } }) => removed !== 0 && now - removed > RETENTION_DAYS * DAY_MS,
    )
    const old = this.list().filter((entry) => !gone.includes(entry))
    let count = 0
    const work = (about: About): void => {
      for (const entry of gone) this.#forget(entry)
      count = gone.length + old.reduce((sum, entry) => sum + this.#prune(entry, now), 0)
      about.detail = { count }
    }
    const isDue =
      gone.length > 0 ||
      old.some(({ id }) =>
        this.#versions
          .list(id)
          .some(
            ({ isDestroyed }, at, all) =>
              !isDestroyed && now - (all[at + 1]?.created ?? now) > RETENTION_DAYS * DAY_MS,
          ),
      )
    if (!isDue) return 0
    this.audited("retention", subject, work)
    this.#db.settle()
    return count
  }

  protectors(): ProtectorRow[] {
    return new Protectors(this.#db).verified(this.#keys)
  }

  addPerson(subject: Subject, person: PersonSecret): number {
    return addPerson(this.#db, this, subject, person)
  }

  addTpm(subject: Subject, choice: TpmChoice): number {
    return addTpm(this.#db, this, subject, choice)
  }

  removeProtector(subject: Subject, number: number): void {
    removeProtector(this.#db, this, subject, number)
  }

  /** A new root key: everything is wrapped anew, and what older copies of the database hold opens no more by the TPM. */
  rotate(subject: Subject, pin?: Buffer): void {
    const step = this.#step
    const options = { subject, pin, ...(step === undefined ? {} : { step }) }
    this.#keys = rotateRoot(this.#db, this.#keys, options)
  }

  /** Makes this database the one that the TPM's counter is for. */
  adopt(subject: Subject, pin?: Buffer, isBehind = false): void {
    this.#keys = adopt(this.#db, this.#keys, { subject, pin, isBehind })
  }

  get audit(): Audit {
    return this.#audit
  }

  /** A second look at the audit: see `Audit.verify`; and at the sums of all other rows. */
  verifyAudit(known?: { seq: number; mac: Buffer }): ReturnType<typeof verifySigned> {
    this.#audit.verifyRows(this.#keys)
    return verifySigned(this.#audit, this.#keys, known)
  }

  /** Signs the audit's end, if there is something new since the last time. */
  signAudit(subject: Subject): void {
    const detail = signatureOfEnd(this.#db, this.#audit, this.#keys)
    if (detail !== undefined) this.audited("signature", subject, (about) => (about.detail = { ...detail }))
  }

  /** Removes rows of the audit that are older than `before`. Returns how many. */
  pruneAudit(subject: Subject, before: number): number {
    const count = this.audited("audit-prune", subject, (about) => {
      const cut = this.#audit.lastBefore(before)
      const removed = this.#audit.prune(this.#keys, cut)
      about.detail = { cut, removed }
      return removed
    })
    this.#db.settle()
    return count
  }

  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]()
    this.#values[Symbol.dispose]()
  }
}

function checkValue(name: string, value: Uint8Array): void {
  checkName(name)
  if (value.length === 0) throw new Fault("invalid", "the value is empty")
  if (value.length > MOST_VALUE_BYTES)
    throw new Fault("invalid", `the value has more than ${MOST_VALUE_BYTES} bytes`)
}

function unknown(name: string): Fault {
  return new Fault("not-found", `the vault has no secret ${JSON.stringify(name)}`)
}

/** Failures that say something of who asked; the disk's say nothing, and a locked vault can't write. */
const REFUSALS: ReadonlySet<string> = new Set(["not-found", "denied", "invalid", "exists", "corrupt", "busy"])
