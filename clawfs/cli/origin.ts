/** The store that is backed up: one that a daemon serves, or one that nobody may mount meanwhile. */
import { closeSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../api/client.ts"
import { HOLD_SECONDS, type Origin } from "../backup/backup.ts"
import { Fault } from "../core/fault.ts"
import { journalState } from "../fsck/journal.ts"
import { uncleanState } from "../fsck/unclean.ts"
import { Database } from "../store/database.ts"
import { lockStore } from "../store/lock.ts"
import { removeEmptySqliteFiles, sqliteFilesOf } from "../store/sqlite-files.ts"
import { META } from "../store/store.ts"
import { supervisorOf } from "./daemon.ts"

/** A server that was killed is replaced within this time, or the mount is gone. */
const REPLACED_MS = 15_000
const ASK_AGAIN_MS = 200

/** To be disposed of when the backup is made. Throws a `Fault` if the store can't be read as a whole now. */
export function originOf(directory: string): Origin & Disposable {
  return supervisorOf(directory) === undefined ? unserved(directory) : served(directory)
}

function served(directory: string): Origin & Disposable {
  return {
    directory,
    isServed: true,
    settle: () => asked(directory, "sync", {}),
    hold: () => asked(directory, "hold", { seconds: HOLD_SECONDS }),
    [Symbol.dispose]: () => undefined,
  }
}

async function asked(directory: string, method: string, params: Record<string, unknown>): Promise<void> {
  const end = performance.now() + REPLACED_MS
  for (;;) {
    try {
      await call(directory, method, params)
      return
    } catch (thrown) {
      const isAbsent = thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "io")
      if (thrown instanceof Fault && thrown.kind === "unsupported")
        throw new Fault("unsupported", "the daemon of the store is of an older clawfs", {
          cause: thrown,
          hint: "unmount the store and mount it again",
        })
      if (!isAbsent) throw thrown
      if (supervisorOf(directory) === undefined || performance.now() > end)
        throw new Fault(
          "busy",
          `the daemon of ${directory} has ended or fails: the backup was not finished`,
          {
            cause: thrown,
            hint: "run this again: it goes on where it stopped",
          },
        )
    }
    await sleep(ASK_AGAIN_MS)
  }
}

/** The lock is held meanwhile: nobody can mount the store. */
function unserved(directory: string): Origin & Disposable {
  const lock = lockStore(directory, "clawfs backup")
  try {
    requireSettled(directory)
  } catch (thrown) {
    closeSync(lock)
    throw thrown
  }
  const nothing = (): Promise<void> => Promise.resolve()
  return {
    ...{ directory, isServed: false, settle: nothing, hold: nothing },
    [Symbol.dispose]: () => closeSync(lock),
  }
}

/** What was answered is to be in the backup, and what is in it is to be whole. */
function requireSettled(directory: string): void {
  const meta = join(directory, META)
  const before = sqliteFilesOf(meta)
  try {
    using db = new Database(meta, { readonly: true })
    const journal = journalState(directory, db)
    if (journal.problem !== undefined)
      throw new Fault("corrupt", journal.problem, { hint: `clawfs fsck --repair ${directory}` })
    const { requests, isPowerCut } = uncleanState(directory, journal)
    if (requests === 0 && !isPowerCut) return
  } finally {
    removeEmptySqliteFiles(meta, before)
  }
  throw new Fault("busy", `the store ${directory} was not unmounted: it must be put in order first`, {
    hint: "mount it, that does it; it can be backed up while it is mounted",
  })
}
