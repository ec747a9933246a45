/**
 * `STORE/scrub.json`: how far the scrub is, and what it has found. It is written by the scrubbing thread alone, whole, under
 * another name first; one that can't be read counts as missing: the scrub begins again.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Finding } from "../fsck/finding.ts"

export const SCRUB_STATE = "scrub.json"
/** As many findings are kept. */
export const MOST_FINDINGS = 1000

/** Of a pass that is running or was interrupted. */
export interface ScrubRun {
  /** Seconds since 1970. */
  readonly started: number
  /** Records before this have been read; both 0: none. */
  readonly body: number
  readonly offset: number
  /** Read before the present server was started. */
  readonly bytes: number
  /** MiB a second. */
  readonly limit: number
  readonly findings: readonly Finding[]
  readonly errors: number
  /** Stopped by somebody: it goes on when it is started again, not by itself. */
  readonly isStopped: boolean
}

/** Of the last pass that came to its end. */
export interface ScrubEnd {
  readonly started: number
  readonly finished: number
  readonly records: number
  readonly bytes: number
  readonly errors: number
  readonly findings: readonly Finding[]
}

export interface ScrubState {
  readonly version: 1
  readonly run?: ScrubRun | undefined
  readonly last?: ScrubEnd | undefined
}

export function readScrubState(store: string): ScrubState {
  try {
    const state = JSON.parse(readFileSync(join(store, SCRUB_STATE), "utf8")) as ScrubState
    return (state as { version?: unknown }).version === 1 ? state : { version: 1 }
  } catch (thrown) {
    const isMissing = (thrown as NodeJS.ErrnoException).code === "ENOENT"
    if (isMissing || thrown instanceof SyntaxError) return { version: 1 }
    throw thrown
  }
}

export function writeScrubState(store: string, state: ScrubState): void {
  const path = join(store, SCRUB_STATE)
  writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
