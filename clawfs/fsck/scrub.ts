/**
 * A check of a mounted store that takes its time: the database in one snapshot, then every record of the log, from where
 * an earlier pass was interrupted. What it does is `check` online; whoever runs it decides in `onProgress` how fast.
 */
import { join } from "node:path"
import { Database } from "../store/database.ts"
import { META } from "../store/store.ts"
import { check } from "./check.ts"
import type { Finding } from "./finding.ts"
import type { OnProgress, RecordSlice, ScrubPosition, Totals } from "./pass.ts"

export interface ScrubOptions {
  readonly directory: string
  /** Records before it have been read. */
  readonly from: ScrubPosition
  /** Hears of every few MiB; what it throws ends the pass. */
  readonly onProgress: OnProgress
  /** Everything before this position has been read, and its damage is among `findings`. */
  readonly onPosition: (position: ScrubPosition, findings: readonly Finding[]) => void
}

export interface ScrubResult {
  readonly findings: readonly Finding[]
  /** Errors that there was no room for in the list. */
  readonly omitted: number
  readonly totals: Totals
}

/** Extents between two positions: at 128 KiB each 512 MiB. */
const SLICE = 4096

export function scrub({ directory, from, onProgress, onPosition }: ScrubOptions): ScrubResult {
  using db = new Database(join(directory, META), { readonly: true })
  const slice: RecordSlice = { from, length: SLICE, onPosition }
  const { findings, totals } = check(db, { directory, isOnline: true, onProgress, slice })
  return { findings: findings.list, omitted: findings.omitted.errors, totals }
}
