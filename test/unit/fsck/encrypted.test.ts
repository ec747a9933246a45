/** A store with an encrypted tree is checked without its key, and a repair takes nothing of it. */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { encrypt } from "../support/encryption.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary
let directory: string

beforeEach(() => {
  place = temporary()
  directory = join(place.path, "store")
  using fs = new TestFileSystem()
  ok(fs.mkdir("tree"))
  encrypt(fs.store, fs.at("tree").ino)
  ok(fs.mkdir("tree/sub"))
  for (const [path, size] of [
    ["tree/small", 100],
    ["tree/sub/big", 300_000],
  ] as const) {
    const { ino } = ok(fs.mknod(path))
    for (let at = 0; at < size; at += 100_000)
      fs.write(ino, at, Buffer.alloc(Math.min(size - at, 100_000), path))
    fs.write(ino, size, "a tail")
    fs.fs.setxattr(fs.request(ino), Buffer.from("user.note"), Buffer.from("value"), 0, 0)
  }
  ok(fs.symlink("tree/link", "small"))
  ok(fs.link("tree/small", "tree/sub/second"))
  ok(fs.mknod("tree/empty"))
  fs.store.settle()
  cpSync(fs.directory, directory, { recursive: true })
})

afterEach(() => place[Symbol.dispose]())

function messages(repair = false): string[] {
  return fsck({ directory, repair, isOnline: false }).findings.map(({ message }) => message)
}

function damage(sql: string): void {
  using db = new Database(join(directory, META))
  db.execute(sql)
}

function dump(): unknown {
  using db = new Database(join(directory, META), { readonly: true })
  return ["inode", "dentry", "xattr", "symlink", "inline", "extent", "file_key", "key", "key_slot"].map(
    (table) => db.query<[], Buffer[]>(`SELECT * FROM ${table} ORDER BY 1, 2`).all(),
  )
}

describe("an encrypted tree", () => {
  test("is found whole, and a repair leaves it as it is", () => {
    const before = dump()
    expect(messages()).toEqual([])
    expect(messages(true)).toEqual([])
    expect(dump()).toEqual(before)
  })

  const BIG = "(SELECT max(body) FROM extent)"
  test.each([
    [`DELETE FROM file_key WHERE body = ${BIG}`, "its key is lost: what it has can't be decrypted"],
    [`UPDATE file_key SET generation = 7 WHERE body = ${BIG}`, "can't be opened by any"],
    ["DELETE FROM key_slot", "has no slot: nothing opens it"],
    ["DELETE FROM key", "key 1 of an encrypted tree is lost"],
    ["UPDATE inline SET data = x'00'", "the encrypted inline piece has 0 bytes, it should have"],
    ["UPDATE dentry SET name = x'00' WHERE length(name) = 48", "an encrypted name of 1 bytes"],
    ["UPDATE xattr SET name = x'00'", "an encrypted attribute's name"],
    ["UPDATE symlink SET target = x'00'", "a target of"],
    [
      "INSERT INTO file_key SELECT 4711, key, generation, file_id, wrapped, NULL FROM file_key LIMIT 1",
      "belong to nothing",
    ],
  ])("is told of when damaged: %s", (sql, message) => {
    damage(sql)
    expect(messages().join("\n")).toContain(message)
  })
})
