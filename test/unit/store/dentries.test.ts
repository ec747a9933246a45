import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { Dentries, type Dentry } from "../../../clawfs/store/dentries.ts"
import { META } from "../../../clawfs/store/store.ts"
import { fc } from "../support/fast-check.ts"
import { temporaryStore } from "../support/temporary.ts"

const DIRECTORY = 500 as NodeId
const DT_REG = 8
const PROBES = 16

interface Table extends Disposable {
  readonly db: Database
  readonly dentries: Dentries
}

/** The table alone, with seeds of its own, outside of any transaction. */
function table(seedA = 1, seedB = 2): Table {
  const place = temporaryStore()
  const db = new Database(join(place.directory, META))
  return {
    db,
    dentries: new Dentries(db, seedA, seedB),
    [Symbol.dispose]() {
      db[Symbol.dispose]()
      place[Symbol.dispose]()
    },
  }
}

const ino = (n: number): NodeId => n as NodeId
const namesOf = (entries: readonly Dentry[]): string[] => entries.map(({ name }) => name.toString("latin1"))

/** All entries, `limit` at a time, as READDIR asks for them. */
function listAll(dentries: Dentries, limit: number): Dentry[] {
  const all: Dentry[] = []
  for (let cookie = 2; ;) {
    const some = dentries.list(DIRECTORY, cookie, limit)
    all.push(...some)
    if (some.length < limit) return all
    cookie = some.at(-1)?.cookie ?? cookie
  }
}

/** The cookie that a name would get in an empty directory. */
function cookieOf({ dentries }: Table, name: Buffer): number {
  const elsewhere = ino(999)
  dentries.insert(elsewhere, name, ino(1), DT_REG)
  const found = dentries.find(elsewhere, name)
  if (found === undefined) throw new Error("not found")
  dentries.remove(elsewhere, name, found)
  return found.cookie
}

/** Puts other names on the cookies `[first, first + count)`, as names with the same hash would be. */
function occupy({ db }: Table, first: number, count: number): string[] {
  const insert = db.query<[number, number, Buffer, number, number]>(
    "INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (?, ?, ?, ?, ?)",
  )
  return Array.from({ length: count }, (_, i) => {
    insert.run(DIRECTORY, first + i, Buffer.from(`neighbour ${i}`), 100 + i, DT_REG)
    return `neighbour ${i}`
  })
}

describe("names", () => {
  test("are found, retargeted and removed, whatever their bytes", () => {
    using t = table()
    const names = new Map<string, number>()
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 255 })
      .map((bytes) => Buffer.from(bytes).toString("latin1"))
    fc.assert(
      fc.property(name, fc.integer({ min: 2, max: 1e9 }), fc.nat({ max: 2 }), (text, number, action) => {
        const bytes = Buffer.from(text, "latin1")
        const found = t.dentries.find(DIRECTORY, bytes)
        expect(found?.ino).toBe(names.get(text))
        if (found === undefined) t.dentries.insert(DIRECTORY, bytes, ino(number), DT_REG)
        else if (action === 0) t.dentries.remove(DIRECTORY, bytes, found)
        else t.dentries.retarget(DIRECTORY, bytes, found, ino(number), DT_REG)
        if (found !== undefined && action === 0) names.delete(text)
        else names.set(text, number)
        expect(t.dentries.find(DIRECTORY, bytes)?.ino).toBe(names.get(text))
        t.dentries.clearCache()
        expect(t.dentries.find(DIRECTORY, bytes)?.ino).toBe(names.get(text))
        if (number % 2 === 0) t.dentries.clearCache()
      }),
      { numRuns: 300 },
    )
    const listed = new Map(listAll(t.dentries, 7).map((entry) => [entry.name.toString("latin1"), entry.ino]))
    expect(listed).toEqual(names)
  })

  test("belong to their directory alone", () => {
    using t = table()
    t.dentries.insert(DIRECTORY, Buffer.from("a"), ino(7), DT_REG)
    expect(t.dentries.find(ino(501), Buffer.from("a"))).toBeUndefined()
    expect([t.dentries.isEmpty(DIRECTORY), t.dentries.isEmpty(ino(501))]).toEqual([false, true])
  })

  test("that differ in one bit, in case or in a trailing byte are different names", () => {
    using t = table()
    const names = ["a", "b", "A", "a ", "a\0".slice(0, 1) + "b", "ä", "\u00e4x"]
    names.forEach((name, i) => t.dentries.insert(DIRECTORY, Buffer.from(name, "latin1"), ino(10 + i), DT_REG))
    names.forEach((name, i) =>
      expect(t.dentries.find(DIRECTORY, Buffer.from(name, "latin1"))?.ino).toBe(10 + i),
    )
  })
})

describe("names whose hashes meet", () => {
  test("are told apart up to sixteen of them", () => {
    using t = table()
    const name = Buffer.from("the sixteenth")
    const neighbours = occupy(t, cookieOf(t, name), PROBES - 1)
    t.dentries.insert(DIRECTORY, name, ino(7), DT_REG)
    expect(t.dentries.find(DIRECTORY, name)?.ino).toBe(7)
    expect(namesOf(listAll(t.dentries, 3))).toEqual([...neighbours, "the sixteenth"])
  })

  test("are refused from the seventeenth on, and nothing is overwritten", () => {
    using t = table()
    const name = Buffer.from("one too many")
    const neighbours = occupy(t, cookieOf(t, name), PROBES)
    expect(() => t.dentries.insert(DIRECTORY, name, ino(7), DT_REG)).toThrow(Fault)
    expect(t.dentries.find(DIRECTORY, name)).toBeUndefined()
    expect(namesOf(listAll(t.dentries, 100))).toEqual(neighbours)
  })

  test("are still found when one before them is removed, and its place is used again", () => {
    using t = table()
    const [name, other] = [Buffer.from("behind the others"), Buffer.from("neighbour 3")]
    const first = cookieOf(t, name)
    occupy(t, first, 8)
    t.dentries.insert(DIRECTORY, name, ino(7), DT_REG)
    t.dentries.remove(DIRECTORY, other, { ino: ino(103), cookie: first + 3 })
    const found = t.dentries.find(DIRECTORY, name)
    expect(found).toEqual({ ino: 7, cookie: first + 8 })
    if (found !== undefined) t.dentries.remove(DIRECTORY, name, found)
    t.dentries.insert(DIRECTORY, name, ino(8), DT_REG)
    expect(t.dentries.find(DIRECTORY, name)).toEqual({ ino: 8, cookie: first + 3 })
    expect(namesOf(listAll(t.dentries, 100))).not.toContain(other.toString())
  })

  test("a name is never taken for a neighbour within the same sixteen", () => {
    using t = table()
    const name = Buffer.from("looked for")
    occupy(t, cookieOf(t, name), 5)
    expect(t.dentries.find(DIRECTORY, name)).toBeUndefined()
  })
})

describe("a listing", () => {
  test("shows every entry that stays exactly once, whatever is added and removed meanwhile", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 99 })), { maxLength: 40 }),
        (seed, limit, changes) => {
          using t = table(seed, ~seed)
          const staying = Array.from({ length: 20 }, (_, i) => `stays ${i}`)
          const changing = new Set<string>()
          for (const name of staying) t.dentries.insert(DIRECTORY, Buffer.from(name), ino(9), DT_REG)
          const seen: string[] = []
          for (let cookie = 2; ;) {
            const some = t.dentries.list(DIRECTORY, cookie, limit)
            seen.push(...namesOf(some))
            if (some.length < limit) break
            cookie = some.at(-1)?.cookie ?? cookie
            for (const [adds, number] of changes.splice(0, 5)) {
              const name = `changes ${number}`
              const found = t.dentries.find(DIRECTORY, Buffer.from(name))
              if (adds && found === undefined) t.dentries.insert(DIRECTORY, Buffer.from(name), ino(9), DT_REG)
              if (!adds && found !== undefined) t.dentries.remove(DIRECTORY, Buffer.from(name), found)
              changing.add(name)
            }
          }
          expect(seen.filter((name) => name.startsWith("stays")).sort()).toEqual([...staying].sort())
          expect(new Set(seen).size).toBe(seen.length)
          expect(seen.every((name) => name.startsWith("stays") || changing.has(name))).toBe(true)
        },
      ),
      { numRuns: 8 },
    )
  })

  test("goes on behind an entry that was removed", () => {
    using t = table()
    for (let i = 0; i < 10; i += 1) t.dentries.insert(DIRECTORY, Buffer.from(`n${i}`), ino(9), DT_REG)
    const all = listAll(t.dentries, 100)
    const fourth = all[3]
    if (fourth === undefined) throw new Error("too few")
    t.dentries.remove(DIRECTORY, fourth.name, fourth)
    expect(namesOf(t.dentries.list(DIRECTORY, fourth.cookie, 100))).toEqual(namesOf(all.slice(4)))
  })

  test("has cookies above those of . and .. and below 2^53", () => {
    using t = table(0xffff_ffff, 0xffff_ffff)
    for (let i = 0; i < 500; i += 1) t.dentries.insert(DIRECTORY, Buffer.from(`name ${i}`), ino(9), DT_REG)
    const cookies = listAll(t.dentries, 100).map(({ cookie }) => cookie)
    expect(Math.min(...cookies)).toBeGreaterThan(2)
    expect(Math.max(...cookies)).toBeLessThan(2 ** 52 + 2 ** 10)
    expect(cookies).toEqual([...cookies].sort((a, b) => a - b))
  })

  test("is in another order in another store: nobody can aim for collisions", () => {
    const order = (seed: number): string[] => {
      using t = table(seed, seed)
      for (let i = 0; i < 20; i += 1) t.dentries.insert(DIRECTORY, Buffer.from(`n${i}`), ino(9), DT_REG)
      return namesOf(listAll(t.dentries, 100))
    }
    expect(order(1)).not.toEqual(order(2))
    expect(order(1)).toEqual(order(1))
  })
})
