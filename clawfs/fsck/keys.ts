/** Tables `key`, `key_slot` and `file_key`: every encrypted inode has a key, and every key is one of a tree. */
import { BLOB_OVERHEAD } from "../../keyring/primitives.ts"
import { KEY_BYTES } from "../../keyring/secret.ts"
import { FILE_ID_BYTES } from "../../keyring/tree-key.ts"
import { INO_LIMIT, PAGE, change, numberOf, rowsOf } from "./scan.ts"
import type { Pass } from "./pass.ts"

const WRAPPED = BLOB_OVERHEAD + KEY_BYTES

type FileRow = [body: number, key: number, generation: number, idLength: number, length: number]
const FILES = `SELECT body, key, generation, length(file_id), length(wrapped) FROM file_key
  WHERE body > ? ORDER BY body LIMIT ${PAGE}`
const INODES = `SELECT i.ino, i.tree, k.key FROM inode i
  LEFT JOIN file_key k ON k.body = CASE i.body WHEN 0 THEN i.ino ELSE i.body END
  WHERE i.ino > ? AND i.ino < ${INO_LIMIT} AND i.tree != 0 ORDER BY i.ino LIMIT ${PAGE}`

export function checkKeys(pass: Pass): void {
  const { sealed } = pass
  const tables = ["key", "key_slot", "file_key"]
  const rows = tables.reduce(
    (sum, table) => sum + (numberOf(pass.db, `SELECT count(*) FROM ${table}`) ?? 0),
    0,
  )
  const trees = numberOf(pass.db, "SELECT count(*) FROM tree WHERE key != 0") ?? 0
  if (sealed.trees.size === 0 && rows === 0 && trees === 0) return
  checkTreeKeys(pass)
  checkFileKeys(pass)
  checkInodeKeys(pass)
}

/** Without its row or its slots a tree can't be opened: nothing can be mended there. */
function checkTreeKeys({ db, findings, sealed }: Pass): void {
  const wanted = db.query<[], [number]>("SELECT DISTINCT key FROM tree WHERE key != 0").all()
  for (const key of new Set([...wanted.map(([each]) => each), ...sealed.trees.values()])) {
    const has = (table: string, column: string): boolean =>
      (numberOf(db, `SELECT count(*) FROM ${table} WHERE ${column} = ?`, key) ?? 0) > 0
    if (!has("key", "id")) findings.add({ kind: "key", message: `key ${key} of an encrypted tree is lost` })
    else if (!has("key_slot", "key"))
      findings.add({ kind: "key", message: `key ${key} of an encrypted tree has no slot: nothing opens it` })
  }
  for (const [table, column] of [
    ["key", "id"],
    ["key_slot", "key"],
  ] as const) {
    const where = `${column} NOT IN (SELECT key FROM tree)`
    const count = numberOf(db, `SELECT count(*) FROM ${table} WHERE ${where}`) ?? 0
    if (count === 0) continue
    findings.add({
      kind: "leftover",
      message: `${count} rows in table ${table} belong to no tree`,
      repair: () => change(db, `DELETE FROM ${table} WHERE ${where}`),
    })
  }
}

function checkFileKeys({ db, findings }: Pass): void {
  const known = new Map(
    db
      .query<[], [number, number, number]>("SELECT id, generation, previous IS NOT NULL FROM key")
      .all()
      .map(([id, generation, isRekeyed]) => [id, { generation, oldest: generation - isRekeyed }]),
  )
  for (const [body, key, generation, idLength, length] of rowsOf<FileRow>(db, FILES, [0])) {
    const range = known.get(key)
    const isSound =
      range !== undefined &&
      generation >= range.oldest &&
      generation <= range.generation &&
      idLength === FILE_ID_BYTES &&
      length === WRAPPED
    if (!isSound) findings.add({ kind: "key", message: `the key of body ${body} can't be opened by any` })
  }
  const where = `body NOT IN (SELECT CASE body WHEN 0 THEN ino ELSE body END FROM inode)`
  const count = numberOf(db, `SELECT count(*) FROM file_key WHERE ${where}`) ?? 0
  if (count === 0) return
  findings.add({
    kind: "leftover",
    message: `${count} rows in table file_key belong to nothing`,
    repair: () => change(db, `DELETE FROM file_key WHERE ${where}`),
  })
}

function checkInodeKeys({ db, findings, sealed }: Pass): void {
  for (const [ino, tree, key] of rowsOf<[number, number, number | null]>(db, INODES, [0])) {
    const right = sealed.trees.get(tree)
    if (right === undefined || key === right) continue
    const message =
      key === null ? "its key is lost: what it has can't be decrypted" : "its key is that of another tree"
    findings.add({ kind: "key", ino, message })
  }
}
