import { fc } from "../support/fast-check.ts"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import {
  NO_NONCE,
  RECORD_HEADER,
  RECORD_MAX,
  cut,
  decodeRecordHeader,
  encodeRecordHeader,
  verifyRecord,
  type RecordHeader,
} from "../../../clawfs/store/record.ts"
import { readGolden, section } from "../support/golden.ts"

const golden = readGolden("record.hex")
const payload = section(golden, "record payload").bytes
const header: RecordHeader = {
  ino: 0x7161514131211,
  offset: 0x7262524232221,
  length: payload.length,
  segment: 0x133231,
  position: 0x44434241,
  sequence: 0x7565554535251,
  flags: 0,
  plain: payload.length,
  key: 0,
  nonce: NO_NONCE,
}

function encode(fields: RecordHeader, data: Buffer): Buffer {
  const out = Buffer.alloc(RECORD_HEADER, 0xee)
  encodeRecordHeader(out, fields, data)
  return out
}

/** The message with which a record is refused; undefined when it is accepted. */
function refusal(
  bytes: Buffer,
  data: Buffer,
  segment = header.segment,
  position = header.position,
): string | undefined {
  try {
    verifyRecord(bytes, data, { segment, position, sequence: 0 })
    return undefined
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "corrupt") return thrown.message
    throw thrown
  }
}

describe("a record", () => {
  test("is written byte for byte as the format says", () => {
    expect(encode(header, payload).toString("hex")).toBe(
      section(golden, "record header").bytes.toString("hex"),
    )
    expect(section(golden, "record header").bytes).toHaveLength(RECORD_HEADER)
  })

  test("is read back with every field", () => {
    const bytes = section(golden, "record header").bytes
    expect(decodeRecordHeader(bytes)).toEqual(header)
    expect(verifyRecord(bytes, payload, header)).toEqual(header)
  })

  test("of any fields and payload is read back", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
    const u53 = fc.maxSafeNat()
    fc.assert(
      fc.property(
        u53,
        u53,
        u32,
        u32,
        u53,
        fc.uint8Array({ maxLength: 100 }),
        (ino, offset, segment, position, sequence, data) => {
          const encoding = { flags: 0, plain: data.length, key: 0, nonce: NO_NONCE }
          const fields = { ino, offset, length: data.length, segment, position, sequence, ...encoding }
          const bytes = encode(fields, Buffer.from(data))
          expect(verifyRecord(bytes, Buffer.from(data), { segment, position, sequence })).toEqual(fields)
        },
      ),
      { numRuns: 100 },
    )
  })

  test("with any single bit flipped, in header or payload, is refused", () => {
    const whole = Buffer.concat([section(golden, "record header").bytes, payload])
    const accepted: number[] = []
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const bad = Buffer.from(whole)
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      if (refusal(bad.subarray(0, RECORD_HEADER), bad.subarray(RECORD_HEADER)) === undefined)
        accepted.push(bit)
    }
    expect(accepted).toEqual([])
  })

  test("that was torn, its end zeroes or an older record's bytes, is refused", () => {
    const data = Buffer.alloc(4096, 0x61)
    const bytes = encode({ ...header, length: data.length }, data)
    for (const kept of [0, 1, 512, 4095]) {
      for (const left of [0, 0x62]) {
        const torn = Buffer.concat([data.subarray(0, kept), Buffer.alloc(data.length - kept, left)])
        expect(refusal(bytes, torn), `${kept} bytes kept`).toContain("is damaged")
      }
    }
  })

  test("that is read from another place than it was written to is refused", () => {
    const bytes = section(golden, "record header").bytes
    expect(refusal(bytes, payload, header.segment + 1)).toContain("belongs elsewhere")
    expect(refusal(bytes, payload, header.segment, header.position + 80)).toContain("belongs elsewhere")
  })

  test("whose length is not that of its extent is refused", () => {
    const bytes = section(golden, "record header").bytes
    expect(refusal(bytes, payload.subarray(1))).toContain("belongs elsewhere")
    expect(refusal(bytes, Buffer.concat([payload, Buffer.alloc(1)]))).toContain("belongs elsewhere")
  })

  test("that is no record at all is refused, and nothing is thrown while looking for records", () => {
    for (const bytes of [Buffer.alloc(RECORD_HEADER), Buffer.alloc(RECORD_HEADER, 0xff), Buffer.alloc(3)])
      expect(decodeRecordHeader(bytes)).toBeUndefined()
    const huge = Buffer.from(section(golden, "record header").bytes)
    huge.fill(0xff, 8, 16)
    expect(decodeRecordHeader(huge)).toBeUndefined()
    expect(refusal(huge, payload)).toContain("no valid header")
  })

  test("of another version, kind or header length is not taken for one of this", () => {
    for (const at of [4, 5, 6, 7]) {
      const other = Buffer.from(section(golden, "record header").bytes)
      // Of the flags, two have a meaning.
      other[at] = (other[at] ?? 0) + (at === 6 ? 4 : 1)
      expect(decodeRecordHeader(other), `byte ${at}`).toBeUndefined()
    }
  })

  test("that another one has taken the place of is refused", () => {
    const bytes = section(golden, "record header").bytes
    expect(verifyRecord(bytes, payload, { ...header, sequence: 0 })).toEqual(header)
    expect(() => verifyRecord(bytes, payload, { ...header, sequence: header.sequence + 1 })).toThrow(
      "is not the one that was written last",
    )
  })

  test("says how its payload is encoded", () => {
    const encoded = { ...header, flags: 3, plain: 70_000, key: 0x81828384, nonce: Buffer.alloc(12, 0x99) }
    expect(decodeRecordHeader(encode(encoded, payload))).toEqual(encoded)
  })

  test("names its place when it is refused, and nothing of what it holds", () => {
    const message = refusal(
      section(golden, "record header").bytes,
      Buffer.alloc(payload.length),
      header.segment,
    )
    expect(message).toBe("record at segment 1258033 position 1145258561 is damaged")
  })
})

describe("cutting a write into records", () => {
  test("never crosses a multiple of 128 KiB, leaves no byte out and no record empty", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 10 * RECORD_MAX }),
        fc.integer({ min: 0, max: 1 << 20 }),
        (offset, length) => {
          const pieces = cut(offset, length)
          expect(pieces.reduce((sum, piece) => sum + piece, 0)).toBe(length)
          let at = offset
          for (const piece of pieces) {
            expect(piece).toBeGreaterThan(0)
            expect(Math.floor(at / RECORD_MAX)).toBe(Math.floor((at + piece - 1) / RECORD_MAX))
            at += piece
          }
          expect(pieces.length).toBeLessThanOrEqual(Math.ceil(length / RECORD_MAX) + 1)
        },
      ),
      { numRuns: 100 },
    )
  })

  test.each([
    [0, 0, []],
    [5, 0, []],
    [0, RECORD_MAX, [RECORD_MAX]],
    [0, RECORD_MAX + 1, [RECORD_MAX, 1]],
    [RECORD_MAX - 1, 2, [1, 1]],
    [1, 2 * RECORD_MAX, [RECORD_MAX - 1, RECORD_MAX, 1]],
    [Number.MAX_SAFE_INTEGER - 5, 5, [5]],
  ])("at %i, %i bytes are %j", (offset, length, pieces) => {
    expect(cut(offset, length)).toEqual(pieces)
  })
})
