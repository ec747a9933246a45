/**
 * Everything that the databases tell, put together in a new one: rows of the first candidate, and of the next ones what is
 * still missing. Old and new rows of one thing are never mixed: names of an inode, and the contents of a body, come from one
 * candidate each, unless the inode has not changed between the two. The records of the log stand in a table of their own.
 */
import { join } from "node:path"
import { ROOT_NODE } from "../core/brand.ts"
import { Database, type Query, type Value } from "../store/database.ts"
import { S_IFDIR, S_IFMT, S_IFREG } from "../store/inode.ts"
import { migrate } from "../store/migrate.ts"
import type { Candidate } from "./candidates.ts"
import { DENTRY, EXTENT, INLINE, INODE, SYMLINK, TREE, XATTR } from "./tables.ts"
import { isUnreadable, readableRows, type Reading, type TableShape } from "./tolerant.ts"

const RECORDS = `
CREATE TABLE record (
  id       INTEGER PRIMARY KEY,
  file     INTEGER NOT NULL,
  segment  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  ino      INTEGER NOT NULL,
  offset   INTEGER NOT NULL,
  stored   INTEGER NOT NULL,
  plain    INTEGER NOT NULL,
  flags    INTEGER NOT NULL,
  sequence INTEGER NOT NULL
);
CREATE UNIQUE INDEX record_place ON record (segment, position);
CREATE INDEX record_ino ON record (ino, sequence);
CREATE INDEX record_sequence ON record (sequence);
CREATE INDEX dentry_ino ON dentry (ino);
CREATE TABLE known (id INTEGER PRIMARY KEY);
CREATE TABLE theirs (ino INTEGER PRIMARY KEY, size INTEGER, alloc INTEGER, ctime INTEGER, ctime_nanos INTEGER) STRICT;
CREATE TABLE until (ino INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, is_own INTEGER NOT NULL);
`

/**
 * What is in encrypted trees is given up, but for their top directories, empty: names and contents as they are stored are
 * nobody's data, and the keys are in no segment.
 */
const DROP_SEALED = `
CREATE TEMP TABLE sealed_tree AS
  WITH RECURSIVE sealed (id) AS (
    SELECT id FROM tree WHERE key != 0 UNION SELECT t.id FROM tree t JOIN sealed ON t.parent = sealed.id
  ) SELECT id FROM sealed;
CREATE TEMP TABLE sealed AS
  SELECT ino, CASE body WHEN 0 THEN ino ELSE body END AS body FROM inode WHERE tree IN (SELECT id FROM sealed_tree);
DELETE FROM dentry WHERE parent IN (SELECT ino FROM sealed);
DELETE FROM xattr WHERE ino IN (SELECT ino FROM sealed);
DELETE FROM symlink WHERE ino IN (SELECT ino FROM sealed);
DELETE FROM inline WHERE body IN (SELECT body FROM sealed);
DELETE FROM extent WHERE body IN (SELECT body FROM sealed);
DELETE FROM record WHERE flags & 1;
DELETE FROM inode WHERE ino IN (SELECT ino FROM sealed) AND ino NOT IN (SELECT id FROM tree WHERE key != 0);
DROP TABLE sealed;
DROP TABLE sealed_tree;
`

/** `inode.alloc` of an inode that nothing but its number is known of. */
export const UNKNOWN = -1

/** What a synthetic inode looks like: nothing but its kind is known. */
const [FILE_MODE, DIRECTORY_MODE] = [S_IFREG | 0o600, S_IFDIR | 0o700]
const TYPE_FILE = S_IFREG >>> 12

export class Catalog implements Disposable {
  readonly db: Database
  /** Rows could not be read: what is missing may have been there. */
  isDamaged = false
  /** Inodes from this number on are younger than what the databases know. */
  nextIno = 0
  #candidates = 0

  constructor(scratch: string) {
    this.db = new Database(join(scratch, "catalog.db"), { create: true })
    this.db.pragma("synchronous = OFF")
    migrate(this.db, { readOnly: false })
    this.db.execute(RECORDS)
  }

  get isEmpty(): boolean {
    return this.#candidates === 0
  }

  /** Takes from a candidate what is not known yet. Returns whether all of it could be read. */
  add({ db, isSound, isOwn, sequence, nextIno }: Candidate): boolean {
    const reading: Reading = { isDamaged: !isSound }
    const copy = (table: TableShape, known?: { sql: string; at: number }): void => {
      if (known !== undefined) this.#note(known.sql)
      const at = known?.at ?? -1
      this.#copy(db, table, reading, (row) => at < 0 || !this.#isKnown(row[at]))
    }
    this.db.begin()
    this.db.execute("DELETE FROM theirs")
    copy(INODE)
    this.db
      .query<[number, number]>("INSERT OR IGNORE INTO until SELECT ino, ?, ? FROM inode")
      .run(sequence, isOwn ? 1 : 0)
    copy(DENTRY, { sql: "SELECT ino FROM dentry", at: 3 })
    copy(SYMLINK)
    copy(XATTR, { sql: "SELECT ino FROM xattr", at: 0 })
    const bodies = "SELECT body FROM inline UNION SELECT body FROM extent"
    this.#note(bodies)
    for (const table of [INLINE, EXTENT]) this.#copy(db, table, reading, ([body]) => !this.#isKnown(body))
    copy(TREE)
    this.db.commit()
    this.#candidates += 1
    this.nextIno = Math.max(this.nextIno, nextIno)
    return !reading.isDamaged
  }

  #note(sql: string): void {
    this.db.execute(`DELETE FROM known; INSERT OR IGNORE INTO known ${sql};
      DELETE FROM known WHERE id IN (SELECT ino FROM inode JOIN theirs USING (ino, size, alloc, ctime, ctime_nanos))`)
  }

  #isKnown(id: Value | undefined): boolean {
    return (
      typeof id === "number" &&
      this.db.query<[number], [number]>("SELECT 1 FROM known WHERE id = ?").get(id) !== undefined
    )
  }

  #copy(from: Database, table: TableShape, reading: Reading, isWanted: (row: Value[]) => boolean): void {
    const marks = table.columns.map(() => "?").join(", ")
    const insert = this.db.query<Value[]>(
      `INSERT OR IGNORE INTO ${table.name} (${table.columns.join(", ")}) VALUES (${marks})`,
    )
    const theirs = this.db.query<Value[]>("INSERT OR IGNORE INTO theirs VALUES (?, ?, ?, ?, ?)")
    const stamp = THEIRS.map((column) => table.columns.indexOf(column))
    for (const row of readableRows(from, table, reading)) {
      if (table === INODE && !this.isEmpty)
        isTaken(
          theirs,
          stamp.map((at) => row[at] ?? null),
        )
      if (!row.every(isPossible)) reading.isDamaged = true
      else if (isWanted(row) && !isTaken(insert, row)) reading.isDamaged = true
    }
  }

  /** Gives an inode to everything that names or contents were found of, so that it has a place to go. */
  complete(): void {
    const { db } = this
    db.begin()
    db.execute(DROP_SEALED)
    // What a name leads to, although its row is lost.
    this.#synthesize("SELECT parent AS id FROM dentry", DIRECTORY_MODE)
    this.#synthesize(
      `SELECT ino AS id FROM dentry WHERE type = ${TYPE_FILE} AND (ino IN (SELECT ino FROM record)
        OR ino IN (SELECT body FROM extent) OR ino IN (SELECT body FROM inline))`,
      FILE_MODE,
    )
    // Contents without a name. What a sound database does not know was deleted, unless it is younger.
    const youngest = this.isDamaged || this.isEmpty ? 0 : this.nextIno
    this.#synthesize(`SELECT ino AS id FROM record WHERE ino >= ${youngest}`, FILE_MODE)
    if (this.isDamaged)
      for (const table of ["extent", "inline"])
        this.#synthesize(
          `SELECT body AS id FROM ${table} WHERE body NOT IN (SELECT body FROM inode)`,
          FILE_MODE,
        )
    if (
      db
        .query<[], [number]>(
          `SELECT 1 FROM inode WHERE ino = ${ROOT_NODE} AND (mode & ${S_IFMT}) = ${S_IFDIR}`,
        )
        .get() === undefined
    ) {
      db.execute(`DELETE FROM inode WHERE ino = ${ROOT_NODE}`)
      this.#synthesize(`SELECT ${ROOT_NODE} AS id`, S_IFDIR | 0o755)
    }
    db.commit()
  }

  /** Makes rows for those inode numbers, column `id` of a query, that have none. */
  #synthesize(inos: string, mode: number): void {
    this.db.execute(`INSERT OR IGNORE INTO inode (${INODE.columns.join(", ")})
      SELECT id, ${mode}, 1, 0, 0, 0, 0, ${UNKNOWN}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
      FROM (${inos}) WHERE id NOT IN (SELECT ino FROM inode) GROUP BY id`)
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]()
  }
}

/** What tells that an inode is the same in two databases: every change of it sets its ctime. */
const THEIRS = ["ino", "size", "alloc", "ctime", "ctime_nanos"]

/** Numbers are exact, and nothing is NULL. */
function isPossible(value: Value): boolean {
  return Buffer.isBuffer(value) || (typeof value === "number" && Number.isSafeInteger(value))
}

/** False for a row that no table of ours takes. */
function isTaken(insert: Query<Value[]>, row: Value[]): boolean {
  try {
    insert.run(...row)
    return true
  } catch (thrown) {
    if (isUnreadable(thrown)) return false
    throw thrown
  }
}
