/** Each rule of the tables: broken on purpose, found under the right name, and mended where that loses nothing. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { temporaryStore } from "../support/temporary.ts"
import { damages, entry, set } from "./damages.ts"
import { expectMendedOrTold } from "./mending.ts"
import { Sample, errors, textOf } from "./sample.ts"

let sample: Sample
beforeAll(() => {
  sample = Sample.make()
})
afterAll(() => {
  sample[Symbol.dispose]()
})

test("a store is clean when it is new, and when it has something of everything", () => {
  using fresh = temporaryStore()
  using copy = new Sample(fresh.directory)
  for (const each of [copy, sample]) {
    const result = each.check()
    expect(result.findings).toEqual([])
    expect(result.counts).toEqual({ errors: 0, notes: 0, repaired: 0 })
    expect(each.repair()).toEqual(result)
    expect(existsSync(join(each.directory, "meta.db.fsck-1"))).toBe(false)
  }
  expect(sample.check().totals).toMatchObject({ inodes: 12, names: 12, records: 8, segments: 1, orphans: 0 })
})

describe("what is damaged is found, and mended or told again:", () => {
  test.each(Object.entries(damages))("%s", (_name, damage) => {
    expectMendedOrTold(sample, damage)
  })
})

describe("a repair", () => {
  test("hangs a lost tree into /lost+found, with all that is in it", () => {
    using copy = sample.copy()
    const dir = copy.ino("dir")
    copy.execute(`DELETE FROM dentry WHERE ${entry("dir")}`)
    expect(copy.repair().counts).toMatchObject({ errors: 0 })
    copy.flip(copy.number(`SELECT position + 100 FROM extent WHERE body = ${copy.ino("deep")} LIMIT 1`))
    expect(errors(copy.check())[0]).toMatch(new RegExp(`^contents /lost\\+found/${dir}/sub/deep `))
  })

  test("keeps every copy of the database that it makes", () => {
    using copy = sample.copy()
    for (const n of [1, 2]) {
      copy.execute(set("one", "nlink = 7"))
      copy.repair()
      const backup = join(copy.directory, `meta.db.fsck-${n}`)
      expect(existsSync(backup)).toBe(true)
      expect(existsSync(`${backup}.new`)).toBe(false)
    }
  })

  test("gives each of many a place, also where the name is taken", () => {
    using copy = sample.copy()
    const ino = copy.ino("small")
    copy.execute(`DELETE FROM dentry WHERE ${entry("small")} OR ${entry("big")}`)
    expect(copy.repair().findings.map(textOf)).toEqual([
      expect.stringMatching(/^lost \/lost\+found\/\d+: no name leads to inode \d+$/),
      expect.stringMatching(/^lost \/lost\+found\/\d+: no name leads to inode \d+$/),
    ])
    copy.execute(`UPDATE dentry SET ino = ${copy.ino("fifo")}, type = 1 WHERE ${entry(String(ino))}`)
    expect(copy.repair().counts.errors).toBe(0)
    expect(copy.number(`SELECT count(*) FROM dentry WHERE ${entry(`${ino}.1`)}`)).toBe(1)
    expect(errors(copy.check())).toEqual([])
  })

  test("leaves a damaged database alone", () => {
    using copy = sample.copy()
    copy.execute("DROP TABLE xattr")
    copy.execute(set("one", "nlink = 7"))
    const result = copy.repair()
    expect(result.remarks).toEqual([
      "the database itself is damaged: nothing was repaired, restore the store from a backup",
    ])
    expect(copy.number(`SELECT nlink FROM inode WHERE ino = ${copy.ino("one")}`)).toBe(7)
  })
})
