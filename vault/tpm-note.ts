/**
 * Where the audit ended, noted in the vault's TPM: a whole vault.db that was put back to an earlier state does not have that end,
 * after a restart of the machine either. Only who has the chain's key can write the note. It is written when the vault is locked, and
 * seldom while it is unlocked, as the TPM's cells wear out; it lags behind the database, never the other way round: what it notes
 * is on the disk already.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { Tpm } from "../keyring/tpm.ts"
import type { Subject } from "./audit.ts"
import type { VaultDatabase } from "./database.ts"
import { readState, writeState } from "./state.ts"
import type { Vault } from "./vault.ts"

const MAC_BYTES = 32
const NOTE_BYTES = 8 + MAC_BYTES
/** Changes are noted within seconds as long as there are writes left; one comes back each hour. Uses wait until all are back. */
export const MOST_WRITES = 4
const HOUR_MS = 3_600_000

export type Step = (name: string) => void

export class TpmNote {
  readonly #db: VaultDatabase
  readonly #vault: Vault
  readonly #subject: Subject
  readonly #step: Step | undefined
  #seq: number
  #stamp: number
  #writes = MOST_WRITES
  #since = Date.now()

  /** For the time from an unlocking on. `step` is called at named points, for tests that stop there. */
  constructor(db: VaultDatabase, vault: Vault, subject: Subject, step?: Step) {
    this.#db = db
    this.#vault = vault
    this.#subject = subject
    this.#step = step
    this.#seq = vault.audit.end(vault.keys).seq
    this.#stamp = db.stamp
  }

  /** Why this database is not the newest that the TPM knows of; undefined: it is, or there is no note. */
  static doubt(db: VaultDatabase, { audit, keys }: Vault): string | undefined {
    const { counter } = readState(db)
    const place = counter?.note
    if (counter === undefined || place === undefined) return undefined
    using tpm = new Tpm(counter.tcti)
    const note = audit.withNoteAuth(keys, (auth) => tpm.readNote(place, auth, NOTE_BYTES))
    if (note === undefined) return "the TPM's note of the vault's newest state is gone"
    const seq = Number(note.readBigUInt64BE())
    if (audit.has(keys, seq, note.subarray(8))) return undefined
    const rows = Math.max(1, seq - audit.end(keys).seq)
    return `the vault is older than its TPM's note: its audit lacks ${rows} ${rows === 1 ? "row" : "rows"} or more`
  }

  /** Throws `Fault("denied")` for a database that was put back to an earlier state. */
  static requireNewest(db: VaultDatabase, vault: Vault): void {
    const doubt = TpmNote.doubt(db, vault)
    if (doubt === undefined) return
    throw new Fault("denied", doubt, {
      hint: "if this is a backup that you have restored yourself: clawfs vault adopt",
    })
  }

  /** From time to time: notes what is new, if there are writes left for it, and makes a note where the TPM has none. */
  tick(now = Date.now()): void {
    const { counter } = readState(this.#db)
    if (counter === undefined) return
    const back = Math.floor((now - this.#since) / HOUR_MS)
    this.#since += back * HOUR_MS
    this.#writes = Math.min(MOST_WRITES, this.#writes + back)
    const isChanged = this.#db.stamp !== this.#stamp || counter.note === undefined
    const isNew = this.#vault.audit.end(this.#vault.keys).seq !== this.#seq
    if (!(isChanged && this.#writes > 0) && !(isNew && this.#writes === MOST_WRITES)) return
    // Also where it fails: it is not tried every two seconds.
    this.#writes -= 1
    this.write()
  }

  /** When the vault is locked: notes what is new. */
  last(): void {
    if (this.#vault.audit.end(this.#vault.keys).seq !== this.#seq) this.write()
  }

  /** Notes the present end. Its row is signed first, and so on the disk. */
  write(): void {
    const { counter } = readState(this.#db)
    if (counter === undefined) return
    this.#vault.signAudit(this.#subject)
    this.#step?.("note: signed")
    const { audit, keys } = this.#vault
    const { seq, mac } = audit.end(keys)
    const bytes = Buffer.alloc(NOTE_BYTES)
    bytes.writeBigUInt64BE(BigInt(seq))
    mac.copy(bytes, 8)
    this.#put(bytes)
    this.#step?.("note: written")
    this.#seq = audit.end(keys).seq
    this.#stamp = this.#db.stamp
  }

  #put(bytes: Buffer): void {
    const state = readState(this.#db)
    const { counter } = state
    if (counter === undefined) return
    const { audit, keys } = this.#vault
    const { note } = counter
    using tpm = new Tpm(counter.tcti)
    if (note !== undefined) {
      if (!audit.withNoteAuth(keys, (auth) => tpm.writeNote(note, auth, bytes)))
        throw new Fault("denied", "the TPM's note of the vault's newest state is gone")
      return
    }
    const made = audit.withNoteAuth(keys, (auth) => tpm.newNote(auth, bytes))
    this.#step?.("note: made")
    this.#vault.audited("end-note", this.#subject, (about) => {
      about.detail = { index: made.index }
      writeState(this.#db, { ...state, counter: { ...counter, note: made } })
    })
  }
}
