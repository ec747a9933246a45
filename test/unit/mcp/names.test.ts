import { expect, test } from "vitest"
import { bytesOf, shown } from "../../../clawfs/mcp/names.ts"
import { fc } from "../support/fast-check.ts"

test("text is shown as it is", () => {
  for (const name of ["a.txt", "Grüße 日本 🦀", "back\\slash", "100%", "\\x", "\\xg0", ""])
    expect([shown(Buffer.from(name)), bytesOf(name).toString()]).toEqual([name, name])
})

test("bytes that are no UTF-8, and control characters, are escaped", () => {
  expect(shown(Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x0a, 0x7f]))).toBe("a\\xff\\xc3(\\x0a\\x7f")
  // An overlong slash and half of a surrogate pair are no UTF-8.
  expect(shown(Buffer.from([0xc0, 0xaf, 0xed, 0xa0, 0x80]))).toBe("\\xc0\\xaf\\xed\\xa0\\x80")
})

test("a name that looks escaped keeps its meaning", () => {
  const name = Buffer.from("a\\xff")
  expect(shown(name)).toBe("a\\x5cxff")
  expect(bytesOf(shown(name))).toEqual(name)
})

test("every name comes back", () => {
  const alphabet = fc.constantFrom(0x5c, 0x78, 0x66, 0x35, 0xc3, 0xa9, 0xff, 0x0a, 0x61)
  const names = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.array(alphabet, { maxLength: 20 }))
  fc.assert(
    fc.property(names, (bytes) => {
      const text = shown(Uint8Array.from(bytes))
      expect([...bytesOf(text)]).toEqual([...bytes])
      expect(/[\p{Cc}\ufffd]/u.test(text) && !Buffer.from(bytes).includes(Buffer.from("\ufffd"))).toBe(false)
    }),
    { numRuns: 500 },
  )
})
