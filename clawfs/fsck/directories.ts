/**
 * Directories whose row is lost or no longer says that it is one's. Put right before anything else is looked at: what a
 * directory holds would count as lost, and get new names.
 */
import { ROOT_NODE } from "../core/brand.ts"
import type { Database } from "../store/database.ts"
import { S_IFDIR, S_IFMT } from "../store/inode.ts"
import { DIRECTORY_SIZE, INODE_COLUMNS } from "./attributes.ts"
import type { Findings } from "./finding.ts"
import { INO_LIMIT, change, numberOf } from "./scan.ts"

const PERMISSIONS = 0o7777
const MODE_MAX = 0o177777

/** Only a directory has a parent and this size, stores nothing, and holds names. */
const DISGUISED = `SELECT ino, mode FROM inode WHERE (mode & ${S_IFMT}) != ${S_IFDIR} AND parent > 0
  AND size = ${DIRECTORY_SIZE} AND alloc = 0 AND ino > 0 AND ino < ${INO_LIMIT}
  AND EXISTS (SELECT 1 FROM dentry WHERE dentry.parent = inode.ino)`

/** Returns the inodes that are directories, whatever their mode says. */
export function checkDirectories(db: Database, findings: Findings): number[] {
  checkRoot(db, findings)
  const disguised = db.query<[], [number, number]>(DISGUISED).all()
  for (const [ino, mode] of disguised) {
    const permissions = mode >= 0 && mode <= MODE_MAX ? mode & PERMISSIONS : 0o700
    findings.add({
      kind: "inode",
      ino,
      message: `mode 0o${mode.toString(8)}, but it is a directory and holds names`,
      repair: () => change(db, "UPDATE inode SET mode = ? WHERE ino = ?", S_IFDIR | permissions, ino),
    })
  }
  return disguised.map(([ino]) => ino)
}

/** A root that is there and something else is told by the check of the tree. */
function checkRoot(db: Database, findings: Findings): void {
  if (numberOf(db, `SELECT count(*) FROM inode WHERE ino = ${ROOT_NODE}`) !== 0) return
  findings.add({
    kind: "lost",
    ino: ROOT_NODE,
    message: "the root directory is lost",
    repair: () => insertDirectory(db, ROOT_NODE),
  })
}

/** A directory below the root, or the root, that only root can enter. */
export function insertDirectory(db: Database, ino: number): void {
  const now = Math.floor(Date.now() / 1000)
  change(
    db,
    `INSERT INTO inode (${INODE_COLUMNS}) VALUES (?, ${S_IFDIR | 0o700}, 2, 0, 0, 0, ${DIRECTORY_SIZE}, 0, 0, ${ROOT_NODE}, 0, 0,
      ${now}, 0, ${now}, 0, ${now}, 0, ${now}, 0, 0, 0)`,
    ino,
  )
}
