/** Rows that are changed behind the back of their checksums, in the clear and in an encrypted tree: no answer comes of them. */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META, Store } from "../../../clawfs/store/store.ts"
import { sourceOf } from "../../../keyring/key-file.ts"
import { randomSecret } from "../../../keyring/secret.ts"
import { SourceKind, makeSlot } from "../../../keyring/slots.ts"
import { encrypt, keyOf, unlock, type Secret } from "../support/encryption.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const NOTE = Buffer.from("user.note")
const TAG = Buffer.from("user.tag")
const BIG = Buffer.alloc(20_000, "some more bytes")

let place: Temporary
let directory: string
let secret: Secret
let inos: Readonly<Record<string, NodeId>>

beforeEach(() => {
  place = temporary()
  directory = join(place.path, "store")
  using fs = new TestFileSystem()
  ok(fs.mkdir("sealed"))
  ok(fs.mkdir("plain"))
  secret = encrypt(fs.store, fs.at("sealed").ino)
  const made: Record<string, NodeId> = {}
  for (const top of ["sealed", "plain"]) {
    const { ino } = ok(fs.mknod(`${top}/file`))
    fs.write(ino, 0, "some bytes")
    for (const name of [NOTE, TAG]) fs.fs.setxattr(fs.request(ino), name, Buffer.from("value"), 0, 0)
    Object.assign(made, { [top]: fs.at(top).ino, [`${top}/file`]: ino })
    made[`${top}/other`] = ok(fs.mknod(`${top}/other`)).ino
    const big = ok(fs.mknod(`${top}/big`)).ino
    fs.write(big, 0, BIG)
    made[`${top}/big`] = big
    made[`${top}/link`] = ok(fs.symlink(`${top}/link`, "target")).ino
  }
  inos = made
  fs.store.settle()
  cpSync(fs.directory, directory, { recursive: true })
})

afterEach(() => place[Symbol.dispose]())

/** Everything that is to be seen below `top`. */
function seeAll(top: string): string[] {
  using store = Store.open(directory)
  unlock(store, secret)
  const of = (path: string): NonNullable<ReturnType<typeof store.inodes.get>> => {
    const inode = store.inodes.get(inos[path] ?? 0)
    if (inode === undefined) throw new Error(`${path} is gone`)
    return inode
  }
  const [home, file, big] = [of(top).ino, of(`${top}/file`), of(`${top}/big`)]
  const more = Buffer.alloc(big.size)
  store.contents.read(big, 0, big.size, more, 0)
  const bytes = Buffer.alloc(file.size)
  store.contents.read(file, 0, file.size, bytes, 0)
  return [
    store.dentries.find(home, Buffer.from("file"))?.ino === file.ino ? "found" : "not found",
    store.dentries.find(home, Buffer.from("no such name")) === undefined ? "nothing" : "something",
    ...store.dentries
      .list(home, 0, 10)
      .map(({ name }) => name.toString())
      .sort(),
    ...[NOTE, TAG].map((name) => store.xattrs.get(file, name)?.toString() ?? "no attribute"),
    store.symlinks.get(of(`${top}/link`)).toString(),
    bytes.toString(),
    more.equals(BIG) ? "all" : "something else",
  ]
}

const SIGHT = [
  ...["found", "nothing", "big", "file", "link", "other", "value", "value", "target", "some bytes", "all"],
]

/** Another second byte. */
const flip = (blob: string): string =>
  `CAST(substr(${blob}, 1, 1) || iif(substr(${blob}, 2, 1) = x'7e', x'7f', x'7e') || substr(${blob}, 3) AS BLOB)`

const NO_SUMS = [
  ["inode", "ino", "/file"],
  ["dentry", "ino", "/file"],
  ["xattr", "ino", "/file"],
  ["symlink", "ino", "/link"],
  ["inline", "body", "/file"],
  ["extent", "body", "/big"],
] as const

describe.each(["sealed", "plain"])("in a tree that is %s", (top) => {
  const at = (path: string): number => inos[top + path] ?? 0

  test("everything is seen as it was written", () => {
    expect(seeAll(top)).toEqual(SIGHT)
    expect(fsck({ directory, repair: false, isOnline: false }).findings).toEqual([])
  })

  test.each<[string, () => string]>([
    ["a size", () => `UPDATE inode SET size = size - 1 WHERE ino = ${at("/file")}`],
    [
      "an inode that is another's",
      () => `UPDATE inode SET ino = 999 WHERE ino = ${at("/other")};
       UPDATE inode SET ino = ${at("/other")} WHERE ino = ${at("/file")}; UPDATE inode SET ino = ${at("/file")} WHERE ino = 999`,
    ],
    [
      "a name that leads elsewhere",
      () => `UPDATE dentry SET ino = ${at("/other")} WHERE ino = ${at("/file")}`,
    ],
    ["a type", () => `UPDATE dentry SET type = 4 WHERE ino = ${at("/other")}`],
    ["a name", () => `UPDATE dentry SET name = ${flip("name")} WHERE ino = ${at("/file")}`],
    [
      "the name of another file",
      () => `UPDATE dentry SET name = ${flip("name")} WHERE ino = ${at("/other")}`,
    ],
    ["a lost name", () => `DELETE FROM dentry WHERE ino = ${at("/other")}`],
    [
      "a name too many",
      () =>
        `INSERT INTO dentry SELECT parent, cookie + 1, name, ino, type, NULL FROM dentry WHERE ino = ${at("/other")}`,
    ],
    ["an attribute", () => `UPDATE xattr SET value = ${flip("value")} WHERE ino = ${at("/file")}`],
    [
      "a lost attribute",
      () =>
        `DELETE FROM xattr WHERE ino = ${at("/file")} AND name = (SELECT max(name) FROM xattr WHERE ino = ${at("/file")})`,
    ],
    ["all attributes lost", () => `DELETE FROM xattr WHERE ino = ${at("/file")}`],
    ["a target", () => `UPDATE symlink SET target = ${flip("target")} WHERE ino = ${at("/link")}`],
    ["a lost target", () => `DELETE FROM symlink WHERE ino = ${at("/link")}`],
    ["bytes", () => `UPDATE inline SET data = ${flip("data")} WHERE body = ${at("/file")}`],
    ["a checksum", () => `UPDATE inline SET sum = sum + 1 WHERE body = ${at("/file")}`],
    ["a place in the log", () => `UPDATE extent SET position = position + 1 WHERE body = ${at("/big")}`],
    ["a lost place in the log", () => `DELETE FROM extent WHERE body = ${at("/big")}`],
    ...NO_SUMS.map(([table, column, path]): [string, () => string] => [
      `a row of table ${table} without a checksum`,
      () => `UPDATE ${table} SET sum = NULL WHERE ${column} = ${at(path)}`,
    ]),
    ["no sum over what is in a directory", () => `UPDATE inode SET part_sum = NULL WHERE ino = ${at("")}`],
    ["lost bytes", () => `DELETE FROM inline WHERE body = ${at("/file")}`],
  ])("%s: no answer, and fsck tells", (_what, sql) => {
    expectNoAnswer(top, sql())
  })
})

describe("what makes an encrypted tree one", () => {
  test.each([
    ["no key", "UPDATE tree SET key = 0"],
    ["another key", "UPDATE tree SET key = 2"],
    ["a limit", "UPDATE tree SET limit_bytes = 4096"],
    ["a lost row", "DELETE FROM tree"],
    ["the key's generation", "UPDATE key SET generation = 2"],
    ["its check value", `UPDATE key SET check_value = ${flip("check_value")}`],
    ["a lost key", "DELETE FROM key"],
    ["the cost of a slot", "UPDATE key_slot SET cost = cost + 1"],
    ["a slot", `UPDATE key_slot SET wrapped = ${flip("wrapped")}`],
    ["the generation of the keys of files", "UPDATE file_key SET generation = 2"],
    ["keys of files", `UPDATE file_key SET file_id = ${flip("file_id")}`],
    ["lost keys of files", "DELETE FROM file_key"],
    ...["tree", "key", "key_slot", "file_key"].map((table): [string, string] => [
      `rows of table ${table} without a checksum`,
      `UPDATE ${table} SET sum = NULL`,
    ]),
  ])("is damaged: %s", (_what, sql) => {
    expectNoAnswer("sealed", sql)
  })
})

describe("what the whole store rests on", () => {
  test.each(["state", "store"])("the row of table %s without a checksum", (table) => {
    expectNoAnswer("plain", `UPDATE ${table} SET sum = NULL`)
  })

  test.each(["segment_sum", "shared_sum", "snapshot_sum", "schedule_sum"])("without %s", (column) => {
    expectNoAnswer("plain", `UPDATE state SET ${column} = NULL`)
  })
})

test("a lost slot of a key locks nobody out who has another, and fsck tells", () => {
  {
    using store = Store.open(directory)
    const slot = makeSlot(keyOf(store, secret), 2, sourceOf(SourceKind.KEY_FILE, randomSecret()))
    store.transactAlone(() => store.keys.addSlot(secret.id, slot))
  }
  expect(fsck({ directory, repair: false, isOnline: false }).findings).toEqual([])
  execute("DELETE FROM key_slot WHERE slot = 2")
  expect(seeAll("sealed")).toEqual(SIGHT)
  const { findings } = fsck({ directory, repair: false, isOnline: false })
  expect(findings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
    "/sealed: a slot of a key is lost, or there is one too many",
  ])
})

function execute(sql: string): void {
  using db = new Database(join(directory, META))
  db.execute(sql)
}

function expectNoAnswer(top: string, sql: string): void {
  execute(sql)
  let thrown: unknown
  try {
    seeAll(top)
  } catch (caught) {
    thrown = caught
  }
  expect(thrown).toBeInstanceOf(Fault)
  expect((thrown as Fault).kind).toBe("corrupt")
  expect(fsck({ directory, repair: false, isOnline: false }).findings).not.toEqual([])
}
