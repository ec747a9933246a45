/** The launcher's bytes: others are refused, and none crash. */
import { expect, test } from "vitest"
import { HEADER_BYTES, answerOf, readHeader, readWords, requestOf } from "../../../clawfs/runner/wire.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { fc } from "../support/fast-check.ts"

function header(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  numbers.forEach((number, at) => bytes.writeUInt32LE(number, at * 4))
  return bytes
}
const MAGIC = 0x54574c43

test("a request is read as the launcher writes it", () => {
  const head = readHeader(header(MAGIC, 1, 0, 2, 1, 2))
  expect(head).toEqual({ textBytes: 0, argc: 2, envc: 1, script: 1, wantsOutcome: false })
  expect(readWords(Buffer.from("name\0/dir\0one\0\0LANG=C\0"), head)).toEqual({
    name: "name",
    directory: "/dir",
    args: ["one", ""],
    env: ["LANG=C"],
  })
})

test("a request for programs is read as it is made", () => {
  const words = { name: "t", directory: "/d", args: ["a", "ü"], env: ["LANG=C"] }
  const { header: bytes, text } = requestOf(words)
  const head = readHeader(bytes)
  expect(head).toMatchObject({ textBytes: text.length, script: undefined, wantsOutcome: true })
  expect(readWords(text, head)).toEqual(words)
})

test("words that are no UTF-8 stay what they are", () => {
  const latin = Buffer.from([0x2f, 0xe9])
  const words = { name: "t", directory: latin, args: ["ü", latin, ""], env: ["LANG=C"] }
  const { header: bytes, text } = requestOf(words)
  expect(readWords(text, readHeader(bytes))).toEqual(words)
})

test("what is no launcher, of another version, or too much is refused", () => {
  for (const bytes of [
    Buffer.alloc(HEADER_BYTES),
    header(MAGIC, 1).subarray(0, 31),
    header(MAGIC, 1, 0xffff_ffff),
    header(MAGIC, 1, 0, 1 << 20),
    header(MAGIC, 1, 0, 1, 0, 2),
  ])
    expect(() => readHeader(bytes)).toThrow(expect.objectContaining({ kind: "invalid" }))
  expect(() => readHeader(header(MAGIC, 2))).toThrow(expect.objectContaining({ kind: "unsupported" }))
})

test("whatever the bytes are, the answer is words or a fault", () => {
  const numbers = fc.array(fc.oneof(fc.nat(40), fc.nat(0xffff_ffff)), { minLength: 6, maxLength: 8 })
  fc.assert(
    fc.property(numbers, fc.uint8Array({ maxLength: 80 }), (fields, text) => {
      try {
        const head = readHeader(header(MAGIC, 1, ...fields.slice(2, 6)))
        const words = readWords(Buffer.from(text), head)
        expect(words.args.length).toBe(head.argc)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Fault)
      }
    }),
  )
})

test("an answer is its status, the length of what follows, and that", () => {
  const answer = answerOf(137, "größer\n")
  expect([answer.readUInt32LE(0), answer.readUInt32LE(4), answer.toString("utf8", 8)]).toEqual([
    137,
    9,
    "größer\n",
  ])
})
