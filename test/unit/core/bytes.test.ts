import { fc } from "../support/fast-check.ts"
import { describe, expect, test } from "vitest"
import { Reader, Writer } from "../../../clawfs/core/bytes.ts"

type Value =
  | { kind: "u8" | "u16" | "u32" | "i32" | "i53" | "zero"; value: number }
  | { kind: "u64"; value: bigint }
  | { kind: "put"; value: Uint8Array }

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant("u8" as const), value: fc.integer({ min: 0, max: 0xff }) }),
  fc.record({ kind: fc.constant("u16" as const), value: fc.integer({ min: 0, max: 0xffff }) }),
  fc.record({ kind: fc.constant("u32" as const), value: u32 }),
  fc.record({ kind: fc.constant("i32" as const), value: fc.integer() }),
  fc.record({ kind: fc.constant("i53" as const), value: fc.maxSafeInteger() }),
  fc.record({ kind: fc.constant("zero" as const), value: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ kind: fc.constant("u64" as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({ kind: fc.constant("put" as const), value: fc.uint8Array({ maxLength: 20 }) }),
)

function write(w: Writer, { kind, value }: Value): void {
  if (kind === "u64") w.u64(value)
  else if (kind === "put") w.put(value)
  else w[kind](value)
}

/** What was written, read back by the reader's method of the same name. */
function readBack(r: Reader, written: Value): unknown {
  if (written.kind === "u8") return r.bytes(1)[0]
  if (written.kind === "zero") return r.bytes(written.value).every((byte) => byte === 0) ? written.value : -1
  if (written.kind === "put") return Uint8Array.from(r.bytes(written.value.length))
  return r[written.kind]()
}

describe("Reader and Writer", () => {
  test("whatever is written is read back, and nothing else is touched", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 12 }), (values) => {
        const buffer = Buffer.alloc(300, 0xee)
        const w = new Writer(buffer)
        for (const each of values) write(w, each)
        const r = new Reader(buffer, w.at)
        for (const each of values) expect(readBack(r, each)).toEqual(each.value)
        expect(r.remaining).toBe(0)
        expect(buffer.subarray(w.at).every((byte) => byte === 0xee)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test("numbers are little-endian", () => {
    const w = new Writer(Buffer.alloc(27))
    w.u8(1).u16(0x0203).u32(0x04050607).i32(-2).u64(0x08090a0b0c0d0e0fn).i53(0x1011121314)
    expect(w.buffer.toString("hex")).toBe(
      "010302" + "07060504" + "feffffff" + "0f0e0d0c0b0a0908" + "1413121110000000",
    )
  })

  test("a cursor works within its part of a larger memory", () => {
    const whole = Buffer.alloc(16, 0xff)
    const part = whole.subarray(4, 12)
    new Writer(part).u32(7).u32(9)
    expect(new Reader(part).u32()).toBe(7)
    expect(whole.toString("hex")).toBe("ffffffff" + "07000000" + "09000000" + "ffffffff")
  })
})

describe("64-bit values", () => {
  const bytesOf = (big: bigint): Buffer => {
    const out = Buffer.alloc(8)
    out.writeBigUInt64LE(BigInt.asUintN(64, big))
    return out
  }
  const MAX = Number.MAX_SAFE_INTEGER

  test("u53 takes everything up to 2^53-1 exactly and refuses what is above", () => {
    for (const big of [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 2n, 2n ** 53n - 1n])
      expect(new Reader(bytesOf(big)).u53()).toBe(Number(big))
    for (const big of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])
      expect(() => new Reader(bytesOf(big)).u53()).toThrow(RangeError)
  })

  test("u53Clamped takes everything and stops at 2^53-1", () => {
    for (const big of [0n, 5n, 2n ** 53n - 2n, 2n ** 53n - 1n])
      expect(new Reader(bytesOf(big)).u53Clamped()).toBe(Number(big))
    for (const big of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])
      expect(new Reader(bytesOf(big)).u53Clamped()).toBe(MAX)
  })

  test("i53 takes seconds before 1970 and refuses what a double can't count", () => {
    for (const big of [-1n, -2n, -(2n ** 32n), -(2n ** 32n) - 1n, -(2n ** 53n), 2n ** 53n - 1n, 0n])
      expect(new Reader(bytesOf(big)).i53()).toBe(Number(big))
    for (const big of [2n ** 53n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)])
      expect(() => new Reader(bytesOf(big)).i53()).toThrow(RangeError)
  })

  test("i53 writes two's complement", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (n) => {
        const w = new Writer(Buffer.alloc(8))
        w.i53(n)
        expect(w.buffer.readBigInt64LE()).toBe(BigInt(n))
        expect(new Reader(w.buffer).i53()).toBe(n)
      }),
      { examples: [[-1], [-4294967296], [-4294967297], [MAX], [-MAX], [0]] },
    )
  })

  test("u64 keeps all 64 bits", () => {
    expect(new Reader(bytesOf(2n ** 64n - 1n)).u64()).toBe(2n ** 64n - 1n)
  })
})

describe("bounds", () => {
  test("a read past the end throws and moves nothing", () => {
    const reads: [name: string, size: number, read: (r: Reader) => unknown][] = [
      ["u16", 2, (r) => r.u16()],
      ["u32", 4, (r) => r.u32()],
      ["i32", 4, (r) => r.i32()],
      ["u64", 8, (r) => r.u64()],
      ["u53", 8, (r) => r.u53()],
      ["u53Clamped", 8, (r) => r.u53Clamped()],
      ["i53", 8, (r) => r.i53()],
      ["skip", 5, (r) => r.skip(5)],
      ["bytes", 5, (r) => r.bytes(5)],
    ]
    for (const [name, size, read] of reads) {
      const r = new Reader(Buffer.alloc(64), size - 1)
      expect(() => read(r), name).toThrow(RangeError)
      expect(r.remaining, name).toBe(size - 1)
      r.rewind(0, size)
      read(r)
      expect(r.remaining, name).toBe(0)
    }
  })

  test("the message says how much was wanted and how much is there", () => {
    expect(() => new Reader(Buffer.alloc(3)).u32()).toThrow("want 4 bytes, have 3")
  })

  test("a window outside of the buffer is refused", () => {
    const r = new Reader(Buffer.alloc(8))
    expect(() => r.rewind(0, 9)).toThrow(RangeError)
    expect(() => r.rewind(5, 4)).toThrow(RangeError)
    r.rewind(8, 8)
    expect(r.remaining).toBe(0)
  })

  test("bytes behind the window are never part of a result", () => {
    const r = new Reader(Buffer.from("abc\0secret"))
    r.rewind(0, 2)
    expect(r.bytes(2).toString()).toBe("ab")
    expect(() => r.bytes(1)).toThrow(RangeError)
    r.rewind(0, 3)
    expect(() => r.name()).toThrow("without a terminating NUL")
    r.rewind(0, 4)
    expect(r.name().toString()).toBe("abc")
  })

  test("a write past the end throws and changes nothing outside", () => {
    const whole = Buffer.alloc(16, 0xee)
    const w = new Writer(whole.subarray(0, 8))
    for (const write of [
      (): Writer => w.seek(8).u8(1),
      (): Writer => w.seek(7).u16(1),
      (): Writer => w.seek(5).u32(1),
      (): Writer => w.seek(5).i32(1),
      (): Writer => w.seek(1).u64(1n),
      (): Writer => w.seek(5).i53(1),
      (): Writer => w.seek(4).put(Buffer.alloc(5)),
    ])
      expect(write).toThrow(RangeError)
    expect(whole.subarray(8).every((byte) => byte === 0xee)).toBe(true)
  })
})

describe("names", () => {
  test("names end at their NUL and may be of any bytes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ min: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        (names) => {
          const wire = Buffer.concat(names.flatMap((name) => [Buffer.from(name), Buffer.alloc(1)]))
          const r = new Reader(wire)
          for (const name of names) expect(Uint8Array.from(r.name())).toEqual(name)
          expect(r.remaining).toBe(0)
        },
      ),
    )
  })

  test("an empty name is a name", () => {
    expect(new Reader(Buffer.from("\0x")).name()).toHaveLength(0)
  })

  test("a missing NUL throws and moves nothing", () => {
    const r = new Reader(Buffer.from("abc"))
    expect(() => r.name()).toThrow(RangeError)
    expect(r.remaining).toBe(3)
  })
})
