/** Damaged files of the log: each byte of a record belongs to a file, and the check names it. */
import { copyFileSync, existsSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { SEGMENTS } from "../../../clawfs/store/store.ts"
import { fc } from "../support/fast-check.ts"
import { runs } from "../support/random.ts"
import { Sample, errors } from "./sample.ts"

let sample: Sample
beforeAll(() => {
  sample = Sample.make()
})
afterAll(() => {
  sample[Symbol.dispose]()
})

/** path, and where its record lies. */
type Place = [name: Buffer, offset: number, length: number, position: number, record: number]

const PLACES = `SELECT name, offset, length, position, record FROM extent JOIN dentry ON ino = body WHERE segment != 0`
const HEADER = 80

describe("a flipped byte", () => {
  test("anywhere in a record names every file that shares it, and the range", () => {
    const places = sample.rows<Place>(PLACES)
    expect(places.length).toBeGreaterThan(8)
    fc.assert(
      fc.property(
        fc.nat({ max: places.length - 1 }),
        fc.oneof(fc.nat({ max: HEADER - 1 }), fc.nat({ max: 131_072 + HEADER - 1 })),
        fc.integer({ min: 1, max: 255 }),
        (index, at, bits) => {
          const [, , , position = 0, record = 0] = places[index] ?? []
          if (at >= HEADER + record) return
          sample.flip(position + at, bits)
          try {
            const { findings } = sample.check()
            expect(findings.every(({ kind, repairable }) => kind === "contents" && !repairable)).toBe(true)
            const sharers = places.filter(([, , , where]) => where === position)
            for (const [name, offset, length] of sharers) {
              const covering = findings.filter(
                ({ path, range }) =>
                  path?.endsWith(`/${name.toString()}`) === true &&
                  range !== undefined &&
                  range.offset <= offset &&
                  range.offset + range.length >= offset + length,
              )
              // One of two names of a file is told.
              if (!["one", "two"].includes(name.toString())) expect(covering).toHaveLength(1)
            }
            expect(findings.length).toBeGreaterThan(0)
          } finally {
            sample.flip(position + at, bits)
          }
        },
      ),
      { numRuns: runs(150) },
    )
    expect(sample.check().findings).toEqual([])
  })

  test("stays damage: a repair says so and changes nothing", () => {
    using copy = sample.copy()
    const position = copy.number(
      `SELECT position FROM extent WHERE body = ${copy.ino("deep")} AND offset = 0`,
    )
    copy.flip(position + HEADER + 5)
    const told = [
      `contents /dir/sub/deep 0+131072: can't be read: record at segment 1 position ${position} is damaged`,
    ]
    expect(errors(copy.check())).toEqual(told)
    expect(errors(copy.repair())).toEqual(told)
    expect(existsSync(join(copy.directory, "meta.db.fsck-1"))).toBe(false)
    expect(errors(copy.check())).toEqual(told)
  })

  test("in a segment's header makes every file in it unreadable, until a repair writes it anew", () => {
    for (const position of [0, 9, 12, 20, 33, 50, 63]) {
      using copy = sample.copy()
      copy.flip(position)
      const found = copy.check()
      expect(errors(found)[0]).toBe("segment ?: segment 1 has a damaged header: nothing in it is read")
      const paths = new Set(found.findings.flatMap(({ path }) => path ?? []))
      for (const path of ["/big", "/copy", "/dir/sub/deep"]) expect(paths).toContain(path)
      expect(copy.repair().counts).toMatchObject({ errors: 0, repaired: found.findings.length })
      expect(copy.check().findings).toEqual([])
    }
  })

  test("in bytes that nothing points to is nobody's", () => {
    using copy = sample.copy()
    copy.execute(`DELETE FROM dentry WHERE name = CAST('deep' AS BLOB)`)
    const ino = copy.number("SELECT max(body) FROM extent WHERE body NOT IN (SELECT ino FROM dentry)")
    const position = copy.number(`SELECT position FROM extent WHERE body = ${ino} LIMIT 1`)
    copy.execute(`DELETE FROM inode WHERE ino = ${ino}`)
    copy.flip(position + 100)
    expect(copy.repair().counts.errors).toBe(0)
    expect(copy.check().findings).toEqual([])
  })
})

describe("a segment", () => {
  test("that is missing takes files with it, which are named", () => {
    using copy = sample.copy()
    rmSync(copy.segment())
    const told = errors(copy.check())
    expect(told[0]).toBe("segment ?: segment 1 is missing, and with it what it held")
    expect(told).toContain("contents /dir/sub/deep 0+200000: can't be read: segment 1 is missing, and 1 more")
    expect(errors(copy.repair()).sort()).toEqual(told.sort())
  })

  test("of another store is not read, and not made this store's", () => {
    using copy = sample.copy()
    using other = Sample.make()
    copyFileSync(other.segment(), copy.segment())
    const told = errors(copy.check())
    expect(told[0]).toBe(
      "segment ?: segment 1 is that of another store, or another one: nothing in it is read",
    )
    expect(told).toContain(
      "contents /dir/sub/deep 0+200000: can't be read: segment 1 is that of another store, and 1 more",
    )
    expect(errors(copy.repair()).sort()).toEqual(told.sort())
  })

  test("that is cut off anywhere names files", () => {
    const size = statSync(sample.segment()).size
    for (const part of [0, 0.001, 0.3, 0.6, 0.9]) {
      using copy = sample.copy()
      truncateSync(copy.segment(), Math.floor(size * part))
      expect(copy.check().findings.filter(({ kind }) => kind === "contents").length).toBeGreaterThan(0)
      copy.repair()
      expect(copy.check().findings.every(({ repairable }) => !repairable)).toBe(true)
    }
  })

  test("that nothing points to is a note, and a repair gives its space back", () => {
    using copy = sample.copy()
    copy.execute("UPDATE state SET last_segment = 3")
    const file = join(copy.directory, SEGMENTS, "00000002.seg")
    writeFileSync(file, "left behind")
    copy.execute("INSERT INTO segment VALUES (3, 0)")
    const { findings, counts } = copy.check()
    expect(counts).toEqual({ errors: 0, notes: 2, repaired: 0 })
    expect(findings.map(({ message }) => message)).toEqual([
      "nothing points to segment 2",
      "a row for segment 3, which is gone and held nothing",
    ])
    expect(copy.repair().counts).toEqual({ errors: 0, notes: 0, repaired: 2 })
    expect(readdirSync(join(copy.directory, SEGMENTS))).toEqual(["00000001.seg"])
    expect(copy.check().findings).toEqual([])
  })

  test("that only a damaged extent points to stays, and so does one that it may have pointed to", () => {
    for (const damage of ["segment = 9", "offset = -5", "length = -9223372036854775808"]) {
      using copy = sample.copy()
      copy.execute(`DELETE FROM extent WHERE body != ${copy.ino("deep")} OR offset != 0`)
      copy.execute(`UPDATE extent SET ${damage}; DELETE FROM segment; UPDATE state SET last_segment = 12`)
      expect(copy.repair().counts.errors).toBeGreaterThan(0)
      expect(existsSync(copy.segment())).toBe(true)
    }
  })
})
