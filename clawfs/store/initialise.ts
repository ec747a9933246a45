/** The files of a new store, and the rows that it begins with. */
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { ROOT_NODE } from "../core/brand.ts"
import { now } from "../sys/clock.ts"
import { avoidCopyOnWrite } from "../sys/nocow.ts"
import { Counters, STATE_COLUMNS } from "./counters.ts"
import { Database } from "./database.ts"
import { S_IFDIR } from "./inode.ts"
import { Inodes } from "./inodes.ts"
import { migrate } from "./migrate.ts"
import { newInode } from "./new-inode.ts"
import { META, SEGMENTS, makePrivate, requireEmpty } from "./place.ts"
import { fillSums } from "./row-sums.ts"
import { syncDirectory } from "./segment-files.ts"
import { Trees } from "./trees.ts"

const FIRST_INO = 2

/** Makes them in an empty or missing directory, with a root directory that `root` describes; all of them or none. */
export function makeStore(directory: string, root: { mode: number; uid: number; gid: number }): void {
  const existed = existsSync(directory)
  requireEmpty(directory)
  makePrivate(directory)
  avoidCopyOnWrite(directory)
  mkdirSync(join(directory, SEGMENTS), { mode: 0o700 })
  try {
    using db = new Database(join(directory, META), { create: true })
    migrate(db, { readOnly: false })
    initialise(db, root)
    db.checkpoint("TRUNCATE")
    syncDirectory(directory)
  } catch (thrown) {
    rmSync(existed ? join(directory, SEGMENTS) : directory, { recursive: true, force: true })
    if (existed)
      for (const suffix of ["", "-wal", "-shm"]) rmSync(join(directory, META + suffix), { force: true })
    throw thrown
  }
}

function initialise(db: Database, root: { mode: number; uid: number; gid: number }): void {
  const t = now()
  const seeds = randomBytes(8)
  db.beginWriting()
  db.query<[Buffer, number, number, number]>(
    "INSERT INTO store (id, uuid, created, seed_a, seed_b) VALUES (1, ?, ?, ?, ?)",
  ).run(randomBytes(16), t.seconds, seeds.readUInt32LE(0), seeds.readUInt32LE(4))
  db.query<[number]>(
    `INSERT INTO state (id, ${STATE_COLUMNS}) VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`,
  ).run(FIRST_INO)
  fillSums(db)
  const counters = new Counters(db)
  const inodes = new Inodes(db, counters, new Trees(db))
  inodes.insert(newInode(ROOT_NODE, S_IFDIR | root.mode, root.uid, root.gid, 0))
  inodes.flush()
  counters.save()
  db.commit()
}
