import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { BackupManifest } from "../../../schema/backup-manifest.ts"
import { APPLICATION_ID, STEPS } from "../../../migrations/sqlite/steps.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { restore } from "../../../clawfs/backup/restore.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"
import { Sample } from "../fsck/sample.ts"
import { picture } from "../support/picture.ts"
import { temporary, temporaryStore, type Temporary } from "../support/temporary.ts"
import { back, bring, flip, generations, refusal } from "./support.ts"

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

describe("a backup that is damaged", () => {
  test("is made whole by reading all of it", async () => {
    await back(sample.directory, directory)
    flip(newest(SEGMENTS, FIRST), 300)
    await back(sample.directory, directory, { readsAll: true })
    expect(bring(directory, target).proof?.counts.errors).toBe(0)
    expect(picture(target)).toEqual(picture(sample.directory))
  })

  test("is refused with the names of the files, and nothing is left of the attempt", async () => {
    await back(sample.directory, directory)
    const segment = newest(SEGMENTS, FIRST)
    const whole = readFileSync(segment)
    for (const harm of [
      () => flip(segment, 64 + 80 + 1000),
      () => truncateSync(segment, whole.length - 1),
      () => rmSync(segment),
      () => flip(segment, 3),
    ]) {
      harm()
      for (const existed of [false, true]) {
        if (existed) mkdirSync(target)
        const { proof, damaged } = bring(directory, target)
        expect(proof).toBeUndefined()
        expect(damaged.files).toBeGreaterThan(0)
        expect(existsSync(target) ? readdirSync(target) : []).toEqual([])
        rmSync(target, { recursive: true, force: true })
      }
      writeFileSync(segment, whole)
    }
    expect(bring(directory, target).proof?.counts.errors).toBe(0)
  })

  test("gives what is whole, if that is wanted", async () => {
    await back(sample.directory, directory)
    flip(newest(SEGMENTS, FIRST), 64 + 80 + 1000)
    const { proof, damaged } = bring(directory, target, true)
    expect(damaged.files).toBe(2)
    expect(new Set(proof?.findings.map(({ kind, path }) => `${kind} ${path ?? "?"}`))).toEqual(
      new Set(["contents /big", "contents /copy"]),
    )
  })

  test("is refused for any byte of its database", async () => {
    await back(sample.directory, directory)
    const meta = newest(META)
    const size = statSync(meta).size
    for (let position = 0; position < size; position += Math.floor(size / 23)) {
      flip(meta, position)
      expect(await refusal(() => bring(directory, target))).toMatch(
        /^corrupt: the backup is damaged: .*meta.db/,
      )
      flip(meta, position)
    }
    appendFileSync(meta, "x")
    expect(await refusal(() => bring(directory, target))).toMatch(/^corrupt: /)
    expect(existsSync(target)).toBe(false)
  })
})

describe("a restore", () => {
  test("of a backup that an older clawfs made brings it to the present format", async () => {
    await back(sample.directory, directory)
    const path = newest("manifest.json")
    const manifest = BackupManifest.parse(JSON.parse(readFileSync(path, "utf8")))
    const old = join(place.path, "old.db")
    {
      using db = new Database(old, { create: true })
      for (const step of STEPS.slice(0, 3)) db.execute(step.sql)
      db.execute(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 3;
        INSERT INTO store VALUES (1, x'${manifest.uuid}', 0, 1, 2);
        INSERT INTO state VALUES (1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        INSERT INTO inode VALUES (1, 16877, 2, 0, 0, 0, 4096, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`)
      db.checkpoint("TRUNCATE")
    }
    cpSync(old, newest(META))
    const [bytes, sha256] = [statSync(old).size, createHash("sha256").update(readFileSync(old)).digest("hex")]
    const tell = (schema: number): void =>
      writeFileSync(path, JSON.stringify({ ...manifest, schema, meta: { bytes, sha256 }, segments: [] }))
    tell(99)
    expect(await refusal(() => bring(directory, target))).toMatch(
      /^unsupported: the backup has store format 99/,
    )
    expect(existsSync(target)).toBe(false)
    tell(3)
    expect(bring(directory, target).proof?.counts).toEqual({ errors: 0, notes: 0, repaired: 0 })
    expect(readdirSync(target).filter((name) => name.includes(".v"))).toEqual([])
  })

  test("never touches a store, nor a directory with something in it", async () => {
    await back(sample.directory, directory)
    using other = temporaryStore()
    expect(await refusal(() => bring(directory, other.directory))).toMatch(
      /^exists: .* holds a ClawFS store$/,
    )
    mkdirSync(target)
    writeFileSync(join(target, "letter"), "dear")
    expect(await refusal(() => bring(directory, target))).toMatch(/^not-empty: /)
    expect(readdirSync(target)).toEqual(["letter"])
  })

  test("goes on where an earlier one was killed as it began", async () => {
    await back(sample.directory, directory)
    mkdirSync(target)
    writeFileSync(join(target, "restore.json.new"), "hal")
    expect(bring(directory, target).proof?.counts.errors).toBe(0)
    expect(readdirSync(target)).not.toContain("restore.json.new")
  })

  test("goes on where an earlier one was killed, of this backup only", async () => {
    await back(sample.directory, directory)
    const whole = join(place.path, "whole")
    bring(directory, whole)
    const onProgress = (): never => {
      throw new Error("killed")
    }
    expect(() => restore({ backup: directory, store: target, partial: false, onProgress })).toThrow("killed")
    expect(readdirSync(target).sort()).toEqual([META + ".restore", "restore.json", SEGMENTS])
    // Killed in the middle of a segment, behind one, and before the last rename.
    writeFileSync(join(target, SEGMENTS, "00000001.seg.new"), "half")
    cpSync(join(whole, SEGMENTS, FIRST), join(target, SEGMENTS, FIRST))
    await back(sample.directory, directory)
    expect(await refusal(() => bring(directory, target))).toMatch(/^exists: another backup is being restored/)
    const [first = ""] = generations(directory)
    expect(bring(join(directory, first), target).proof?.counts.errors).toBe(0)
    expect(picture(target)).toEqual(picture(sample.directory))
    expect(await refusal(() => bring(join(directory, first), target))).toMatch(/^exists: /)
  })
})
