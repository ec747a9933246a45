/** Table `inode`, row by row, in step with the tables that hang on it. */
import { PIECE_LENGTH } from "./sealed.ts"
import { ROOT_NODE } from "../core/brand.ts"
import type { Value } from "../store/database.ts"
import { DT_LNK, INODE_COLUMNS, inodeOfRow, problemsOf, type InodeRow } from "./attributes.ts"
import { BodyTables, isUser } from "./body-tables.ts"
import { checkContents, type BodyRows } from "./contents.ts"
import { EXTENT_COLUMNS, type ExtentRow } from "./extent.ts"
import { Steps, type Pass } from "./pass.ts"
import { Companion, INO_LIMIT, PAGE, SAFE_LIMIT, change, numberOf, rowsOf } from "./scan.ts"
import { checkTarget, checkXattrs, type SymlinkRow, type XattrRow } from "./small-values.ts"

const TABLES = ["inline", "symlink", "xattr", "extent"] as const
type Table = (typeof TABLES)[number]
/** The column that names the inode. */
const KEYS = { inline: "body", symlink: "ino", xattr: "ino", extent: "body" } as const satisfies Record<
  Table,
  string
>

const INODES = `SELECT ${INODE_COLUMNS} FROM inode WHERE ino > ? AND ino < ${INO_LIMIT} ORDER BY ino LIMIT ${PAGE}`
const INLINE = `SELECT body, ${PIECE_LENGTH} FROM inline WHERE body > ? AND body < ${INO_LIMIT} ORDER BY body LIMIT ${PAGE}`
const SYMLINKS = `SELECT ino, length(target), instr(target, x'00') FROM symlink
  WHERE ino > ? AND ino < ${INO_LIMIT} ORDER BY ino LIMIT ${PAGE}`
const XATTRS = `SELECT ino, name, length(value) FROM xattr WHERE (ino, name) > (?, ?) AND +ino < ${INO_LIMIT}
  ORDER BY ino, name LIMIT ${PAGE}`
const EXTENTS = `SELECT ${EXTENT_COLUMNS} FROM extent WHERE (body, offset) > (?, ?) AND +body < ${INO_LIMIT}
  AND +offset BETWEEN 0 AND ${SAFE_LIMIT - 1} ORDER BY body, offset LIMIT ${PAGE}`

const COPIED = `SELECT DISTINCT body FROM inode WHERE body > ? AND body != 0 AND body < ${INO_LIMIT} AND body != ino
  ORDER BY body LIMIT ${PAGE}`

/** All but the contents of bodies that several inodes have. To be called when the index knows all names. */
export function checkInodes(pass: Pass): void {
  new InodeChecker(pass).run()
}

class InodeChecker {
  readonly #pass: Pass
  readonly #inline: Companion<[number, number]>
  readonly #symlinks: Companion<SymlinkRow>
  readonly #xattrs: Companion<XattrRow>
  readonly #extents: Companion<ExtentRow>
  /** Numbers of bodies that other inodes have than the one with that number. */
  readonly #copied: Companion<[number]>
  readonly #bodies: BodyTables

  constructor(pass: Pass) {
    this.#pass = pass
    this.#inline = this.#companion("inline", INLINE, [0])
    this.#symlinks = this.#companion("symlink", SYMLINKS, [0])
    this.#xattrs = this.#companion("xattr", XATTRS, [0, Buffer.alloc(0)])
    this.#extents = this.#companion("extent", EXTENTS, [0, 0])
    this.#copied = new Companion(rowsOf<[number]>(pass.db, COPIED, [0]), () => undefined)
    this.#bodies = new BodyTables(pass.db)
  }

  #companion<R extends [number, ...Value[]]>(table: Table, sql: string, first: Value[]): Companion<R> {
    return new Companion(rowsOf<R>(this.#pass.db, sql, first), (ino) => this.#stray(table, ino))
  }

  run(): void {
    const { db, index, onProgress } = this.#pass
    const steps = new Steps(onProgress, "inodes", index.size)
    for (const row of rowsOf<number[]>(db, INODES, [0])) {
      this.#check(inodeOfRow(row))
      steps.step()
    }
    for (const each of [this.#inline, this.#symlinks, this.#xattrs, this.#extents]) each.finish()
    this.#unreachableKeys()
  }

  #check(inode: InodeRow): void {
    const { ino, type } = inode
    for (const { message, column, value } of problemsOf(inode)) this.#column(inode, message, column, value)
    this.#links(inode)
    this.#contents(inode)
    const [target] = [...this.#symlinks.of(ino)]
    if (type === DT_LNK || target !== undefined) checkTarget(this.#pass, inode, target)
    checkXattrs(this.#pass, inode, this.#xattrs.of(ino))
    this.#pass.totals.inodes += 1
  }

  #contents(inode: InodeRow): void {
    const { totals } = this.#pass
    const { ino, body } = inode
    const isCopied = [...this.#copied.of(ino)].length > 0
    if (body !== ino) {
      // No scan of bodies meets a number that can't be.
      if (body < 0 || body >= INO_LIMIT) totals.bytes += inode.alloc
      if (!isCopied) this.#left(inode)
      return
    }
    if (isCopied) return
    const [inline] = [...this.#inline.of(ino)]
    totals.bytes += checkContents(this.#pass, inode, {
      inline: inline?.[1],
      extents: this.#extents.of(ino),
    }).alloc
  }

  /** Rows under the number of an inode that has another body: nobody reads them, unless that is what is wrong. */
  #left(inode: InodeRow): void {
    const { db, findings, totals } = this.#pass
    const { ino, body } = inode
    const [inline] = [...this.#inline.of(ino)]
    let [count, stored] = [0, inline?.[1] ?? 0]
    for (const [, , length] of this.#extents.of(ino)) {
      count += 1
      stored += length
    }
    if (inline === undefined && count === 0) return
    const fits = stored === inode.alloc && (inline?.[1] ?? 0) === inode.inlineLength
    // A copy that had this body would be counted: then these rows are what does not belong here.
    const isWrong = this.#bodies.isEmpty(body) || !this.#bodies.isCounted(body)
    if (fits && isUser(inode) && isWrong) {
      const isMended = findings.add({
        kind: "inode",
        ino,
        message: `body ${body}, but its contents are under its own number`,
        repair: () => change(db, "UPDATE inode SET body = 0 WHERE ino = ?", ino),
      })
      if (!isMended) return
      const rows: BodyRows = { inline: inline?.[1], extents: this.#bodies.extents(ino) }
      totals.bytes += checkContents(this.#pass, { ...inode, body: ino }, rows).alloc
      return
    }
    if (inline !== undefined) this.#leftover("inline", ino)
    if (count > 0) this.#leftover("extent", ino)
  }

  #leftover(table: "inline" | "extent", ino: number): void {
    const { db, findings } = this.#pass
    findings.add({
      kind: "leftover",
      ino,
      message: `rows in table ${table} have the number of inode ${ino}, whose contents are others`,
      repair: () => change(db, `DELETE FROM ${table} WHERE body = ?`, ino),
    })
  }

  #column({ ino }: InodeRow, message: string, column?: string, value?: number): void {
    const { db, findings } = this.#pass
    const repair =
      column === undefined || value === undefined
        ? {}
        : { repair: () => change(db, `UPDATE inode SET ${column} = ? WHERE ino = ?`, value, ino) }
    findings.add({ kind: "inode", ino, message, ...repair })
  }

  #links({ ino, nlink }: InodeRow): void {
    const { db, index, findings, totals, isOnline } = this.#pass
    const at = index.find(ino)
    // What has lost its name is reported as that, once.
    if (at < 0 || index.isLost(at)) return
    const names = index.names[at] ?? 0
    if (names === 0 && nlink === 0 && ino !== ROOT_NODE) {
      totals.orphans += 1
      if (!isOnline)
        findings.add({
          kind: "orphan",
          severity: "note",
          ino,
          message: `inode ${ino} was unlinked while it was open: the next mount removes it`,
        })
      return
    }
    const right = index.isDirectory(at) ? 2 + (index.subdirectories[at] ?? 0) : names
    if (nlink === right) return
    findings.add({
      kind: "links",
      ino,
      message: `link count ${nlink}, but there are ${right}`,
      repair: () => change(db, "UPDATE inode SET nlink = ? WHERE ino = ?", right, ino),
    })
  }

  #stray(table: Table, ino: number): void {
    const { db, findings } = this.#pass
    if (KEYS[table] === "body" && this.#bodies.isThatOfCopies(ino)) return
    findings.add({
      kind: "leftover",
      ino,
      message: `rows in table ${table} belong to inode ${ino}, which does not exist`,
      repair: () => change(db, `DELETE FROM ${table} WHERE ${KEYS[table]} = ?`, ino),
    })
  }

  /** Numbers that no inode of ours has: they are not part of the scans. */
  #unreachableKeys(): void {
    const { db, findings } = this.#pass
    // Two ranges of the key, so that nothing is scanned.
    const beyond = (key: string): string => `(${key} < 1 OR ${key} >= ${INO_LIMIT})`
    const bad = beyond("ino")
    const inodes = numberOf(db, `SELECT count(*) FROM inode WHERE ${bad}`) ?? 0
    if (inodes > 0)
      findings.add({ kind: "inode", message: `${inodes} inodes have a number that none can have` })
    for (const table of TABLES) {
      const key = KEYS[table]
      const owners = `SELECT ino FROM inode WHERE ${bad} UNION SELECT body FROM inode WHERE body != 0 AND ${beyond("body")}`
      const where = `${beyond(key)} AND ${key} NOT IN (${owners})`
      const rows = numberOf(db, `SELECT count(*) FROM ${table} WHERE ${where}`) ?? 0
      if (rows === 0) continue
      findings.add({
        kind: "leftover",
        message: `${rows} rows in table ${table} belong to inodes that can't exist`,
        repair: () => change(db, `DELETE FROM ${table} WHERE ${where}`),
      })
    }
    const outside = `offset NOT BETWEEN 0 AND ${SAFE_LIMIT - 1}`
    const extents = db
      .query<[], [number]>(`SELECT DISTINCT body FROM extent WHERE ${outside} LIMIT 1000`)
      .all()
    for (const [ino] of extents)
      findings.add({ kind: "extent", ino, message: "an extent at an offset that no file has" })
  }
}
