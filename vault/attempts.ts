/** Attempts to unlock that failed: without a key they can't be in the audit, so they wait here for the next that succeeds. */
import { Fault } from "../clawfs/core/fault.ts"
import type { Subject } from "./audit.ts"
import type { VaultDatabase } from "./database.ts"

/** More say nothing new: the oldest go. */
const MOST = 1000
/** Wrong secrets of a person in that time, then none is looked at for as long. */
export const MOST_FAILURES = 5
export const WINDOW_MS = 60_000

export interface Attempt {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly subject: Subject
  readonly reason: string
}

export function noteAttempt(db: VaultDatabase, subject: Subject, reason: string): void {
  db.transact(() => {
    db.query<[number]>(
      "DELETE FROM attempt WHERE rowid NOT IN (SELECT rowid FROM attempt ORDER BY rowid DESC LIMIT ?)",
    ).run(MOST - 1)
    db.query<[number, string, string]>("INSERT INTO attempt VALUES (?, ?, ?)").run(
      ...([Date.now(), JSON.stringify(subject), reason] as const),
    )
  })
}

/**
 * Throws `Fault("busy")` while too many attempts of the last minute failed. It holds who tries at `clawfs vault unlock`; who can
 * read vault.db can try elsewhere, as fast as the derivation allows.
 */
export function requireFewAttempts(db: VaultDatabase, now: number): void {
  const late = attempts(db).filter(({ time }) => time <= now && now - time < WINDOW_MS)
  if (late.length >= MOST_FAILURES) throw tooManyWrong()
}

export function tooManyWrong(): Fault {
  return new Fault("busy", "too many wrong passphrases", { hint: "try again in a minute" })
}

export function attempts(db: VaultDatabase): Attempt[] {
  return db
    .query<[], [number, string, string]>("SELECT time, subject, reason FROM attempt ORDER BY time")
    .all()
    .map(([time, subject, reason]) => ({ time, subject: JSON.parse(subject) as Subject, reason }))
}

/** The caller is in the transaction that writes them into the audit. */
export function clearAttempts(db: VaultDatabase): void {
  db.query("DELETE FROM attempt").run()
}
