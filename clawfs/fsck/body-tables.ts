/** Tables `inline` and `extent` looked up body by body, and who has a body: for the few that no scan is in step with. */
import { PIECE_LENGTH } from "./sealed.ts"
import type { Database, Query } from "../store/database.ts"
import { DT_REG } from "./attributes.ts"
import type { BodyRows, ContentsRow } from "./contents.ts"
import { EXTENT_COLUMNS, type ExtentRow } from "./extent.ts"
import { typeOf } from "./inode-index.ts"
import { INO_LIMIT, PAGE, SAFE_LIMIT } from "./scan.ts"

/** Columns of a `ContentsRow`, as `userOf` reads them. */
export const USER_COLUMNS = "body, ino, mode, size, alloc, inline_offset, inline_length"
export type UserRow = [number, number, number, number, number, number, number]

export function userOf([body, ino, mode, size, alloc, inlineOffset, inlineLength]: UserRow): ContentsRow {
  return { ino, mode, type: typeOf(mode), size, alloc, inlineOffset, inlineLength, body }
}

/**
 * Whether an inode has contents of its body, be they empty: files do. For others the number of a body only says what they
 * were copied from, unless their row shows that they were files.
 */
export function isUser({
  type,
  alloc,
  inlineLength,
}: Pick<ContentsRow, "type" | "alloc" | "inlineLength">): boolean {
  return type === DT_REG || alloc !== 0 || inlineLength !== 0
}

export class BodyTables {
  readonly #inline: Query<[number], [number]>
  readonly #extents: Query<[number, number], ExtentRow>
  readonly #hasExtents: Query<[number], [number]>
  readonly #copy: Query<[number], [number]>
  readonly #owner: Query<[number, number], UserRow>
  readonly #members: Query<[number], UserRow>
  readonly #refs: Query<[number], [number]>

  constructor(db: Database) {
    this.#inline = db.query(`SELECT ${PIECE_LENGTH} FROM inline WHERE body = ?`)
    this.#extents = db.query(
      `SELECT ${EXTENT_COLUMNS} FROM extent WHERE body = ? AND offset > ? AND +offset < ${SAFE_LIMIT} ORDER BY offset LIMIT ${PAGE}`,
    )
    this.#hasExtents = db.query("SELECT 1 FROM extent WHERE body = ? LIMIT 1")
    // The index holds only what is not 0, and is used only where that is said.
    this.#copy = db.query("SELECT 1 FROM inode WHERE body = ? AND body != 0 AND body != ino LIMIT 1")
    this.#owner = db.query(
      `SELECT ino, ${USER_COLUMNS.slice("body, ".length)} FROM inode WHERE ino = ? AND body IN (0, ?)`,
    )
    this.#refs = db.query("SELECT refs FROM shared WHERE body = ?")
    this.#members = db.query(
      `SELECT ${USER_COLUMNS} FROM inode WHERE body = ? AND body != 0 AND body != ino AND ino > 0 AND ino < ${INO_LIMIT}`,
    )
  }

  /** Whether table `shared` knows of all inodes that have this body. */
  isCounted(body: number): boolean {
    return (this.#refs.get(body)?.[0] ?? 1) === this.users(body).length
  }

  rows(body: number): BodyRows {
    return { inline: this.#inline.get(body)?.[0], extents: this.extents(body) }
  }

  *extents(body: number): Generator<ExtentRow> {
    let after = -1
    for (;;) {
      const rows = this.#extents.all(body, after)
      yield* rows
      if (rows.length < PAGE) return
      after = rows.at(-1)?.[1] ?? SAFE_LIMIT
    }
  }

  isEmpty(body: number): boolean {
    return this.#inline.get(body) === undefined && this.#hasExtents.get(body) === undefined
  }

  /** Whether an inode has this body that is not the one of that number. */
  isThatOfCopies(body: number): boolean {
    return this.#copy.get(body) !== undefined
  }

  /** The inode of that number, if its contents are under it. */
  owner(body: number): ContentsRow | undefined {
    const row = this.#owner.get(body, body)
    return row === undefined ? undefined : userOf(row)
  }

  /** All inodes that have the contents of this body. */
  users(body: number): ContentsRow[] {
    const owner = this.owner(body)
    const copies = this.#members.all(body).map(userOf)
    return [...(owner === undefined ? [] : [owner]), ...copies].filter(isUser)
  }
}
