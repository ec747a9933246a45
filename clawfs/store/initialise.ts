/** The rows that a new store has. */
import { randomBytes } from "node:crypto"
import { ROOT_NODE } from "../core/brand.ts"
import { now } from "../sys/clock.ts"
import { Counters } from "./counters.ts"
import type { Database } from "./database.ts"
import { S_IFDIR } from "./inode.ts"
import { Inodes } from "./inodes.ts"
import { newInode } from "./new-inode.ts"
import { Trees } from "./trees.ts"

const FIRST_INO = 2

/** Writes them, with a root directory that `root` describes. */
export function initialise(db: Database, root: { mode: number; uid: number; gid: number }): void {
  const t = now()
  const seeds = randomBytes(8)
  db.begin()
  db.query<[Buffer, number, number, number]>(
    "INSERT INTO store (id, uuid, created, seed_a, seed_b) VALUES (1, ?, ?, ?, ?)",
  ).run(randomBytes(16), t.seconds, seeds.readUInt32LE(0), seeds.readUInt32LE(4))
  db.query<[number]>("INSERT INTO state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)").run(FIRST_INO)
  const counters = new Counters(db)
  const inodes = new Inodes(db, counters, new Trees(db))
  inodes.insert(newInode(ROOT_NODE, S_IFDIR | root.mode, root.uid, root.gid, 0))
  inodes.flush()
  counters.save()
  db.commit()
}
