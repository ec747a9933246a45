/** A store of the format before checksums gets all of them in one transaction, or stays what it was. */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { sql } from "../../../migrations/sqlite/0009-row-sums.ts"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { setSchedule } from "../../../clawfs/fs/schedules.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META, Store } from "../../../clawfs/store/store.ts"
import { encrypt, unlock, type Secret } from "../support/encryption.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary } from "../support/temporary.ts"

const ADDED = [...sql.matchAll(/ALTER TABLE (\w+) ADD COLUMN (\w+)/g)].map(
  ([, table = "", column = ""]) => [table, column] as const,
)

/** A store with rows in every table, as version 8 left it. */
function oldStore(directory: string): Secret {
  using fs = new TestFileSystem()
  ok(fs.mkdir("sealed"))
  const secret = encrypt(fs.store, fs.at("sealed").ino)
  ok(fs.mkdir("plain"))
  for (const top of ["sealed", "plain"]) {
    const { ino } = ok(fs.mknod(`${top}/file`))
    fs.write(ino, 0, "some bytes")
    fs.fs.setxattr(fs.request(ino), Buffer.from("user.note"), Buffer.from("value"), 0, 0)
    fs.write(ok(fs.mknod(`${top}/big`)).ino, 0, Buffer.alloc(30_000, "more"))
    ok(fs.symlink(`${top}/link`, "file"))
    createSnapshot(fs.env, { name: top, path: Buffer.from(`/${top}`), isWritable: false })
  }
  setSchedule(fs.env, { name: "daily", path: Buffer.from("/plain"), every: 86_400, keep: 2 })
  fs.store.settle()
  cpSync(fs.directory, directory, { recursive: true })
  using db = new Database(join(directory, META))
  for (const [table, column] of [...ADDED].reverse()) db.execute(`ALTER TABLE ${table} DROP COLUMN ${column}`)
  db.pragma("user_version = 8")
  return secret
}

test("every row of every table has its sum afterwards", () => {
  using place = temporary()
  const directory = join(place.path, "store")
  const secret = oldStore(directory)
  {
    using store = Store.open(directory)
    unlock(store, secret)
    expect(store.snapshots.all().map(({ name }) => name)).toEqual(["sealed", "plain"])
    expect(store.schedules.all()).toHaveLength(1)
  }
  expect(fsck({ directory, repair: false, isOnline: false }).findings).toEqual([])
  using db = new Database(join(directory, META), { readonly: true })
  for (const [table, column] of ADDED) {
    const rows = db.query<[], [number, number]>(`SELECT count(*), count(${column}) FROM ${table}`).get()
    expect([table, rows?.[0] ?? 0]).not.toEqual([table, 0])
    expect([table, column, rows?.[1]]).toEqual([table, column, rows?.[0]])
  }
})

test("a migration that fails while it makes them leaves no column behind", () => {
  using place = temporary()
  const directory = join(place.path, "store")
  oldStore(directory)
  {
    using db = new Database(join(directory, META))
    db.execute("CREATE TRIGGER fails BEFORE UPDATE ON symlink BEGIN SELECT raise(ABORT, 'no'); END")
  }
  expect(() => Store.open(directory)).toThrow("no")
  using db = new Database(join(directory, META), { readonly: true })
  expect(Number(db.pragma("user_version"))).toBe(8)
  expect(db.query("SELECT 1 FROM pragma_table_info('inode') WHERE name = 'sum'").all()).toEqual([])
})
