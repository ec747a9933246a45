/** Columns of table `inode` that must be right on their own, whatever else is in the store. */
import { S_IFMT, USER_FLAGS, InodeFlag } from "../store/inode.ts"
import { DT_DIR, NO_TYPE, typeOf } from "./inode-index.ts"
import { INO_LIMIT, SAFE_LIMIT } from "./scan.ts"

export const INODE_COLUMNS = `ino, mode, nlink, uid, gid, rdev, size, alloc, flags, parent, inline_offset, inline_length,
  atime, atime_nanos, mtime, mtime_nanos, ctime, ctime_nanos, btime, btime_nanos, tree, body`

export interface InodeRow {
  readonly ino: number
  readonly mode: number
  /** See `typeOf`. */
  readonly type: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly size: number
  readonly alloc: number
  readonly flags: number
  readonly parent: number
  readonly inlineOffset: number
  readonly inlineLength: number
  /** Seconds and nanoseconds of four times. */
  readonly times: readonly number[]
  /** Whose contents it has: the key in `inline` and `extent`. Its own number when the column says 0. */
  readonly body: number
  /** The column. */
  readonly bodyColumn: number
}

export const DT_REG = 8
export const DT_LNK = 10
const DEVICES: readonly number[] = [2, 6]
export const DIRECTORY_SIZE = 4096
const U32 = 2 ** 32
const NANOS = 1_000_000_000
const FLAGS =
  USER_FLAGS | InodeFlag.HAS_XATTR | InodeFlag.HAS_ACCESS_ACL | InodeFlag.HAS_DEFAULT_ACL | InodeFlag.UNNAMED
const TIMES = ["atime", "mtime", "ctime", "btime"] as const

/** Row of `INODE_COLUMNS`. */
export function inodeOfRow(row: readonly number[]): InodeRow {
  const [ino = 0, mode = 0, nlink = 0, uid = 0, gid = 0, rdev = 0, size = 0, alloc = 0] = row
  return {
    ino,
    mode,
    type: typeOf(mode),
    nlink,
    uid,
    gid,
    rdev,
    size,
    alloc,
    flags: row[8] ?? 0,
    parent: row[9] ?? 0,
    inlineOffset: row[10] ?? 0,
    inlineLength: row[11] ?? 0,
    times: row.slice(12, 20),
    body: row[21] === 0 ? ino : (row[21] ?? ino),
    bodyColumn: row[21] ?? 0,
  }
}

/** What is wrong with a column, and what it is set to where one value is right. */
export interface Problem {
  readonly message: string
  readonly column?: string
  readonly value?: number
}

/** What is wrong with the row alone. */
export function problemsOf(inode: InodeRow): Problem[] {
  return [
    ...ownerProblems(inode),
    ...sizeProblems(inode),
    ...kindProblems(inode),
    ...timeProblems(inode),
    ...bodyProblems(inode),
  ]
}

function isCount(value: number, limit = SAFE_LIMIT): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit
}

function ownerProblems({ mode, type, nlink, uid, gid, flags }: InodeRow): Problem[] {
  const problems: Problem[] = []
  if (type === NO_TYPE) problems.push({ message: `mode 0o${mode.toString(8)} is no type of file` })
  if (!isCount(nlink, U32)) problems.push({ message: `link count ${nlink} is no 32-bit number` })
  if (!isCount(uid, U32)) problems.push({ message: `owner ${uid} is no 32-bit number` })
  if (!isCount(gid, U32)) problems.push({ message: `group ${gid} is no 32-bit number` })
  const known = isCount(flags, U32) ? (flags & FLAGS) >>> 0 : 0
  if (known !== flags) {
    const message = `flags 0x${flags.toString(16)} have bits that mean nothing`
    problems.push({ message, column: "flags", value: known })
  }
  return problems
}

function sizeProblems({ type, size, alloc }: InodeRow): Problem[] {
  const problems: Problem[] = []
  if (!isCount(size)) problems.push({ message: `size ${size} is out of range` })
  // With contents it is rather a file, and its size is not to be lost.
  else if (type === DT_DIR && size !== DIRECTORY_SIZE && alloc === 0) {
    const message = `a directory of size ${size} instead of ${DIRECTORY_SIZE}`
    problems.push({ message, column: "size", value: DIRECTORY_SIZE })
  }
  if (!isCount(alloc)) problems.push({ message: `alloc ${alloc} is out of range` })
  return problems
}

function kindProblems({ mode, type, rdev, parent }: InodeRow): Problem[] {
  const problems: Problem[] = []
  if (type === NO_TYPE) return problems
  const what = `mode 0o${(mode & S_IFMT).toString(8)}`
  if (DEVICES.includes(type)) {
    if (!isCount(rdev, U32)) problems.push({ message: `device number ${rdev} is no 32-bit number` })
  } else if (rdev !== 0) {
    problems.push({ message: `a device number (${rdev}) with ${what}`, column: "rdev", value: 0 })
  }
  // Whether a directory's is the right one, the tree tells.
  if (type !== DT_DIR && parent !== 0)
    problems.push({ message: `a parent (inode ${parent}) with ${what}`, column: "parent", value: 0 })
  return problems
}

function bodyProblems({ ino, bodyColumn: body }: InodeRow): Problem[] {
  if (body === ino)
    return [{ message: `body ${body} is its own number, noted as 0`, column: "body", value: 0 }]
  return isCount(body, INO_LIMIT) ? [] : [{ message: `body ${body} can't be` }]
}

function timeProblems({ times }: InodeRow): Problem[] {
  return TIMES.flatMap((name, i) => {
    const problems: Problem[] = []
    const [seconds = 0, nanos = 0] = [times[2 * i], times[2 * i + 1]]
    if (!Number.isSafeInteger(seconds)) {
      problems.push({ message: `${name} ${seconds} is out of range`, column: name, value: 0 })
    }
    if (!isCount(nanos, NANOS)) {
      problems.push({ message: `${name} has ${nanos} nanoseconds`, column: `${name}_nanos`, value: 0 })
    }
    return problems
  })
}
