/** Snapshots of the HNSW graph: the rows of `snap`, and their files, which are nothing but a cache. */
import { createHash } from "node:crypto"
import { closeSync, fsyncSync, openSync, readdirSync, readSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Database } from "../../store/database.ts"
import type { Snapshot } from "./hnsw-messages.ts"
import type { IndexReader } from "./reader.ts"

type Row = [string, Buffer, number, number, number, number, number]

const COLUMNS = "file, sha256, dimensions, max_sequence, entries, ef, recall"

export function snapshotOf(reader: IndexReader, embedder: number): Snapshot | undefined {
  const [row] = reader.rows<Row>(`SELECT ${COLUMNS} FROM snap WHERE embedder = ?`, embedder)
  if (row === undefined) return undefined
  const [file, sha256, dimensions, maxSequence, entries, ef, recall] = row
  return { embedder, file, sha256, dimensions, maxSequence, entries, ef, recall }
}

/** In a transaction of the writer. */
export function putSnapshot(db: Database, snapshot: Snapshot): void {
  const { embedder, file, sha256, dimensions, maxSequence, entries, ef, recall } = snapshot
  db.query<[number, ...Row]>(
    `INSERT OR REPLACE INTO snap (embedder, ${COLUMNS}) SELECT ?, ?, ?, ?, ?, ?, ?, ?
      WHERE EXISTS (SELECT 1 FROM embedder WHERE n = ${embedder})`,
  ).run(embedder, file, Buffer.from(sha256), dimensions, maxSequence, entries, ef, recall)
}

/** Removes all snapshots but the one. */
export function removeOtherSnapshots(directory: string, file: string | undefined): void {
  for (const name of readdirSync(directory))
    if (/^hnsw-.*\.us(\.tmp)?$/.test(name) && name !== file) rmSync(join(directory, name), { force: true })
}

const PART = 4 * 2 ** 20

export function sha256Of(file: string): Buffer {
  const hash = createHash("sha256")
  const part = Buffer.alloc(PART)
  const descriptor = openSync(file, "r")
  try {
    for (;;) {
      const length = readSync(descriptor, part)
      if (length === 0) return hash.digest()
      hash.update(part.subarray(0, length))
    }
  } finally {
    closeSync(descriptor)
  }
}

/** Gives a saved file its name so that after a power cut it is there whole or not at all. */
export function publish(directory: string, temporary: string, name: string): void {
  sync(join(directory, temporary))
  renameSync(join(directory, temporary), join(directory, name))
  sync(directory)
}

function sync(path: string): void {
  const descriptor = openSync(path, "r")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
