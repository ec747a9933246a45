/** Files of a store without names: what tests of the store need of the filesystem above it. */
import { readdirSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { Database } from "../../../clawfs/store/database.ts"
import { S_IFREG, type Inode } from "../../../clawfs/store/inode.ts"
import { segmentOf } from "../../../clawfs/store/log-position.ts"
import { segmentPath } from "../../../clawfs/store/segment-files.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import { META, SEGMENTS, newInode, type Store } from "../../../clawfs/store/store.ts"
import type { TemporaryStore } from "./temporary.ts"

/** A new file that no directory names. */
export function makeFile(store: Store): Inode {
  return store.transact(() => {
    const inode = newInode(store.counters.allocateIno(), S_IFREG | 0o600, 0, 0, 0)
    inode.nlink = 0
    store.inodes.insert(inode)
    return inode
  })
}

export function writeFile(store: Store, inode: Inode, offset: number, data: Buffer): void {
  store.transact(() => {
    store.contents.write(inode, offset, data)
    store.inodes.save(inode)
  })
}

/** The whole contents. */
export function readFile(store: Store, inode: Inode): Buffer {
  const out = Buffer.alloc(inode.size, 0xee)
  store.contents.read(inode, 0, inode.size, out, 0)
  return out
}

/** Removes the file and commits that. */
export function removeFile(store: Store, inode: Inode): void {
  store.release(inode.ino)
  store.transact(() => undefined)
}

export function segmentFiles(directory: string): string[] {
  return readdirSync(join(directory, SEGMENTS)).sort()
}

export function segmentFile(directory: string, id: number): string {
  return segmentPath(join(directory, SEGMENTS), id)
}

/** Opens the store again with a newest segment that is full, so that the next record begins another. */
export function fillSegment(place: TemporaryStore): Store {
  truncateSync(segmentFile(place.directory, segmentOf(place.store.logEnd)), 64 * 1024 * 1024)
  {
    // As in a store of format 1: appending goes on behind the end of the file.
    using db = new Database(join(place.directory, META))
    db.execute("UPDATE state SET log_end = 0")
    fillSums(db)
  }
  return place.reopen()
}
