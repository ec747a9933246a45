import { createHash } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { compressBelow } from "../../../clawfs/fs/compressing.ts"
import { salvage, type SalvageOptions, type SalvageResult } from "../../../clawfs/salvage/salvage.ts"
import { RECORD_HEADER } from "../../../clawfs/store/record.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"
import { hasZstd } from "../../../clawfs/sys/libzstd.ts"
import { back, flip, refusal } from "../backup/support.ts"
import { Sample } from "../fsck/sample.ts"
import { fillSegment, makeFile, writeFile } from "../support/files.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary, temporaryStore, type Temporary } from "../support/temporary.ts"
import { bytesOf, treeOf } from "./support.ts"

const PAGE = 4096

let pristine: Sample
let whole: Map<string, string>
let sample: Sample
let place: Temporary
let target: string
let backup: string
beforeAll(() => {
  pristine = Sample.make()
  whole = treeOf(pristine.directory)
})
afterAll(() => pristine[Symbol.dispose]())
beforeEach(() => {
  sample = pristine.copy()
  place = temporary()
  target = join(place.path, "salvaged")
  backup = join(place.path, "backup")
})
afterEach(() => {
  sample[Symbol.dispose]()
  place[Symbol.dispose]()
})

function save(options: Partial<SalvageOptions> = {}): SalvageResult {
  const result = salvage({ store: sample.directory, target, onProgress: () => undefined, ...options })
  expect(result.proof.findings).toEqual([])
  expect(readdirSync(target).sort()).toEqual([META, SEGMENTS])
  return result
}

/** Name → hash of every file of a directory. */
function files(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory, { recursive: true, encoding: "utf8" })
      .sort()
      .map((name) => join(directory, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => [path, createHash("sha1").update(readFileSync(path)).digest("hex")]),
  )
}

const without = (tree: Map<string, string>, ...paths: string[]): Map<string, string> =>
  new Map([...tree].filter(([path]) => !paths.includes(path)))

/** The root of the new store is younger, and may have got a directory lost+found. */
const withoutRoot = (tree: Map<string, string>): Map<string, string> => without(tree, "/")

/** What is not as it was, although nothing was said about it. A lost root takes the names from everything. */
function wrongFiles({ entries }: SalvageResult): string[] {
  const told = new Set(["/", "/lost+found", ...entries.map(({ path }) => path)])
  // Two names of one file.
  if (told.has("/dir/one") || told.has("/dir/two")) told.add("/dir/one").add("/dir/two")
  const found = treeOf(target)
  const isNameless = !found.has("/dir")
  return [...found]
    .filter(([path, text]) => !isNameless && !told.has(path) && whole.get(path) !== text)
    .map(String)
}

/** Whether a page of a database belongs to a b-tree; others hold what did not fit into a row, without any checksum. */
const isTreePage = (meta: Buffer, page: number): boolean =>
  page === 0 || [0x02, 0x05, 0x0a, 0x0d].includes(meta.readUInt8(page * PAGE))

test("a store that is whole comes back as it is, under another uuid, and stays as it was", () => {
  const before = files(sample.directory)
  const { counts, entries, remarks } = save()
  expect(withoutRoot(treeOf(target))).toEqual(withoutRoot(whole))
  expect(files(sample.directory)).toEqual(before)
  expect([counts.part, counts.lost, counts.older, counts.nameless, entries, remarks]).toEqual([
    0,
    0,
    0,
    0,
    [],
    [],
  ])
  expect(counts.whole).toBe([...whole.values()].filter((text) => !text.startsWith("4")).length - 1)
  const uuid = (directory: string): string =>
    readFileSync(join(directory, SEGMENTS, "00000001.seg")).toString("hex", 16, 32)
  expect(uuid(target)).not.toBe(uuid(sample.directory))
})

test("directories with more names than one transaction makes are whole", () => {
  using many = new TestFileSystem()
  for (const directory of ["a", "b"]) ok(many.mkdir(directory))
  for (let n = 0; n < 600; n += 1) {
    const { ino } = ok(many.mknod(`${n % 2 === 0 ? "a" : "b"}/file-${n}`))
    if (n < 300) many.write(ino, 0, Buffer.alloc(17_000, `${n}`))
  }
  many.store.settle()
  const right = treeOf(many.directory)
  expect(save({ store: many.directory }).counts).toMatchObject({ part: 0, lost: 0, nameless: 0 })
  expect(withoutRoot(treeOf(target))).toEqual(withoutRoot(right))

  rmSync(target, { recursive: true })
  rmSync(join(many.directory, META))
  expect(save({ store: many.directory }).counts.nameless).toBe(300)
  expect([...treeOf(target).keys()]).toHaveLength(302)
})

describe("without the database", () => {
  test("larger files come back under their numbers, with their bytes", () => {
    rmSync(join(sample.directory, META))
    const { counts, entries, remarks } = save()
    const [big, deep] = [pristine.ino("big"), pristine.ino("deep")]
    const original = bytesOf(pristine.directory, "big")
    // Its last bytes were in the database; the copy of the file has brought them into the log.
    expect(bytesOf(target, "lost+found", `inode-${big}`)).toEqual(original)
    expect(bytesOf(target, "lost+found", `inode-${deep}`)).toEqual(
      bytesOf(pristine.directory, "dir", "sub", "deep"),
    )
    expect([...treeOf(target)].find(([path]) => path === `/lost+found/inode-${big}`)?.[1]).toMatch(
      /^100600 1 0 0 /,
    )
    // The root has lost its owner and times too.
    expect([counts.whole, counts.part, counts.nameless]).toEqual([0, entries.length, entries.length - 1])
    expect(remarks).toEqual([`there is no ${join(sample.directory, META)}`])
  })

  test("and with a backup, everything is as it was there, with what was written since", async () => {
    await back(sample.directory, backup)
    using grown = temporaryStore()
    cpSync(sample.directory, grown.directory, { recursive: true, force: true })
    const store = grown.reopen()
    const ino = pristine.ino("big")
    const file = store.inodes.get(ino)
    if (file === undefined) throw new Error("there is no big")
    writeFile(store, file, 100_000, Buffer.alloc(50_000, "since"))
    const young = makeFile(store)
    writeFile(store, young, 0, Buffer.alloc(30_000, "young"))
    rmSync(join(grown.directory, META))
    const { counts, entries } = save({ store: grown.directory, backup })
    expect(
      withoutRoot(without(treeOf(target), "/big", "/lost+found", `/lost+found/inode-${young.ino}`)),
    ).toEqual(withoutRoot(without(whole, "/big")))
    const expected = bytesOf(pristine.directory, "big")
    Buffer.alloc(50_000, "since").copy(expected, 100_000)
    expect(bytesOf(target, "big")).toEqual(expected)
    expect(bytesOf(target, "lost+found", `inode-${young.ino}`)).toEqual(Buffer.alloc(30_000, "young"))
    expect(entries.map(({ path }) => path)).toEqual([`/lost+found/inode-${young.ino}`])
    expect([counts.whole, counts.older > 5, counts.part]).toEqual([0, true, 1])
  })

  test("records that the cleaner has moved since the backup are found where they are", async () => {
    using grown = temporaryStore()
    const file = makeFile(grown.store)
    const data = Buffer.from(Array.from({ length: 250_000 }, (_, i) => (i * 7 + (i >> 9)) & 255))
    grown.store.transact(() => {
      file.nlink = 1
      grown.store.inodes.save(file)
      grown.store.dentries.insert(grown.store.root().ino, Buffer.from("file"), file.ino, file.type)
    })
    writeFile(grown.store, file, 0, data)
    writeFile(grown.store, file, 60_000, Buffer.alloc(5000, "x"))
    Buffer.alloc(5000, "x").copy(data, 60_000)
    await back(grown.directory, backup)
    const store = fillSegment(grown)
    writeFile(store, makeFile(store), 0, Buffer.alloc(20_000, "b"))
    store.garbage.wantAll()
    while (store.clean(1_000_000) > 0) store.commit()
    store.commit()
    for (const id of store.takeDeadSegments()) rmSync(join(grown.directory, SEGMENTS, `0000000${id}.seg`))
    expect(existsSync(join(grown.directory, SEGMENTS, "00000001.seg"))).toBe(false)
    rmSync(join(backup, readdirSync(backup).find((name) => name.startsWith("2")) ?? "", SEGMENTS), {
      recursive: true,
    })
    rmSync(join(grown.directory, META))
    const { entries } = save({ store: grown.directory, backup })
    expect(entries.filter(({ path }) => path === "/file")).toEqual([])
    expect(bytesOf(target, "file")).toEqual(data)
  })
})

describe("compressed files come back,", () => {
  const text = Buffer.alloc(700_000, "compressed as one of a log is ")
  let squeezed: TestFileSystem
  beforeEach((context) => {
    if (!hasZstd()) context.skip("skipped: this machine has no libzstd")
    squeezed = new TestFileSystem()
    ok(squeezed.mkdir("logs"))
    compressBelow(squeezed.store, squeezed.at("logs").ino, 3)
    for (const name of ["one", "two"]) {
      const { ino } = ok(squeezed.mknod(`logs/${name}`))
      for (let at = 0; at < text.length; at += 131_072)
        squeezed.write(ino, at, text.subarray(at, at + 131_072))
    }
    // In the middle of a record: it is read from two extents then.
    squeezed.write(squeezed.at("logs/two").ino, 140_000, "plain")
    squeezed.store.settle()
    expect(squeezed.store.garbage.logSpace.live).toBeLessThan(text.length / 10)
    return () => squeezed[Symbol.dispose]()
  })
  const two = Buffer.from(text)
  two.write("plain", 140_000)

  test("with the database, with their names", () => {
    const { counts } = save({ store: squeezed.directory })
    expect(bytesOf(target, "logs", "one")).toEqual(text)
    expect(bytesOf(target, "logs", "two")).toEqual(two)
    expect([counts.part, counts.lost]).toEqual([0, 0])
  })

  test("and without it, by their numbers", () => {
    const numbers = ["one", "two"].map((name) => squeezed.at(`logs/${name}`).ino)
    rmSync(join(squeezed.directory, META))
    save({ store: squeezed.directory })
    const found = numbers.map((ino) => bytesOf(target, "lost+found", `inode-${ino}`))
    expect([found[0]?.equals(text), found[1]?.equals(two)]).toEqual([true, true])
  })

  test("but for a record that says it is a frame and is none", () => {
    const numbers = ["one", "two"].map((name) => squeezed.at(`logs/${name}`).ino)
    rmSync(join(squeezed.directory, META))
    const path = join(squeezed.directory, SEGMENTS, "00000001.seg")
    const bytes = readFileSync(path)
    const header = bytes.subarray(64, 64 + RECORD_HEADER)
    const length = header.readUInt32LE(24)
    bytes.fill(0xff, 64 + RECORD_HEADER, 64 + RECORD_HEADER + length)
    const payload = bytes.subarray(64 + RECORD_HEADER, 64 + RECORD_HEADER + length)
    header.writeUInt32LE(crc32(payload, crc32(header.subarray(0, 76))), 76)
    writeFileSync(path, bytes)
    const { counts } = save({ store: squeezed.directory })
    const [one] = numbers.map((ino) => bytesOf(target, "lost+found", `inode-${ino}`))
    expect(one?.subarray(0, 131_072).every((byte) => byte === 0)).toBe(true)
    expect(one?.subarray(131_072).equals(text.subarray(131_072))).toBe(true)
    expect(counts.part).toBeGreaterThan(0)
  })
})

describe("with a database that is damaged", () => {
  const pages = (): number => statSync(join(sample.directory, META)).size / PAGE
  const harm = (page: number, bytes: Buffer): void => {
    const path = join(sample.directory, META)
    const all = readFileSync(path)
    bytes.copy(all, page * PAGE)
    writeFileSync(path, all)
  }

  test.each([
    ["zeroes", Buffer.alloc(PAGE)],
    ["other bytes", Buffer.alloc(PAGE, 0xa5)],
  ])(
    "whatever page has become %s: no wrong data, no crash, and a backup makes up for it",
    async (_what, bytes) => {
      await back(sample.directory, backup)
      const before = readFileSync(join(sample.directory, META))
      let unseen = 0
      for (let page = 0; page < pages(); page += 1) {
        if (!isTreePage(before, page)) {
          unseen += 1
          continue
        }
        harm(page, bytes)
        let result: SalvageResult | undefined
        try {
          result = save()
        } catch (thrown) {
          expect(String(thrown)).toMatch(/nothing in/)
        }
        if (result !== undefined) expect([page, ...wrongFiles(result)]).toEqual([page])
        rmSync(target, { recursive: true, force: true })
        save({ backup })
        expect([page, withoutRoot(treeOf(target))]).toEqual([page, withoutRoot(whole)])
        rmSync(target, { recursive: true })
        writeFileSync(join(sample.directory, META), before)
      }
      expect(unseen).toBeLessThan(3)
    },
  )

  test("the copy that a repair has left helps too", () => {
    cpSync(join(sample.directory, META), join(sample.directory, "meta.db.fsck-1"))
    harm(0, Buffer.alloc(PAGE))
    const { counts, remarks } = save()
    expect(withoutRoot(treeOf(target))).toEqual(withoutRoot(whole))
    expect(counts.older).toBeGreaterThan(5)
    expect(remarks.at(-1)).toBe(`${join(sample.directory, "meta.db.fsck-1")} was used`)
  })

  test("a database of another store is not used", () => {
    using other = temporaryStore()
    cpSync(join(other.directory, META), join(sample.directory, "meta.db.v3"))
    harm(0, Buffer.alloc(PAGE))
    rmSync(join(sample.directory, SEGMENTS), { recursive: true })
    cpSync(join(pristine.directory, SEGMENTS), join(sample.directory, SEGMENTS), { recursive: true })
    const { remarks } = save()
    expect(remarks.some((text) => text.includes("of another store"))).toBe(true)
  })
})

describe("with segments that are damaged", () => {
  test("the lost bytes are told, and all others are there", () => {
    flip(sample.segment(), 64 + 80 + 5)
    const { entries, counts } = save()
    const [first, ...rest] = entries
    expect(first).toMatchObject({ path: "/big", status: "part", uncertainBytes: 0 })
    expect(rest.map(({ path }) => path)).toEqual(["/copy"])
    expect(counts.part).toBe(2)
    const expected = bytesOf(pristine.directory, "big")
    for (const { offset, length } of first?.lost ?? []) expected.fill(0, offset, offset + length)
    expect(first?.lost.length).toBeGreaterThan(0)
    expect(bytesOf(target, "big")).toEqual(expected)
  })

  test("a backup has what the store has lost", async () => {
    await back(sample.directory, backup)
    flip(sample.segment(), 64 + 80 + 5)
    flip(sample.segment(), 20)
    const { counts } = save({ backup })
    expect([counts.part, counts.lost]).toEqual([0, 0])
    expect(withoutRoot(treeOf(target))).toEqual(withoutRoot(whole))
  })

  test("a segment whose header is damaged is read, one of another store is not", () => {
    flip(sample.segment(), 20)
    expect(save().counts.part).toBe(0)
    rmSync(target, { recursive: true })
    using other = temporaryStore()
    writeFile(other.store, makeFile(other.store), 0, Buffer.alloc(50_000, "foreign"))
    cpSync(join(other.directory, SEGMENTS, "00000001.seg"), sample.segment())
    const { entries, remarks } = save()
    expect(entries.map(({ path }) => path.replace("/two", "/one")).sort()).toEqual([
      ...["/big", "/copy", "/dir/one", "/dir/sub/deep"],
    ])
    expect(remarks.at(-1)).toMatch(/00000001.seg is a segment of another store, and was not used$/)
  })
})

test("copies that share their contents go on sharing them", () => {
  const [big, small] = [sample.ino("big"), sample.ino("small")]
  sample.execute(`UPDATE inode SET (size, alloc, inline_offset, inline_length, body) =
      (SELECT size, alloc, inline_offset, inline_length, ${big} FROM inode WHERE ino = ${big}) WHERE ino = ${small};
    DELETE FROM inline WHERE body = ${small};
    INSERT INTO shared (body, refs) VALUES (${big}, 2);
    UPDATE state SET bytes = bytes - 5000`)
  const { counts } = save()
  expect(bytesOf(target, "small")).toEqual(bytesOf(sample.directory, "big"))
  expect(counts.bytes).toBeLessThan(1_000_000)
})

test("snapshots come back as ordinary directories", () => {
  sample.execute("UPDATE dentry SET name = CAST('.snapshots' AS BLOB) WHERE name = CAST('dir' AS BLOB)")
  save()
  expect(bytesOf(target, "snapshots", "one")).toEqual(bytesOf(pristine.directory, "dir", "one"))
})

test("names that no file can have, and directories in a circle, end in lost+found", () => {
  const [dir, sub, small] = [sample.ino("dir"), sample.ino("sub"), sample.ino("small")]
  sample.execute(`UPDATE dentry SET name = x'2e2e' WHERE ino = ${small};
    UPDATE dentry SET parent = ${sub} WHERE ino = ${dir}`)
  const { counts } = save()
  expect(bytesOf(target, "lost+found", `inode-${small}`)).toEqual(bytesOf(pristine.directory, "small"))
  expect(bytesOf(target, "lost+found", `inode-${dir}`, "sub", "deep")).toEqual(
    bytesOf(pristine.directory, "dir", "sub", "deep"),
  )
  expect(counts.nameless).toBe(2)
})

describe("refused is", () => {
  test("a target that is not empty, a store in use, the backup of another store, nothing at all", async () => {
    mkdirSync(target)
    writeFileSync(join(target, "letter"), "dear")
    expect(await refusal(() => save())).toMatch(/^not-empty: /)
    expect(readdirSync(target)).toEqual(["letter"])
    rmSync(target, { recursive: true })
    using other = temporaryStore()
    await back(other.directory, backup)
    expect(await refusal(() => save({ backup }))).toMatch(/^invalid: .* is the backup of another store$/)
    const empty = join(place.path, "empty")
    mkdirSync(empty)
    expect(await refusal(() => save({ store: empty }))).toMatch(/^corrupt: nothing in .* can be read/)
    expect(await refusal(() => save({ store: join(place.path, "none") }))).toMatch(/^not-found: /)
    expect(existsSync(target)).toBe(false)
  })

  test("not a target in which an earlier salvage was killed", () => {
    mkdirSync(join(target, ".salvage", "store"), { recursive: true })
    save()
    expect(withoutRoot(treeOf(target))).toEqual(withoutRoot(whole))
  })
})
