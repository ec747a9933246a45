import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { BackupManifest } from "../../../schema/backup-manifest.ts"
import { META, SEGMENTS, Store } from "../../../clawfs/store/store.ts"
import { Sample, errors } from "../fsck/sample.ts"
import { fillSegment, makeFile, writeFile } from "../support/files.ts"
import { picture } from "../support/picture.ts"
import { temporary, temporaryStore, type Temporary } from "../support/temporary.ts"
import { back, bring, flip, generations, inodeOf, originOf, refusal } from "./support.ts"

const FIRST = "00000001.seg"

let pristine: Sample
let sample: Sample
let place: Temporary
let directory: string
let target: string
beforeAll(() => {
  pristine = Sample.make()
})
afterAll(() => pristine[Symbol.dispose]())
beforeEach(() => {
  sample = pristine.copy()
  place = temporary()
  directory = join(place.path, "backup")
  target = join(place.path, "restored")
})
afterEach(() => {
  sample[Symbol.dispose]()
  place[Symbol.dispose]()
})

const newest = (...names: string[]): string => join(directory, generations(directory).at(-1) ?? "", ...names)

test("a restored store is what was backed up, and its files are ours alone", async () => {
  const before = readdirSync(sample.directory)
  const { manifest, damaged } = await back(sample.directory, directory)
  expect(damaged.pieces).toBe(0)
  expect(readdirSync(sample.directory)).toEqual(before)
  expect(readdirSync(newest()).sort()).toEqual(["manifest.json", META, SEGMENTS])
  for (const path of [directory, newest(), newest(SEGMENTS)]) expect(statSync(path).mode & 0o777).toBe(0o700)
  for (const path of [newest(META), newest("manifest.json"), newest(SEGMENTS, FIRST)])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  const { proof } = bring(directory, target)
  expect(proof?.counts.errors).toBe(0)
  expect(proof?.totals.inodes).toBe(manifest.totals.inodes)
  expect(picture(target)).toEqual(picture(sample.directory))
  expect(
    readdirSync(target)
      .filter((name) => !/-(wal|shm)$/.test(name))
      .sort(),
  ).toEqual(["lock", META, SEGMENTS])
})

describe("the second backup", () => {
  test("shares what has not changed, and the first one can still be restored", async () => {
    using grown = temporaryStore()
    const file = makeFile(grown.store)
    writeFile(grown.store, file, 0, Buffer.alloc(200_000, "a"))
    const store = fillSegment(grown)
    writeFile(store, makeFile(store), 0, Buffer.alloc(200_000, "b"))
    await back(grown.directory, directory)
    const old = generations(directory)
    const first = newest(SEGMENTS)
    const before = picture(newest())
    writeFile(store, makeFile(store), 0, Buffer.alloc(200_000, "c"))
    const { written, bytes } = await back(grown.directory, directory)
    expect(inodeOf(newest(SEGMENTS), FIRST)).toBe(inodeOf(first, FIRST))
    expect(inodeOf(newest(SEGMENTS), "00000002.seg")).not.toBe(inodeOf(first, "00000002.seg"))
    expect(bytes).toBeGreaterThan(64 * 1024 * 1024)
    expect(written).toBeLessThan(2 * 1024 * 1024)
    expect(picture(join(directory, old[0] ?? ""))).toEqual(before)
    expect(picture(newest())).not.toEqual(before)
  })

  test("of a store that was restored and went another way takes nothing for the same that is not", async () => {
    using grown = temporaryStore()
    const file = makeFile(grown.store)
    writeFile(grown.store, file, 0, Buffer.alloc(20_000, "a"))
    await back(grown.directory, directory)
    const fork = newest()
    writeFile(grown.store, file, 0, Buffer.alloc(20_000, "b"))
    await back(grown.directory, directory)
    bring(fork, target)
    // Of the same length, in the same place, under the same numbers.
    {
      using store = Store.open(target)
      writeFile(store, store.inodes.get(file.ino) ?? file, 0, Buffer.alloc(20_000, "c"))
    }
    const { damaged } = await back(target, directory)
    expect(damaged.pieces).toBe(0)
    expect(picture(newest())).toEqual(picture(target))
  })

  test("keeps so many as it is told, the newest ones", async () => {
    for (let n = 0; n < 4; n += 1) await back(sample.directory, directory, { keep: 9 })
    const all = generations(directory)
    const { removed } = await back(sample.directory, directory, { keep: 2 })
    expect(removed).toHaveLength(3)
    expect(generations(directory)).toHaveLength(2)
    expect(generations(directory)).toContain(all.find((name) => !removed.includes(name)))
    expect(bring(directory, target).manifest.generation).toBe(5)
  })

  test("does without a generation that is damaged, and leaves it alone", async () => {
    await back(sample.directory, directory)
    const [name = ""] = generations(directory)
    writeFileSync(newest("manifest.json"), "{")
    expect((await back(sample.directory, directory)).passedOver).toEqual([name])
    expect(generations(directory)).toContain(name)
    expect(bring(directory, target).passedOver).toEqual([name])
  })
})

describe("a backup that is interrupted", () => {
  test("leaves the earlier one whole, and is gone on with", async () => {
    await back(sample.directory, directory)
    const before = picture(newest())
    sample.execute("UPDATE inode SET uid = 7 WHERE ino = 1")
    for (const step of ["database", "segments"]) {
      const stop = (what: string): void => {
        if (what === step) throw new Error("stopped")
      }
      await expect(back(sample.directory, directory, { onProgress: stop })).rejects.toThrow("stopped")
      expect(generations(directory)).toHaveLength(1)
      expect(picture(newest())).toEqual(before)
    }
    await back(sample.directory, directory)
    expect(picture(newest())).toEqual(picture(sample.directory))
    expect(existsSync(join(directory, "partial"))).toBe(false)
  })

  test("goes on with the segments that it has, and drops what it does not need", async () => {
    const partial = join(directory, "partial", SEGMENTS)
    const stop = (): never => {
      throw new Error("stopped")
    }
    await expect(back(sample.directory, directory, { onProgress: stop })).rejects.toThrow("stopped")
    cpSync(join(sample.directory, SEGMENTS, FIRST), join(partial, FIRST))
    writeFileSync(join(partial, "00000009.seg"), "of another moment")
    writeFileSync(join(partial, "00000001.seg.new"), "half")
    const { written, manifest } = await back(sample.directory, directory)
    expect(written).toBe(manifest.meta.bytes)
    expect(readdirSync(newest(SEGMENTS))).toEqual([FIRST])
  })

  test("was removing an old one: that is no backup any more, and goes with the next run", async () => {
    await back(sample.directory, directory)
    const remains = newest()
    rmSync(join(remains, "manifest.json"))
    expect(await refusal(() => bring(directory, target))).toMatch(/^not-found: there is no whole backup/)
    await back(sample.directory, directory)
    expect(existsSync(remains)).toBe(generations(directory).includes(remains.split("/").at(-1) ?? ""))
    expect(generations(directory)).toHaveLength(1)
  })
})

describe("refused is", () => {
  test("the directory of another store, one with other things, one that others can write in", async () => {
    await back(sample.directory, directory)
    using other = temporaryStore()
    expect(await refusal(() => back(other.directory, directory))).toMatch(
      /^exists: .* holds the backup of another store$/,
    )
    const strange = join(place.path, "strange")
    mkdirSync(strange)
    writeFileSync(join(strange, "letter"), "dear")
    expect(await refusal(() => back(sample.directory, strange))).toMatch(/^not-empty: /)
    chmodSync(directory, 0o770)
    expect(await refusal(() => back(sample.directory, directory))).toMatch(/^denied: others may write in/)
    expect(generations(directory)).toHaveLength(1)
  })

  test("the backup of a newer clawfs, as a whole and in one generation", async () => {
    await back(sample.directory, directory)
    for (const path of [newest("manifest.json"), join(directory, "clawfs-backup.json")]) {
      const text = readFileSync(path, "utf8")
      writeFileSync(path, text.replace(/"format": ?1/, '"format": 2'))
      expect(await refusal(() => back(sample.directory, directory))).toMatch(
        /^unsupported: .* backup format 2/,
      )
      if (path.endsWith("manifest.json"))
        expect(await refusal(() => bring(directory, target))).toMatch(/^unsupported: /)
      writeFileSync(path, text)
    }
  })

  test("to follow links that somebody has put there", async () => {
    const elsewhere = join(place.path, "elsewhere")
    mkdirSync(join(elsewhere, SEGMENTS), { recursive: true })
    await back(sample.directory, directory)
    symlinkSync(elsewhere, join(directory, "partial"))
    expect(await refusal(() => back(sample.directory, directory))).toMatch(/^corrupt: .* is not a directory$/)
    rmSync(join(directory, "partial"))
    mkdirSync(join(directory, "partial"))
    symlinkSync(join(elsewhere, SEGMENTS), join(directory, "partial", SEGMENTS))
    expect(await refusal(() => back(sample.directory, directory))).toMatch(/^corrupt: .* is not a directory$/)
    rmSync(join(directory, "partial"), { recursive: true })
    symlinkSync(elsewhere, join(directory, "2099-01-01T000000Z"))
    await back(sample.directory, directory)
    expect(readdirSync(elsewhere)).toEqual([SEGMENTS])
    expect(readdirSync(join(elsewhere, SEGMENTS))).toEqual([])
  })

  test("a segment that is a link, whatever it points to", async () => {
    await back(sample.directory, directory)
    const segment = newest(SEGMENTS, FIRST)
    renameSync(segment, join(place.path, "moved"))
    symlinkSync(join(place.path, "moved"), segment)
    expect(await refusal(() => bring(directory, target))).toMatch(/^corrupt: .* is a symbolic link$/)
  })

  test("a manifest with numbers that no segment has", async () => {
    await back(sample.directory, directory)
    const path = newest("manifest.json")
    const manifest = BackupManifest.parse(JSON.parse(readFileSync(path, "utf8")))
    const [segment] = manifest.segments
    for (const change of [{ id: "../../../etc/passwd" }, { id: -1 }, { id: 0 }, { id: 1.5 }, { bytes: -1 }]) {
      writeFileSync(path, JSON.stringify({ ...manifest, segments: [{ ...segment, ...change }] }))
      expect(await refusal(() => bring(newest(), target))).toMatch(/^corrupt: .* is damaged$/)
      expect(existsSync(target)).toBe(false)
    }
  })
})

describe("a store that is damaged", () => {
  const damage = (): void => flip(sample.segment(), 64 + 80 + 1000)

  test("is backed up all the same, and the files that are hit are named", async () => {
    damage()
    const { damaged } = await back(sample.directory, directory)
    expect([damaged.pieces > 0, damaged.files]).toEqual([true, 2])
    expect(damaged.first.map(({ path }) => path)).toEqual(expect.arrayContaining(["/big", "/copy"]))
    // Not only the first time.
    expect((await back(sample.directory, directory)).damaged.files).toBe(2)
  })

  test("gets what was lost since the last backup from there", async () => {
    await back(sample.directory, directory)
    damage()
    expect((await back(sample.directory, directory)).damaged.pieces).toBe(0)
    rmSync(sample.segment())
    expect((await back(sample.directory, directory)).damaged.pieces).toBe(0)
    expect(errors(bring(directory, target).proof ?? sample.check())).toEqual([])
    expect(picture(target)).toEqual(picture(pristine.directory))
  })

  test("names every file that has the damaged contents", async () => {
    const [big, small] = [sample.ino("big"), sample.ino("small")]
    sample.execute(`UPDATE inode SET body = ${big} WHERE ino = ${small};
      INSERT INTO shared (body, refs) VALUES (${big}, 2)`)
    damage()
    const { damaged } = await back(sample.directory, directory)
    expect([...new Set(damaged.first.map(({ path }) => path))].sort()).toEqual(["/big", "/copy", "/small"])
  })

  test("is one, too, where an older record lies in the place of a newer one", async () => {
    sample.execute(`UPDATE extent SET sequence = sequence + 1 WHERE body = ${sample.ino("one")}`)
    const { damaged } = await back(sample.directory, directory)
    expect(damaged.first.map(({ message }) => message.replace(/\d+/g, "N"))).toEqual([
      "record at segment N position N is not the one that was written last",
    ])
  })

  test("tells a name that a terminal would obey as text", async () => {
    using fs = temporaryStore()
    const file = makeFile(fs.store)
    fs.store.transact(() => {
      file.nlink = 1
      fs.store.inodes.save(file)
      fs.store.dentries.insert(fs.store.root().ino, Buffer.from("a\n\u001b[31mred"), file.ino, file.type)
    })
    writeFile(fs.store, file, 0, Buffer.alloc(20_000, "x"))
    flip(join(fs.directory, SEGMENTS, FIRST), 500)
    const { damaged } = await back(fs.directory, directory)
    expect(damaged.first.map(({ path }) => path)).toEqual(["/a\\x0a\\x1b[31mred"])
  })
})

describe("while a server works on the store", () => {
  test("a segment that is gone when its turn comes leads to a newer moment", async () => {
    using grown = temporaryStore()
    const file = makeFile(grown.store)
    writeFile(grown.store, file, 0, Buffer.alloc(30_000, "a"))
    const store = fillSegment(grown)
    writeFile(store, makeFile(store), 0, Buffer.alloc(30_000, "b"))
    let settled = 0
    const settle = (): Promise<void> => {
      settled += 1
      return Promise.resolve()
    }
    let isDone = false
    // The file goes behind the moment, and with it all of the first segment.
    const onProgress = (what: string): void => {
      if (what !== "segments" || isDone) return
      isDone = true
      store.release(file.ino)
      store.transact(() => undefined)
      for (const id of store.takeDeadSegments()) rmSync(join(grown.directory, SEGMENTS, `0000000${id}.seg`))
    }
    const origin = originOf(grown.directory, { isServed: true, settle })
    const { damaged, manifest } = await back(grown.directory, directory, { origin, onProgress })
    expect([settled, damaged.pieces]).toEqual([2, 0])
    expect(manifest.segments.map(({ id }) => id)).toEqual([2])
    expect(bring(directory, target).proof?.counts.errors).toBe(0)
  })

  test("a segment that was lost is told in the end", async () => {
    rmSync(sample.segment())
    const origin = originOf(sample.directory, { isServed: true })
    const { damaged } = await back(sample.directory, directory, { origin })
    expect(damaged.first[0]?.message).toBe("segment 1 is missing")
  })
})
