import { readFileSync, readdirSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { segmentOf } from "../../../clawfs/store/log-position.ts"
import { TreeFlag } from "../../../clawfs/store/trees.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"
import { encrypt, unlock, type Secret } from "../support/encryption.ts"
import { segmentFile } from "../support/files.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

let fs: TestFileSystem
let secret: Secret

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("tree"))
  secret = encrypt(fs.store, fs.at("tree").ino)
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

describe.each([
  ["encrypted", 0],
  ["compressed and encrypted", TreeFlag.COMPRESS],
])("the cleaner, where records are %s,", (_, flags) => {
  beforeEach(() => {
    const tree = fs.store.trees.get(fs.at("tree").ino)
    if (tree === undefined) throw new Error("no tree")
    tree.flags |= flags
    fs.store.transactAlone(() => fs.store.trees.save(tree))
  })

  /** A file of which most is overwritten, in segments that nothing more is appended to. */
  function makeGarbage(): string {
    ok(fs.mknod("tree/file"))
    const { ino } = fs.at("tree/file")
    const contents = Buffer.alloc(4 * 131_072)
    for (let at = 0; at < contents.length; at += 4) contents.writeUInt32LE(at, at)
    const write = (from: number, to: number): unknown => fs.write(ino, from, contents.subarray(from, to))
    for (let at = 0; at < contents.length; at += 131_072) write(at, at + 131_072)
    for (let at = 8192; at < contents.length; at += 16_384) write(at, at + 8192)
    fs.store.commit()
    // Nothing more is appended to the segment, as in a store of format 1 with a full one.
    truncateSync(segmentFile(fs.directory, segmentOf(fs.store.logEnd)), 64 * 1024 * 1024)
    using db = new Database(join(fs.directory, META))
    db.execute("UPDATE state SET log_end = 0")
    fillSums(db)
    fs.restart()
    unlock(fs.store, secret)
    fs.write(ok(fs.mknod("tree/next")).ino, 0, Buffer.alloc(20_000, "next"))
    fs.store.commit()
    return contents.toString("latin1")
  }

  const whole = (): string => {
    let text = ""
    for (let at = 0; at < 4 * 131_072; at += 65_536)
      text += fs.read(fs.at("tree/file").ino, { offset: at, size: 65_536 })
    return text
  }
  const clean = (): void => {
    fs.store.garbage.wantAll()
    while (fs.store.clean(1 << 20) > 0) fs.store.commit()
    fs.store.commit()
  }

  test("moves the live parts of encrypted records, once, and they stay encrypted", () => {
    const contents = makeGarbage()
    const before = fs.store.garbage.logSpace.dead
    clean()
    expect(whole()).toBe(contents)
    expect(before - fs.store.garbage.logSpace.dead).toBeGreaterThan(200_000)
    fs.restart()
    unlock(fs.store, secret)
    expect(whole()).toBe(contents)
    const mark = Buffer.from(contents.slice(4096, 4128), "latin1")
    const log = join(fs.directory, SEGMENTS)
    for (const name of readdirSync(log)) expect(readFileSync(join(log, name)).includes(mark)).toBe(false)
  })

  test("leaves them where they are while the tree is locked, and comes to an end", () => {
    const contents = makeGarbage()
    fs.store.lockTree(secret.id)
    clean()
    unlock(fs.store, secret)
    expect(whole()).toBe(contents)
    clean()
    expect(whole()).toBe(contents)
  })
})
