/**
 * Goes on working with a store that was brought back after a power cut: what is written and synced now must outlive the
 * next one. What the first cut left behind must not stand in the way.
 */
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { pattern } from "../model/random.ts"
import { makeFile, readFile, writeFile } from "../unit/support/files.ts"
import { checkStore, type Opener } from "./check.ts"
import { compare } from "./promises.ts"

const LENGTH = 40_000

/** `directory` is a store that can be opened; `copy` becomes what the second power cut finds. */
export function secondLife(directory: string, copy: string, open: Opener): string[] {
  const broken = checkStore(directory, open, (before, store) => {
    const data = pattern(LENGTH, LENGTH)
    const inode = makeFile(store)
    writeFile(store, inode, 0, data)
    // everything has arrived: the most that an fsync can do
    rmSync(copy, { recursive: true, force: true })
    mkdirSync(copy)
    for (const name of ["meta.db", "meta.db-wal", "segments"])
      if (existsSync(join(directory, name)))
        cpSync(join(directory, name), join(copy, name), { recursive: true })
    return checkStore(copy, open, (after, again) => {
      const kept = again.inodes.get(inode.ino)
      const isThere = kept !== undefined && readFile(again, kept).equals(data)
      return [
        ...(isThere ? [] : ["what was synced after the first power cut is gone after the second"]),
        ...compare(before.picture, after.picture),
      ]
    })
  })
  return broken.map((each) => `second power cut: ${each}`)
}
