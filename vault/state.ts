/** The row of table `vault`: what is known without a key. */
import type { NotePlace } from "../keyring/tpm.ts"
import type { VaultDatabase } from "./database.ts"
import { SummedRows } from "./row-sums.ts"
import { bug } from "../clawfs/core/assert.ts"

/** Where the vault's counter is; undefined for a vault without a TPM. */
export interface CounterPlace {
  readonly tcti: string
  readonly index: number
  readonly name: Buffer
  /** The counter has `base + epoch`. */
  readonly base: bigint
  /** Where the same TPM has a note of the audit's end. */
  readonly note?: NotePlace | undefined
}

export interface VaultState {
  readonly uuid: Buffer
  /** Milliseconds since 1970. */
  readonly created: number
  readonly epoch: number
  readonly rotated: number
  readonly checkValue: Buffer
  readonly auditKey: Buffer
  readonly counter: CounterPlace | undefined
  /** The vault locks itself when it is not used so long; 0: never. */
  readonly idleSeconds: number
}

type Cells = [
  uuid: Buffer,
  created: number,
  epoch: number,
  rotated: number,
  checkValue: Buffer,
  auditKey: Buffer,
  tcti: string,
  index: number,
  name: Buffer,
  base: string,
  idle: number,
  note: Buffer,
]

const COLUMNS =
  "uuid, created, epoch, rotated, check_value, audit_key, tcti, counter_index, counter_name, counter_base, idle_seconds, end_note"
const EMPTY = Buffer.alloc(0)

export function readState(db: VaultDatabase): VaultState {
  const row = db.query<[], Cells>(`SELECT ${COLUMNS} FROM vault`).get() ?? bug("the vault has no state")
  const [uuid, created, epoch, rotated, checkValue, auditKey, tcti, index, name, base, idleSeconds, note] =
    row
  const counter = tcti === "" ? undefined : { tcti, index, name, base: BigInt(base), note: noteOf(note) }
  return { uuid, created, epoch, rotated, checkValue, auditKey, counter, idleSeconds }
}

function noteOf(cell: Buffer): NotePlace | undefined {
  return cell.length === 0 ? undefined : { index: cell.readUInt32BE(), name: cell.subarray(4) }
}

function noteCell(note: NotePlace | undefined): Buffer {
  if (note === undefined) return EMPTY
  const cell = Buffer.alloc(4 + note.name.length)
  cell.writeUInt32BE(note.index)
  note.name.copy(cell, 4)
  return cell
}

/** Inserts or replaces the row; the caller is in a transaction. */
export function writeState(db: VaultDatabase, state: VaultState): void {
  const { uuid, created, epoch, rotated, checkValue, auditKey, counter, idleSeconds } = state
  const row = new SummedRows(db, "vault")
  const put = db.query<Cells>(
    `INSERT OR REPLACE INTO vault (id, ${COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const place = counter ?? { tcti: "", index: 0, name: EMPTY, base: 0n }
  row.change([1], () =>
    put.run(
      ...([uuid, created, epoch, rotated, checkValue, auditKey] as const),
      ...([
        place.tcti,
        place.index,
        place.name,
        String(place.base),
        idleSeconds,
        noteCell(counter?.note),
      ] as const),
    ),
  )
}
