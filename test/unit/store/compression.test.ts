/** Compressed records: the same bytes, fewer of them, and none that a bad record could make more than it may be. */
import { describe, expect, test } from "vitest"
import { compress, decompress } from "../../../clawfs/store/compression.ts"
import { RECORD_MAX } from "../../../clawfs/store/record.ts"
import { zstdCompress } from "../../../clawfs/sys/libzstd.ts"
import { Random, runs, seed } from "../support/random.ts"

const TEXT = Buffer.alloc(RECORD_MAX, "the same line again and again, which is what logs are like\n")

function compressed(data: Buffer): Buffer {
  const found = compress(data, 3)
  if (found === undefined) throw new Error("it did not shrink")
  return found
}

/** Bytes of which a part is random: from what hardly shrinks to what shrinks well. */
function mixed(random: Random): Buffer {
  const length = 256 + random.below(RECORD_MAX - 256)
  const data = Buffer.from(TEXT.subarray(0, length))
  const noisy = random.below(length)
  random.bytes(noisy).copy(data, random.below(length - noisy))
  return data
}

test("what shrinks by an eighth comes back as it was, at any level", () => {
  const random = new Random(seed)
  for (let at = 0; at < runs(40); at += 1) {
    const data = mixed(random)
    const payload = compress(data, 1 + random.below(19))
    if (payload === undefined) continue
    expect(payload.length).toBeLessThanOrEqual((data.length * 7) / 8)
    expect(decompress(payload, data.length).equals(data)).toBe(true)
  }
  expect(compressed(TEXT).length).toBeLessThan(1000)
})

test("what does not is left alone, as are records of a few bytes", () => {
  const random = new Random(seed)
  expect(compress(random.bytes(RECORD_MAX), 3)).toBeUndefined()
  const nearly = Buffer.concat([random.bytes(9000), Buffer.alloc(1000)])
  expect(compress(nearly, 19)).toBeUndefined()
  expect(compress(Buffer.alloc(255), 3)).toBeUndefined()
})

describe("a bad record is refused, and nothing is written beyond its length", () => {
  const payload = compressed(TEXT)

  test.each([
    ["that gives more than it should", payload, RECORD_MAX - 1],
    ["that gives less than it should", compressed(TEXT.subarray(0, 1000)), 1001],
    ["that says it is longer than records are", payload, RECORD_MAX + 1],
    ["that is cut off", payload.subarray(0, payload.length - 1), RECORD_MAX],
    ["that is no frame", Buffer.alloc(100, 7), RECORD_MAX],
    ["that is empty", Buffer.alloc(0), RECORD_MAX],
  ])("%s", (_, bad, length) => {
    expect(() => decompress(bad, length)).toThrow(/compressed record/)
  })

  test("a frame of 1 GiB of zeroes is given no more room than a record", () => {
    const [zeroes, out] = [Buffer.alloc(1 << 30), Buffer.alloc(1 << 20)]
    const length = zstdCompress(zeroes, 1, out) ?? 0
    const before = process.memoryUsage.rss()
    expect(() => decompress(out.subarray(0, length), RECORD_MAX)).toThrow("can't be decompressed")
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20)
  })

  test("whatever bytes are damaged, it ends in an error or in bytes of the right length", () => {
    const random = new Random(seed)
    const data = mixed(random)
    const good = compressed(Buffer.concat([TEXT.subarray(0, 5000), data.subarray(0, 3000)]))
    for (let at = 0; at < runs(500); at += 1) {
      const bad = Buffer.from(good)
      for (let each = 0; each <= random.below(4); each += 1) bad[random.below(bad.length)] = random.below(256)
      let length = 8000
      try {
        ;({ length } = decompress(bad, 8000))
      } catch (thrown) {
        expect((thrown as Error).message).toBe("a compressed record can't be decompressed")
      }
      expect(length).toBe(8000)
    }
  })
})
