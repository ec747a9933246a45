/** A backup of a store that nobody serves, without the command line. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { backUp, type BackupOptions, type BackupResult, type Origin } from "../../../clawfs/backup/backup.ts"
import { restore, type RestoreResult } from "../../../clawfs/backup/restore.ts"
import { Fault } from "../../../clawfs/core/fault.ts"

const nothing = (): Promise<void> => Promise.resolve()
const silent = (): void => undefined

export function originOf(directory: string, changes: Partial<Origin> = {}): Origin {
  return { directory, isServed: false, settle: nothing, hold: nothing, ...changes }
}

export function back(
  store: string,
  directory: string,
  options: Partial<BackupOptions> = {},
): Promise<BackupResult> {
  const rest = { keep: 7, readsAll: false, onProgress: silent, ...options }
  return backUp({ origin: originOf(store), directory, ...rest })
}

export function bring(backup: string, store: string, partial = false): RestoreResult {
  return restore({ backup, store, partial, onProgress: silent })
}

/** Kind and message of the fault that `work` ends with. */
export async function refusal(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (thrown) {
    if (thrown instanceof Fault) return `${thrown.kind}: ${thrown.message}`
    throw thrown
  }
  throw new Error("it was not refused")
}

/** Names of the generations, oldest first. */
export function generations(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^\d{4}-/.test(name))
    .sort()
}

export function inodeOf(...names: string[]): number {
  return statSync(join(...names)).ino
}

/** Changes one byte of a file; the same again puts it back. */
export function flip(path: string, position: number): void {
  const fd = openSync(path, "r+")
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, position)
  writeSync(fd, Buffer.from([byte.readUInt8() ^ 0x40]), 0, 1, position)
  closeSync(fd)
}
