/**
 * The forward-only steps, in order; the position plus one is the schema version that SQLite keeps in `user_version`.
 * A released step never changes: a new one is added.
 */
import * as initial from "./0001-initial.ts"
import * as logPosition from "./0002-log-position.ts"
import * as extentPlace from "./0003-extent-place.ts"
import * as treesAndBodies from "./0004-trees-and-bodies.ts"
import * as snapshots from "./0005-snapshots.ts"
import * as snapshotSchedules from "./0006-snapshot-schedules.ts"
import * as keys from "./0007-keys.ts"
import * as feed from "./0008-feed.ts"
import * as rowSums from "./0009-row-sums.ts"

export interface Step {
  readonly name: string
  readonly sql: string
}

export const STEPS: readonly Step[] = [
  initial,
  logPosition,
  extentPlace,
  treesAndBodies,
  snapshots,
  snapshotSchedules,
  keys,
  feed,
  rowSums,
]

export const SCHEMA_VERSION = STEPS.length

/** "Claw" in ASCII, kept in SQLite's `application_id`: file(1) and a wrong database are told apart by it. */
export const APPLICATION_ID = 0x436c6177
