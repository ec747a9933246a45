/** Attempts to unlock that failed: without a key they can't be in the audit, so they wait here for the next that succeeds. */
import type { Subject } from "./audit.ts"
import type { VaultDatabase } from "./database.ts"

/** More say nothing new. */
const MOST = 1000

export interface Attempt {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly subject: Subject
  readonly reason: string
}

export function noteAttempt(db: VaultDatabase, subject: Subject, reason: string): void {
  db.transact(() =>
    db
      .query<[number, string, string, number]>(
        "INSERT INTO attempt SELECT ?, ?, ? WHERE (SELECT count(*) FROM attempt) < ?",
      )
      .run(Date.now(), JSON.stringify(subject), reason, MOST),
  )
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
