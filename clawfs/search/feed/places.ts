/**
 * Table `place` of the index: the names of the tree as far as the index has followed it, a copy of `meta.db`'s table
 * `dentry` without what is never indexed. From it come the paths of a file; `meta.db` can't tell them, as it finds names
 * by directory only.
 */
import type { Database, Query } from "../../store/database.ts"

export interface Place {
  /** The directory, and where in it: `dentry.parent` and `dentry.cookie`. */
  readonly parent: number
  readonly cookie: number
  readonly ino: number
  /** As in a directory entry: 4 directory, 8 regular file. */
  readonly type: number
  readonly name: Buffer
}

export const PLACES_SQL = `
CREATE TABLE IF NOT EXISTS place (
  parent INTEGER NOT NULL,
  cookie INTEGER NOT NULL,
  ino    INTEGER NOT NULL,
  type   INTEGER NOT NULL,
  name   BLOB NOT NULL,
  PRIMARY KEY (parent, cookie)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS place_ino ON place (ino);
`

type Row = [number, number, number, number, Buffer]

const ROOT = 1
/** A damaged store may have directories that contain each other. */
const DEEPEST = 4096
const SLASH = Buffer.from("/")
const DIRECTORY = 4
/** Directories whose paths are kept in memory. */
const MOST_PREFIXES = 4096

export class Places {
  readonly #at: Query<[number, number], Row>
  readonly #of: Query<[number], Row>
  readonly #below: Query<[number, number, number], Row>
  readonly #put: Query<Row>
  readonly #remove: Query<[number, number]>
  readonly #clear: Query<[]>
  /** Paths of directories with a slash behind, as they were asked for since a directory changed. */
  readonly #prefixes = new Map<number, Buffer>()

  /** The table is made if it is missing. */
  constructor(db: Database) {
    db.execute(PLACES_SQL)
    const columns = "parent, cookie, ino, type, name"
    this.#at = db.query(`SELECT ${columns} FROM place WHERE parent = ? AND cookie = ?`)
    this.#of = db.query(`SELECT ${columns} FROM place WHERE ino = ? ORDER BY parent, cookie`)
    this.#below = db.query(
      `SELECT ${columns} FROM place WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?`,
    )
    this.#put = db.query(`INSERT OR REPLACE INTO place (${columns}) VALUES (?, ?, ?, ?, ?)`)
    this.#remove = db.query("DELETE FROM place WHERE parent = ? AND cookie = ?")
    this.#clear = db.query("DELETE FROM place")
  }

  at(parent: number, cookie: number): Place | undefined {
    const row = this.#at.get(parent, cookie)
    return row === undefined ? undefined : fromRow(row)
  }

  /** All names of an inode. */
  of(ino: number): Place[] {
    return this.#of.all(ino).map(fromRow)
  }

  /** Up to `limit` names in a directory behind `cookie`, in order. */
  below(parent: number, cookie: number, limit: number): Place[] {
    return this.#below.all(parent, cookie, limit).map(fromRow)
  }

  put({ parent, cookie, ino, type, name }: Place): void {
    if (type === DIRECTORY) this.#prefixes.clear()
    this.#put.run(parent, cookie, ino, type, name)
  }

  remove({ parent, cookie, type }: Place): void {
    if (type === DIRECTORY) this.#prefixes.clear()
    this.#remove.run(parent, cookie)
  }

  clear(): void {
    this.#prefixes.clear()
    this.#clear.run()
  }

  /** Whether the index follows what is in this directory. */
  isKnown(directory: number): boolean {
    return directory === ROOT || this.#of.get(directory) !== undefined
  }

  /** The paths of an inode from the root, `a/b`, in the order of their bytes; none when the index does not follow it. */
  paths(ino: number): Buffer[] {
    return this.of(ino)
      .flatMap(({ parent, name }) => {
        const prefix = this.#prefix(parent)
        return prefix === undefined ? [] : [Buffer.concat([prefix, name])]
      })
      .sort((a, b) => a.compare(b))
  }

  /** The path of a directory with a slash behind, "" for the root. */
  #prefix(directory: number): Buffer | undefined {
    const known = this.#prefixes.get(directory)
    if (known !== undefined) return known
    const parts: Buffer[] = []
    for (let at = directory; at !== ROOT;) {
      const row = this.#of.get(at)
      if (row === undefined || parts.length > 2 * DEEPEST) return undefined
      const place = fromRow(row)
      parts.push(SLASH, place.name)
      at = place.parent
    }
    const prefix = Buffer.concat(parts.reverse())
    if (this.#prefixes.size >= MOST_PREFIXES) this.#prefixes.clear()
    this.#prefixes.set(directory, prefix)
    return prefix
  }
}

function fromRow([parent, cookie, ino, type, name]: Row): Place {
  return { parent, cookie, ino, type, name }
}
