import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { decodeName, encodeId, encodeName, encodePath, marked } from "../../../clawfs/migrate/names.ts"

const isName = (name: string): boolean => {
  const bytes = Buffer.from(name)
  return (
    bytes.length > 0 &&
    bytes.length <= 255 &&
    !bytes.includes(0) &&
    !bytes.includes(0x2f) &&
    name !== "." &&
    name !== ".."
  )
}
/** What PostgreSQL's text can hold: no NUL, no half of a pair. */
const component = fc.string({ unit: "binary" }).map((text) => text.replace(/[\0/]/g, ""))

describe("names of files", () => {
  test.each([
    ["MEMORY.md", "MEMORY.md"],
    ["..", "%2E%2E"],
    ["", "%00"],
    [" a ", "%20a%20"],
    ["100%", "100%25"],
    ["a\tb\\c", "a%09b%5Cc"],
    ["café", "café"],
  ])("%j becomes %j", (name, encoded) => {
    expect(encodeName(name)).toBe(encoded)
    expect(decodeName(encoded)).toBe(name)
  })

  test("any name becomes one that can be, and can be read back unless it was too long", () => {
    fc.assert(
      fc.property(component, (name) => {
        const encoded = encodeName(name)
        expect(isName(encoded)).toBe(true)
        if (!/~[0-9a-f]{16}$/.test(encoded)) expect(decodeName(encoded)).toBe(name)
      }),
    )
  })

  test("different names stay different", () => {
    fc.assert(fc.property(component, component, (a, b) => a === b || encodeName(a) !== encodeName(b)))
  })

  test("long names are cut between characters and told apart by their hashes", () => {
    const [a, b] = ["ü".repeat(200), `${"ü".repeat(199)}x`].map(encodeName)
    expect(Buffer.byteLength(a ?? "")).toBe(180 + 17)
    expect(a).not.toBe(b)
    expect(Buffer.byteLength(marked("x".repeat(255), "dup-12345678"))).toBeLessThanOrEqual(255)
  })

  test("a path is taken apart at its slashes, an identifier is one name", () => {
    expect(encodePath("a//../b/")).toEqual(["a", "%00", "%2E%2E", "b", "%00"])
    expect(encodeId("o'neil/../x")).toBe("o'neil%2F..%2Fx")
  })
})
