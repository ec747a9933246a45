/** The write-ahead log, read without SQLite, says what SQLite says. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { Wal, onlyRow } from "../../../clawfs/store/wal.ts"
import { fc } from "../support/fast-check.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const COMMITS = 12

/** A database whose every commit sets the only row of `one`; the WAL is never folded back while it is open. */
function written(place: Temporary, value: (commit: number) => number): { db: Database; path: string } {
  const path = join(place.path, "a.db")
  const db = new Database(path, { create: true })
  db.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, v INTEGER, w INTEGER); CREATE TABLE many (x BLOB)")
  db.execute("INSERT INTO one VALUES (1, 0, NULL)")
  db.checkpoint("TRUNCATE")
  for (let commit = 1; commit <= COMMITS; commit += 1) {
    db.begin()
    db.query<[number]>("UPDATE one SET v = ?").run(value(commit))
    for (let row = 0; row < commit % 5; row += 1)
      db.query<[Buffer]>("INSERT INTO many VALUES (?)").run(Buffer.alloc(3000, commit))
    db.commit()
  }
  return { db, path }
}

function rootOf(db: Database): number {
  return db.query<[], [number]>("SELECT rootpage FROM sqlite_master WHERE name = 'one'").get()?.[0] ?? 0
}

test("commits are those of SQLite, and a WAL that is cut behind one opens at that one", () => {
  using place = temporary()
  const { db, path } = written(place, (commit) => commit * 1000)
  const wal = Wal.read(`${path}-wal`)
  const root = rootOf(db)
  expect(wal?.commits.length).toBe(COMMITS)
  const bytes = readFileSync(`${path}-wal`)
  wal?.commits.forEach(({ frames, end }, index) => {
    const frame = frames.findLast(({ page }) => page === root)
    if (frame === undefined) throw new Error("every commit writes the row")
    expect(onlyRow(wal.page(frame))).toEqual([null, (index + 1) * 1000, null])
    const copy = join(place.path, `copy${index}.db`)
    copyFileSync(path, copy)
    writeFileSync(`${copy}-wal`, bytes.subarray(0, end))
    using cut = new Database(copy, { readonly: true })
    expect(cut.query<[], [number]>("SELECT v FROM one").get()?.[0]).toBe((index + 1) * 1000)
  })
  db[Symbol.dispose]()
})

test("integers of every width come back", () => {
  const values = [
    1,
    0,
    2,
    -1,
    127,
    -128,
    32_767,
    8_388_607,
    -8_388_608,
    2 ** 31 - 1,
    2 ** 47,
    2 ** 53 - 1,
    -(2 ** 52),
  ]
  using place = temporary()
  const { db, path } = written(place, (commit) => values[commit - 1] ?? 0)
  const wal = Wal.read(`${path}-wal`)
  const root = rootOf(db)
  const read = wal?.commits.map(({ frames }) => {
    const frame = frames.findLast(({ page }) => page === root)
    return frame === undefined ? undefined : onlyRow(wal.page(frame))?.[1]
  })
  expect(read).toEqual(values.slice(0, COMMITS))
  db[Symbol.dispose]()
})

test("with a damaged byte there are as many commits as SQLite finds", () => {
  using place = temporary()
  const { db, path } = written(place, (commit) => commit)
  const bytes = readFileSync(`${path}-wal`)
  const copy = join(place.path, "copy.db")
  fc.assert(
    fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ flip
      copyFileSync(path, copy)
      writeFileSync(`${copy}-wal`, damaged)
      const commits = Wal.read(`${copy}-wal`)?.commits.length ?? 0
      using opened = new Database(copy, { readonly: true })
      expect(commits).toBe(opened.query<[], [number]>("SELECT v FROM one").get()?.[0])
    }),
    { numRuns: 150 },
  )
  db[Symbol.dispose]()
})

test("files that are no WAL have no commits", () => {
  using place = temporary()
  const path = join(place.path, "x-wal")
  expect(Wal.read(path)).toBeUndefined()
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(100), Buffer.alloc(5000, 0xff)]) {
    writeFileSync(path, bytes)
    expect(Wal.read(path)).toBeUndefined()
  }
})

test("pages that are no leaf with one row of integers are not taken for one", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 4096 }), (bytes) => {
      const page = Buffer.alloc(4096)
      page.set(bytes)
      page[0] = 0x0d
      page.writeUInt16BE(1, 3)
      const row = onlyRow(page)
      expect(row === undefined || row.every((value) => value === null || Number.isInteger(value))).toBe(true)
    }),
  )
})
