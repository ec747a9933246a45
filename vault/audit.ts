/**
 * The audit: a row for each use, refusal and change, written in the same transaction. Each row's MAC covers the row and the
 * MAC before it, and the head's covers how far the chain goes, so that without the key no row can be changed, removed,
 * moved or cut off. Names of secrets are not in it, only their ids; values never.
 */
import { Fault } from "../clawfs/core/fault.ts"
import { KEY_BYTES, randomSecret, wipe } from "../keyring/secret.ts"
import { expandInto, hmac, sameBytes } from "../keyring/primitives.ts"
import type { Query } from "../clawfs/store/database.ts"
import { bound } from "./bound.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { changedSums, freshSums, noSums, verifySums } from "./row-sums.ts"

/** Who asked: what the kernel says of a process. */
export interface Subject {
  readonly uid: number
  readonly pid: number
  /** The program's file. */
  readonly program?: string | undefined
  /** SHA-256 of that file, hexadecimal. */
  readonly hash?: string | undefined
  /** Its control group, as a path. */
  readonly cgroup?: string | undefined
}

export interface AuditEvent {
  readonly event: string
  /** "done", or why not. */
  readonly outcome: string
  readonly subject: Subject
  readonly secret?: Buffer
  readonly version?: number
  /** Never a value; no name either. */
  readonly detail?: Readonly<Record<string, unknown>>
}

export interface AuditRow {
  readonly seq: number
  readonly time: number
  readonly event: string
  readonly outcome: string
  readonly subject: string
  readonly secret: Buffer
  readonly version: number
  readonly detail: string
  readonly mac: Buffer
}

type Cells = [
  seq: number,
  time: number,
  event: string,
  outcome: string,
  subject: string,
  secret: Buffer,
  version: number,
  detail: string,
  mac: Buffer,
]

export interface AuditFilter {
  /** Milliseconds since 1970. */
  readonly since?: number | undefined
  readonly secret?: Buffer | undefined
  readonly uid?: number | undefined
}

const EMPTY = Buffer.alloc(0)
const COLUMNS = "seq, time, event, outcome, subject, secret, version, detail, mac"
const PAGE = 1000

export class Audit {
  readonly #insert: Query<Cells>
  readonly #db: VaultDatabase
  readonly #head: Query<[], [seq: number, cut: number, cutMac: Buffer, sums: Buffer, mac: Buffer]>
  readonly #setHead: Query<[seq: number, sums: Buffer, mac: Buffer]>
  readonly #macOf: Query<[seq: number], [mac: Buffer]>
  readonly #page: Query<[after: number, count: number], Cells>
  readonly #wrapped: Query<[], [key: Buffer]>
  readonly #lastBefore: Query<[time: number], [seq: number | null]>
  readonly #prune: Query<[cut: number]>
  readonly #setCut: Query<[cut: number, cutMac: Buffer, mac: Buffer]>

  constructor(db: VaultDatabase) {
    this.#db = db
    this.#insert = db.query(`INSERT INTO audit (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#head = db.query("SELECT seq, cut, cut_mac, sums, mac FROM audit_head")
    this.#setHead = db.query("UPDATE audit_head SET seq = ?, sums = ?, mac = ?")
    this.#macOf = db.query("SELECT mac FROM audit WHERE seq = ?")
    this.#page = db.query(`SELECT ${COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`)
    this.#wrapped = db.query("SELECT audit_key FROM vault")
    this.#lastBefore = db.query("SELECT max(seq) FROM audit WHERE time < ?")
    this.#prune = db.query("DELETE FROM audit WHERE seq <= ?")
    this.#setCut = db.query("UPDATE audit_head SET cut = ?, cut_mac = ?, mac = ?")
  }

  /** The first rows of a new vault's audit: none, and a head that says so. Returns the chain's key, wrapped. */
  static begin(db: VaultDatabase, keys: VaultKeys): Buffer {
    const key = randomSecret()
    const sums = noSums(keys)
    const mac = headMac(key, keys.uuid, { seq: 0, cut: 0, cutMac: EMPTY, sums }, EMPTY)
    db.query<[Buffer, Buffer, Buffer]>(
      "INSERT INTO audit_head (id, seq, cut, cut_mac, sums, mac) VALUES (1, 0, 0, ?, ?, ?)",
    ).run(EMPTY, sums, mac)
    const wrapped = keys.seal("audit", keyBinding(keys), key)
    wipe(key)
    return wrapped
  }

  /** The chain's key, wrapped by the next root key. */
  static rewrap(wrapped: Buffer, keys: VaultKeys, next: VaultKeys): Buffer {
    return keys.withWrapped("audit", keyBinding(keys), wrapped, "the audit's key", (key) =>
      next.seal("audit", keyBinding(next), key),
    )
  }

  #withKey<T>(keys: VaultKeys, work: (key: Buffer) => T): T {
    const [wrapped] = this.#wrapped.get() ?? [EMPTY]
    return keys.withWrapped("audit", keyBinding(keys), wrapped, "the audit's key", work)
  }

  /** Adds a row, and what the transaction has changed to the sums of the tables. Returns its number. */
  append(keys: VaultKeys, { event, outcome, subject, secret, version, detail }: AuditEvent): number {
    return this.#withKey(keys, (key) => {
      const head = this.#checkedHead(key, keys.uuid)
      const row = {
        seq: head.seq + 1,
        time: Date.now(),
        event,
        outcome,
        subject: JSON.stringify(subject),
        secret: secret ?? EMPTY,
        version: version ?? 0,
        detail: JSON.stringify(detail ?? {}),
      }
      const mac = rowMac(key, keys.uuid, row, head.last)
      const { seq, time } = row
      this.#insert.run(seq, time, event, outcome, row.subject, row.secret, row.version, row.detail, mac)
      const sums = changedSums(keys, head.sums, this.#db.takeNotes())
      this.#setHead.run(seq, sums, headMac(key, keys.uuid, { ...head, seq, sums }, mac))
      return seq
    })
  }

  /**
   * Throws `Fault("corrupt")` when a row of another table was put back, taken away or added since it was last written. A vault of
   * the first format gets its sums now.
   */
  verifyRows(keys: VaultKeys): void {
    const { sums } = this.#withKey(keys, (key) => this.#checkedHead(key, keys.uuid))
    if (sums.length > 0) verifySums(this.#db, keys, sums)
    else this.#db.transact(() => this.sumAnew(keys))
  }

  /** Takes all rows for what they should be; the caller is in a transaction. */
  sumAnew(keys: VaultKeys): void {
    this.#db.takeNotes()
    const sums = freshSums(this.#db, keys)
    this.#withKey(keys, (key) => {
      const head = this.#checkedHead(key, keys.uuid)
      this.#setHead.run(head.seq, sums, headMac(key, keys.uuid, { ...head, sums }, head.last))
    })
  }

  /** Runs `work` with what the key that signs the chain without a TPM is made of; it stays the same as long as the chain's key. */
  withSigningSeed<T>(keys: VaultKeys, work: (seed: Buffer) => T): T {
    return this.#withKey(keys, (key) =>
      keys.borrow(KEY_BYTES, (seed) => {
        expandInto(seed, key, "clawfs/v1/vault audit signature")
        return work(seed)
      }),
    )
  }

  /** Runs `work` with what the TPM's note of the end is read and written by: only who has the chain's key can. */
  withNoteAuth<T>(keys: VaultKeys, work: (auth: Buffer) => T): T {
    return this.#withKey(keys, (key) =>
      keys.borrow(KEY_BYTES, (auth) => {
        expandInto(auth, key, "clawfs/v1/vault end note")
        // The TPM cuts zeroes off the end.
        auth[KEY_BYTES - 1] = (auth[KEY_BYTES - 1] ?? 0) | 1
        return work(auth)
      }),
    )
  }

  /** The newest row's number and MAC. */
  end(keys: VaultKeys): { readonly seq: number; readonly mac: Buffer } {
    const { seq, last } = this.#withKey(keys, (key) => this.#checkedHead(key, keys.uuid))
    return { seq, mac: last }
  }

  /** Whether the row `seq` has this MAC; one that was pruned may have any. */
  has(keys: VaultKeys, seq: number, mac: Uint8Array): boolean {
    const head = this.#withKey(keys, (key) => this.#checkedHead(key, keys.uuid))
    if (seq < head.cut) return true
    const own = seq === head.cut ? head.cutMac : this.#macOf.get(seq)?.[0]
    return own !== undefined && sameBytes(own, mac)
  }

  /** Number of the newest row that is older than `time`; 0 when there is none. */
  lastBefore(time: number): number {
    return this.#lastBefore.get(time)?.[0] ?? 0
  }

  /** Removes the rows up to `cut`; the chain goes on from its MAC. The caller is in a transaction. Returns how many went. */
  prune(keys: VaultKeys, cut: number): number {
    return this.#withKey(keys, (key) => {
      const head = this.#checkedHead(key, keys.uuid)
      const cutMac = this.#macOf.get(cut)?.[0]
      if (cut <= head.cut || cutMac === undefined) return 0
      const count = this.#prune.run(cut)
      this.#setCut.run(cut, cutMac, headMac(key, keys.uuid, { ...head, cut, cutMac }, head.last))
      return count
    })
  }

  /** Throws `Fault("corrupt")` for a head that is not ours, and for a chain that ends before it. */
  #checkedHead(key: Buffer, uuid: Buffer): Head & { readonly last: Buffer } {
    const [seq, cut, cutMac, sums, mac] = this.#head.get() ?? [-1, 0, EMPTY, EMPTY, EMPTY]
    const last = seq === cut ? cutMac : this.#macOf.get(seq)?.[0]
    if (last === undefined || !sameBytes(headMac(key, uuid, { seq, cut, cutMac, sums }, last), mac))
      throw damaged("the audit's end")
    return { seq, cut, cutMac, sums, last }
  }

  /** The rows behind number `after`, some of them. */
  page(after: number): AuditRow[] {
    return this.#page.all(after, PAGE).map(rowOf)
  }

  /** Rows in order, the newest last. */
  *rows({ since, secret, uid }: AuditFilter = {}): Generator<AuditRow> {
    for (let after = 0; ;) {
      const page = this.#page.all(after, PAGE)
      if (page.length === 0) return
      for (const cells of page) {
        const row = rowOf(cells)
        after = row.seq
        const isOf = uid === undefined || (JSON.parse(row.subject) as Subject).uid === uid
        if (row.time >= (since ?? 0) && (secret?.equals(row.secret) ?? true) && isOf) yield row
      }
    }
  }

  /**
   * Goes over the whole chain. Returns its length and its last MAC, to be kept elsewhere: with it a later look can tell
   * whether the database was put back to an earlier state. Throws `Fault("corrupt")` with the number of the first row that
   * is not as it was written. `known`: a MAC that was noted before, and must be in the chain. `each` sees every row and the MAC
   * before it.
   */
  verify(
    keys: VaultKeys,
    known?: { seq: number; mac: Buffer },
    each?: (row: AuditRow, before: Buffer) => void,
  ): { rows: number; seq: number; mac: Buffer; cut: number } {
    return this.#withKey(keys, (key) => {
      const head = this.#checkedHead(key, keys.uuid)
      let [seq, mac, rows] = [head.cut, head.cutMac, 0]
      if (known !== undefined && known.seq < seq)
        throw new Fault(
          "not-found",
          `row ${known.seq} of the audit was pruned; the first that is kept is ${seq + 1}`,
        )
      if (known?.seq === seq && !sameBytes(known.mac, mac)) throw damaged(`row ${seq} of the audit`)
      for (const row of this.rows()) {
        const expected = rowMac(key, keys.uuid, row, mac)
        if (row.seq !== seq + 1 || !sameBytes(expected, row.mac)) throw damaged(`row ${seq + 1} of the audit`)
        if (known?.seq === row.seq && !sameBytes(known.mac, row.mac))
          throw damaged(`row ${row.seq} of the audit`)
        each?.(row, mac)
        ;[seq, mac, rows] = [row.seq, row.mac, rows + 1]
      }
      if (seq !== head.seq || (known !== undefined && known.seq > seq)) throw damaged("the audit's end")
      return { rows, seq, mac, cut: head.cut }
    })
  }
}

interface Head {
  readonly seq: number
  readonly cut: number
  readonly cutMac: Buffer
  /** Of the other tables' rows, sealed; empty in a vault of the first format until it is unlocked. */
  readonly sums: Buffer
}

function keyBinding({ uuid, epoch }: VaultKeys): Buffer {
  return bound("audit key", uuid, epoch)
}

function headMac(key: Buffer, uuid: Buffer, { seq, cut, cutMac, sums }: Head, last: Buffer): Buffer {
  const more = sums.length === 0 ? [] : [sums]
  return hmac(key, bound("audit head", uuid, seq, cut, cutMac, last, ...more))
}

function rowMac(key: Buffer, uuid: Buffer, row: Omit<AuditRow, "mac">, before: Buffer): Buffer {
  const { seq, time, event, outcome, subject, secret, version, detail } = row
  return hmac(
    key,
    bound("audit row", ...[uuid, before, seq, time, event, outcome, subject, secret, version, detail]),
  )
}

function rowOf([seq, time, event, outcome, subject, secret, version, detail, mac]: Cells): AuditRow {
  return { seq, time, event, outcome, subject, secret, version, detail, mac }
}
