/** Copies that share their contents, and trees: clean as they are, and each rule about them broken on purpose. */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { FsckResult } from "../../../clawfs/fsck/fsck.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { copiesDamages } from "./copies-damages.ts"
import { inodeAt, makeCopiesSample } from "./copies-sample.ts"
import { expectMendedOrTold } from "./mending.ts"
import type { Sample } from "./sample.ts"

let sample: Sample
beforeAll(() => {
  sample = makeCopiesSample()
})
afterAll(() => {
  sample[Symbol.dispose]()
})

test("a store with copies is clean, and counts each body once", () => {
  expect(brokenInvariants(sample.directory)).toEqual([])
  const { findings, totals } = sample.check()
  expect(findings).toEqual([])
  expect(totals.bytes).toBe(sample.number("SELECT bytes FROM state"))
  expect(totals.extents).toBe(sample.number("SELECT count(*) FROM extent"))
  expect(sample.number("SELECT sum(alloc) FROM inode")).toBeGreaterThan(totals.bytes)
})

describe("what is damaged is found, and mended or told again:", () => {
  test.each(Object.entries(copiesDamages))("%s", (_name, damage) => {
    expectMendedOrTold(sample, damage)
  })
})

describe("a damaged record is told of every file that has it", () => {
  const place = (body: string): number =>
    sample.number(`SELECT position + 100 FROM extent WHERE body = ${body} AND offset = 0`)

  test.each([
    [
      "whose own file is there",
      inodeAt("dir/sub/deep"),
      ["/dir/sub/deep", "/.snapshots/first/dir/sub/deep", "/.snapshots/second/dir/sub/deep"],
    ],
    [
      "whose own file is gone",
      `(SELECT body FROM inode WHERE ino = ${inodeAt(".snapshots/first/big")})`,
      ["/copy", "/.snapshots/first/big", "/.snapshots/first/copy", "/.snapshots/second/copy"],
    ],
    ["whose own file has other contents now", inodeAt("dir/one"), ["/.snapshots/first/dir/one"]],
  ])("%s", (_name, body, paths) => {
    using copy = sample.copy()
    copy.flip(place(body))
    const pathsOf = ({ findings }: FsckResult): string[] => {
      const hit = findings.filter(({ kind }) => kind === "contents")
      // One of two names of a file is told; a record may be in several places of it.
      return [...new Set(hit.map(({ path = "?" }) => path.replace("/two", "/one")))].sort()
    }
    for (const isOnline of [false, true]) expect(pathsOf(copy.check(isOnline))).toEqual(paths.toSorted())
    expect(pathsOf(copy.repair())).toEqual(paths.toSorted())
  })
})
