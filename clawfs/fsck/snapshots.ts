/**
 * Table `snapshot` against the names in `/.snapshots`: one row for each, under the same name. What is listed and not there can't
 * be deleted or restored, what is there and not listed neither; a row is made up from what the copy itself says.
 */
import { ROOT_NODE } from "../core/brand.ts"
import { S_IFDIR, S_IFMT } from "../store/inode.ts"
import type { Value } from "../store/database.ts"
import { SNAPSHOT_COLUMNS } from "../store/snapshots.ts"
import { printable } from "./finding.ts"
import { inRoot } from "./lost-and-found.ts"
import type { Pass } from "./pass.ts"
import { INO_LIMIT, SAFE_LIMIT, change } from "./scan.ts"

const SNAPSHOTS = ".snapshots"
/** What is being deleted, and whatever else begins with a dot, is no snapshot. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:+@-]*$/
const U32 = 2 ** 32

type Row = [
  root: number,
  name: string,
  source: number,
  path: Buffer,
  created: number,
  uid: number,
  mode: number,
  inodes: number,
  bytes: number,
]
type Top = [
  mode: number,
  uid: number,
  ctime: number,
  body: number,
  inodes: number | null,
  bytes: number | null,
]
const TOP = `SELECT i.mode, i.uid, i.ctime, i.body, t.used_inodes, t.used_bytes
  FROM inode i LEFT JOIN tree t ON t.id = i.ino WHERE i.ino = ?`

/** To be called when names and trees are right. */
export function checkSnapshots(pass: Pass): void {
  const { db, findings } = pass
  const there = namesOf(pass)
  const rows = db.query<[], Row>(`SELECT ${SNAPSHOT_COLUMNS} FROM snapshot ORDER BY root`).all()
  for (const row of rows) {
    const [root, name] = row
    const found = there.get(root)
    there.delete(root)
    if (found === undefined)
      findings.add({
        kind: "snapshot",
        message: `the snapshot ${shown(name)} is listed, and is not in /${SNAPSHOTS}`,
        repair: () => change(db, "DELETE FROM snapshot WHERE root = ?", root),
      })
    else if (found !== name)
      findings.add({
        ...{ kind: "snapshot", ino: root, message: `it is listed under the name ${shown(name)}` },
        repair: () => put(pass, root, found, row),
      })
    else if (!isPossible(row))
      findings.add({
        ...{ kind: "snapshot", ino: root, message: "what is listed of it can't be" },
        repair: () => put(pass, root, found),
      })
  }
  for (const [root, name] of there)
    findings.add({
      ...{ kind: "snapshot", ino: root, message: "it is not listed: what it was made of and when is lost" },
      repair: () => put(pass, root, name),
    })
}

/** Directories in `/.snapshots` that have a snapshot's name. */
function namesOf(pass: Pass): Map<number, string> {
  const { db, index } = pass
  const home = inRoot(pass, SNAPSHOTS) ?? ROOT_NODE
  const at = index.find(home)
  if (at < 0 || !index.isDirectory(at) || index.tree[at] !== home) return new Map()
  const names = db
    .query<[number], [number, Buffer]>("SELECT ino, name FROM dentry WHERE parent = ?")
    .all(home)
  return new Map(
    names
      .map(([ino, name]): [number, string] => [ino, name.toString("latin1")])
      .filter(([ino, name]) => NAME.test(name) && index.isDirectory(index.find(ino))),
  )
}

function isPossible([, , source, path, created, uid, mode, inodes, bytes]: Row): boolean {
  const isCount = (value: number): boolean => value >= 0 && value < SAFE_LIMIT
  const isOwner = uid >= 0 && uid < U32 && (mode & S_IFMT) === S_IFDIR && mode >>> 16 === 0
  const isPath = path[0] === 0x2f && !path.includes(0)
  return source > 0 && source < INO_LIMIT && isPath && isOwner && [created, inodes, bytes].every(isCount)
}

/** Lists a snapshot as `row` has it, or as far as the copy tells: as one of itself, which `clawfs clone` brings back. */
function put({ db }: Pass, root: number, name: string, row?: Row): void {
  const [mode = S_IFDIR, uid = 0, ctime = 0, body = 0, inodes, bytes] =
    db.query<[number], Top>(TOP).get(root) ?? []
  const path = Buffer.from(`/${SNAPSHOTS}/${name}`)
  const copy: Row = [root, name, body || root, path, Math.max(0, ctime), uid, mode, inodes ?? 1, bytes ?? 0]
  const values: Value[] = row !== undefined && isPossible(row) ? [root, name, ...row.slice(2)] : copy
  // Two rows may have each other's names.
  change(db, "DELETE FROM snapshot WHERE root = ? OR name = ?", root, name)
  change(db, `INSERT INTO snapshot (${SNAPSHOT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, ...values)
}

function shown(name: string): string {
  return `"${printable(Buffer.from(name))}"`
}
