/** The journal against itself and against the last commit. It can be mended whatever else is wrong. */
import { copyFileSync, existsSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../core/fault.ts"
import type { Database } from "../store/database.ts"
import { JOURNAL } from "../store/journal-header.ts"
import { Journal } from "../store/journal.ts"
import { syncDirectory } from "../store/segment-files.ts"
import { numberOf } from "./scan.ts"

export interface JournalState {
  /** Answered requests that are in the journal alone. */
  readonly requests: number
  /** The first so many can be executed without a key: those behind them are about encrypted trees, or came after such. */
  readonly unsealed: number
  /** What is wrong with it, one sentence. */
  readonly problem?: string
}

/** To be called with the store's lock held. */
export function journalState(directory: string, db: Database): JournalState {
  if (!existsSync(join(directory, JOURNAL))) return { requests: 0, unsealed: 0 }
  try {
    using journal = Journal.open(directory)
    const entries = journal.entriesOf(nextBatch(db))
    const sealed = entries.findIndex(({ place }) => place !== undefined)
    return { requests: entries.length, unsealed: sealed < 0 ? entries.length : sealed }
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
    return { requests: 0, unsealed: 0, problem: thrown.message }
  }
}

function nextBatch(db: Database): number {
  return (numberOf(db, "SELECT batch FROM state") ?? 0) + 1
}

/**
 * Takes out of the journal what can't be executed: the requests before the first damaged one, or the first `most`, stay.
 * Returns where the journal is kept as it was.
 */
export function mendJournal(directory: string, db: Database, most = Infinity): string {
  const path = join(directory, JOURNAL)
  let n = 1
  while (existsSync(`${path}.fsck-${n}`)) n += 1
  const copy = `${path}.fsck-${n}`
  rmSync(`${copy}.new`, { force: true })
  copyFileSync(path, `${copy}.new`)
  renameSync(`${copy}.new`, copy)
  syncDirectory(directory)
  const batch = nextBatch(db)
  if (!forgetRest(directory, batch, most)) rmSync(path)
  return copy
}

/** False when nothing in the journal can be believed. */
function forgetRest(directory: string, batch: number, most: number): boolean {
  try {
    using journal = Journal.open(directory)
    return journal.forgetRest(batch, most)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
    return false
  }
}
