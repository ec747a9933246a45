/** What programs can see of a store and of an answer, for comparison: two servers must not differ in it. */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { S_IFMT, S_IFREG } from "../../../clawfs/store/inode.ts"
import { META, Store } from "../../../clawfs/store/store.ts"
import { readFile } from "./files.ts"
import { unpack } from "./requests.ts"
import type { Answer } from "./server.ts"

/** All but the access time, which a crash may lose, and how the bytes are stored. */
const COLUMNS = `ino, mode, nlink, uid, gid, rdev, size, alloc, flags, parent, mtime, mtime_nanos, ctime, ctime_nanos,
  btime, btime_nanos`

/** Everything that programs could ever see of a store, as text; `adopt` unlocks its trees. */
export function picture(directory: string, adopt: (store: Store) => void = () => undefined): string[] {
  using db = new Database(join(directory, META), { readonly: true })
  const rows = (columns: string, table: string): string[] =>
    db
      .query<[], (number | Buffer)[]>(`SELECT ${columns} FROM ${table}`)
      .all()
      .map((row) => row.map((each) => (Buffer.isBuffer(each) ? each.toString("hex") : each)).join(" "))
      .map((row) => `${table} ${row}`)
  return [
    ...rows(COLUMNS, "inode"),
    ...rows("parent, name, ino, type", "dentry"),
    ...rows("ino, target", "symlink"),
    ...rows("ino, name, value", "xattr"),
    ...rows("next_ino, inodes, bytes", "state"),
    ...contentsOf(directory, db, adopt),
  ].sort()
}

function contentsOf(directory: string, db: Database, adopt: (store: Store) => void): string[] {
  using store = Store.open(directory, { readOnly: true })
  adopt(store)
  const inos = db
    .query<[number, number], [number]>("SELECT ino FROM inode WHERE (mode & ?) = ?")
    .all(S_IFMT, S_IFREG)
  return inos.flatMap(([ino]) => {
    const inode = store.inodes.get(ino)
    const digest = inode === undefined ? "" : createHash("sha1").update(readFile(store, inode)).digest("hex")
    return `contents ${ino} ${digest}`
  })
}

const O = Opcode
/** Where a reply's struct fuse_attr begins. */
const ATTR_AT = new Map<number, number>([
  ...[O.LOOKUP, O.SYMLINK, O.MKNOD, O.MKDIR, O.LINK, O.CREATE, O.TMPFILE].map(
    (opcode) => [opcode, 40] as const,
  ),
  [O.GETATTR, 16],
  [O.SETATTR, 16],
])

/** What a program learns from an answer, without the access time. */
export function comparable(message: Buffer, answer: Answer): unknown {
  if (answer === undefined) return undefined
  const [opcode, payload] = [message.readUInt32LE(4), Buffer.from(answer.payload)]
  const attr = ATTR_AT.get(opcode)
  if (opcode === O.READDIRPLUS) return [answer.error, unpack(payload, true)]
  if (attr !== undefined && payload.length > attr)
    payload.fill(0, attr + 24, attr + 32).fill(0, attr + 48, attr + 52)
  if (opcode === O.STATX) payload.fill(0, 96, 108)
  return [answer.error, payload.toString("hex")]
}
