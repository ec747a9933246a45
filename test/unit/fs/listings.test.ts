/** Who may use the kernel's cache of a directory's listing. */
import fc from "fast-check"
import { expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { LISTING_SLOTS, LISTING_WORDS, Listings, NO_HANDLE } from "../../../clawfs/fs/listings.ts"
import type { InHeader } from "../../../clawfs/fuse/abi.ts"

const HIGH = (2 ** 52) as NodeId

function request(node: number, uniqueLow: number): InHeader {
  return { length: 48, opcode: 27, uniqueLow, uniqueHigh: 0, node: node as NodeId, uid: 0, gid: 0, pid: 1 }
}

function listings(): { table: Listings; words: Uint32Array } {
  const words = new Uint32Array(LISTING_WORDS)
  return { table: new Listings(words), words }
}

test("one open directory has the cache, the next one not, the one after it again", () => {
  const { table } = listings()
  const first = table.open(request(7, 2))
  expect(first).not.toBe(NO_HANDLE)
  expect(table.open(request(7, 4))).toBe(NO_HANDLE)
  table.close(NO_HANDLE)
  expect(table.open(request(7, 6))).toBe(NO_HANDLE)
  table.close(first)
  expect(table.open(request(7, 8))).not.toBe(NO_HANDLE)
})

test("inodes with equal low words are different directories", () => {
  const { table } = listings()
  expect(table.open(request(1, 2))).not.toBe(NO_HANDLE)
  expect(table.open(request(HIGH + 1, 4))).not.toBe(NO_HANDLE)
  expect(table.open(request(HIGH + 1, 6))).toBe(NO_HANDLE)
})

test("a request that comes again, to a server that has just started, gets what it got", () => {
  const { table, words } = listings()
  const handle = table.open(request(7, 2))
  expect(new Listings(words).open(request(7, 2))).toBe(handle)
  expect(new Listings(words).open(request(7, 4))).toBe(NO_HANDLE)
})

test("a handle that is given back twice takes nothing from the next one in its slot", () => {
  const { table } = listings()
  const first = table.open(request(7, 2))
  table.close(first)
  table.open(request(8, 4))
  table.close(first)
  expect(table.open(request(8, 6))).toBe(NO_HANDLE)
})

test("more directories than there are slots are not cached, and nothing is lost", () => {
  const { table } = listings()
  const handles = Array.from({ length: LISTING_SLOTS }, (_, i) => table.open(request(100 + i, 2 * i + 2)))
  expect(new Set(handles).size).toBe(LISTING_SLOTS)
  expect(table.open(request(99, 1000))).toBe(NO_HANDLE)
  for (const handle of handles) table.close(handle)
  expect(table.count).toBe(0)
})

test("handles that nobody gave out do no harm", () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 }), fc.nat({ max: 2 ** 21 }), (low, high) => {
      const { table } = listings()
      table.open(request(7, 3))
      const handle = high * 2 ** 32 + low
      fc.pre(Math.floor(handle / 256) !== 3)
      table.close(handle)
      expect(table.count).toBe(1)
    }),
  )
})
