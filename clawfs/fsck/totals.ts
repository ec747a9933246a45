/** Row `state`: totals and counters against what the tables hold. */
import { logPosition, positionOf, segmentOf } from "../store/log-position.ts"
import { STATE_COLUMNS } from "../store/counters.ts"
import type { Pass } from "./pass.ts"
import { INO_LIMIT, SAFE_LIMIT, change, numberOf } from "./scan.ts"

interface State {
  readonly nextIno: number
  readonly inodes: number
  readonly bytes: number
  readonly sequence: number
  readonly batch: number
  readonly lastSegment: number
  readonly logEnd: number
  readonly logSynced: number
}

const COLUMNS = "next_ino, inodes, bytes, sequence, batch, last_segment, log_end, log_synced"

/** To be called when all other tables have been read. */
export function checkTotals(pass: Pass): void {
  const { db, findings, totals, index } = pass
  const state = readState(pass)
  if (state === undefined) {
    findings.add({
      kind: "state",
      message: "the row of table state is lost",
      // What can be counted the next pass puts right.
      repair: () => {
        // Its key may be what is damaged.
        change(db, "DELETE FROM state")
        change(
          db,
          `INSERT INTO state (id, ${STATE_COLUMNS}) VALUES (1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`,
        )
      },
    })
    return
  }
  const highestIno = index.size === 0 ? 1 : (index.ino[index.size - 1] ?? 1)
  // Bodies have numbers of the same kind.
  const bodies = `SELECT max(body) FROM inode WHERE body != 0 AND body < ${INO_LIMIT}`
  const highest = Math.max(highestIno, numberOf(db, bodies) ?? 0)
  compare(pass, "inodes", state.inodes, totals.inodes)
  if (Number.isSafeInteger(totals.bytes)) compare(pass, "bytes", state.bytes, totals.bytes)
  if (state.nextIno <= highest || state.nextIno >= INO_LIMIT) {
    const message = `the next inode number, ${state.nextIno}, is not above all that are used (${highest})`
    if (highest + 1 < INO_LIMIT) set(pass, "next_ino", highest + 1, message)
    else findings.add({ kind: "state", message })
  }
  for (const [name, value] of [
    ["sequence", state.sequence],
    ["batch", state.batch],
  ] as const) {
    // Only the journal needs the number of the batch, and a repair is refused while there is something in it.
    if (value < 0 || value >= SAFE_LIMIT) set(pass, name, 0, `${name} is ${value}, which can't be`)
  }
  checkLog(pass, state)
}

function readState({ db }: Pass): State | undefined {
  const row = db.query<[], number[]>(`SELECT ${COLUMNS} FROM state WHERE id = 1`).get()
  if (row === undefined) return undefined
  const [
    nextIno = 0,
    inodes = 0,
    bytes = 0,
    sequence = 0,
    batch = 0,
    lastSegment = 0,
    logEnd = 0,
    logSynced = 0,
  ] = row
  return { nextIno, inodes, bytes, sequence, batch, lastSegment, logEnd, logSynced }
}

function compare(pass: Pass, column: "inodes" | "bytes", said: number, counted: number): void {
  if (said !== counted) set(pass, column, counted, `the store counts ${said} ${column}, there are ${counted}`)
}

function set({ db, findings }: Pass, column: string, value: number, message: string): void {
  findings.add({
    kind: "state",
    message,
    repair: () => change(db, `UPDATE state SET ${column} = ?`, value),
  })
}

/** Where the log ends: the next mount cuts off what lies behind, so it must not lie before anything that is used. */
function checkLog(pass: Pass, state: State): void {
  const { db, findings, use } = pass
  const rows = numberOf(db, `SELECT max(id) FROM segment WHERE id < ${2 ** 32}`) ?? 0
  const used = [...use].filter(([, { end }]) => end > 0)
  const highest = used.reduce((most, [id]) => Math.max(most, id), rows)
  if (state.lastSegment < highest || state.lastSegment >= 2 ** 32) {
    const message = `the highest number of a segment is ${state.lastSegment}, but there is segment ${highest}`
    set(pass, "last_segment", highest, message)
  }
  const end = used.reduce((most, [id, { end: position }]) => Math.max(most, logPosition(id, position)), 0)
  const { logEnd, logSynced } = state
  if (logEnd === 0) return
  const isPossible = logEnd > 0 && logEnd < SAFE_LIMIT && logSynced >= 0 && logSynced <= logEnd
  if (isPossible && end <= logEnd) return
  const place = (at: number): string => `segment ${segmentOf(at)} position ${positionOf(at)}`
  findings.add({
    kind: "state",
    message: isPossible
      ? `the log ends at ${place(logEnd)}, but records up to ${place(end)} are in use`
      : `the log can't end at ${logEnd}, being on the disk up to ${logSynced}`,
    // 0: not known. The next mount goes on behind the newest segment and syncs all of them.
    repair: () => change(db, "UPDATE state SET log_end = 0, log_synced = 0"),
  })
}

/** The sequence number of a new record must be above those of all that are there. */
export function checkSequence(pass: Pass, highest: number): void {
  const sequence = numberOf(pass.db, "SELECT sequence FROM state")
  if (sequence === undefined || sequence >= highest) return
  set(pass, "sequence", highest, `the sequence number of records is ${sequence}, one has ${highest}`)
}
