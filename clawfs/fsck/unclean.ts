/** How a store was left: what the next mount would do before anything else. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { isOfThisBoot } from "../store/journal-header.ts"
import { META } from "../store/store.ts"
import type { JournalState } from "./journal.ts"

export interface Unclean {
  /** Answered requests that are in the journal alone. */
  readonly requests: number
  /** Some of them wait for the key of an encrypted tree. */
  readonly needsKey: boolean
  /** The machine went down while the store was in use. */
  readonly isPowerCut: boolean
  /** What that means, a sentence each. */
  readonly remarks: readonly string[]
}

/** To be called with the store's lock held. */
export function uncleanState(directory: string, { requests, unsealed, problem }: JournalState): Unclean {
  const needsKey = unsealed < requests
  if (problem !== undefined) return { requests, needsKey, isPowerCut: false, remarks: [] }
  const wal = statSync(join(directory, `${META}-wal`), { throwIfNoEntry: false })?.size ?? 0
  const isSameBoot = isOfThisBoot(directory)
  const isPowerCut = wal > 0 && !isSameBoot
  const remarks: string[] = []
  if (requests > 0)
    remarks.push(
      `the store was not unmounted: ${requests} answered requests are in its journal only, the next mount executes them${needsKey ? " once it has the key of their encrypted tree" : ""}; this check is about the state before them`,
    )
  else if (isPowerCut)
    remarks.push(
      "the machine went down while the store was mounted: the next mount goes back to the newest state that is whole, and may mend what this check finds",
    )
  else if (wal > 0) remarks.push("the store was not unmounted: the next mount folds its write-ahead log back")
  return { requests, needsKey, isPowerCut, remarks }
}
