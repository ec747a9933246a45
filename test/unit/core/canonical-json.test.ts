/** RFC 8785: its own examples, and what has no canonical form. */
import { describe, expect, test } from "vitest"
import { canonicalJson } from "../../../clawfs/core/canonical-json.ts"
import { Fault } from "../../../clawfs/core/fault.ts"

/** Appendix B: the bits of a double, and its text. */
const NUMBERS: readonly (readonly [bits: string, text: string])[] = [
  ["0000000000000000", "0"],
  ["8000000000000000", "0"],
  ["0000000000000001", "5e-324"],
  ["8000000000000001", "-5e-324"],
  ["7fefffffffffffff", "1.7976931348623157e+308"],
  ["ffefffffffffffff", "-1.7976931348623157e+308"],
  ["4340000000000000", "9007199254740992"],
  ["c340000000000000", "-9007199254740992"],
  ["4430000000000000", "295147905179352830000"],
  ["44b52d02c7e14af5", "9.999999999999997e+22"],
  ["44b52d02c7e14af6", "1e+23"],
  ["44b52d02c7e14af7", "1.0000000000000001e+23"],
  ["444b1ae4d6e2ef4e", "999999999999999700000"],
  ["444b1ae4d6e2ef4f", "999999999999999900000"],
  ["444b1ae4d6e2ef50", "1e+21"],
  ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
  ["3eb0c6f7a0b5ed8d", "0.000001"],
  ["41b3de4355555553", "333333333.3333332"],
  ["41b3de4355555554", "333333333.33333325"],
  ["41b3de4355555555", "333333333.3333333"],
  ["41b3de4355555556", "333333333.3333334"],
  ["41b3de4355555557", "333333333.33333343"],
  ["becbf647612f3696", "-0.0000033333333333333333"],
  ["43143ff3c1cb0959", "1424953923781206.2"],
]

describe("canonical JSON", () => {
  test.each(NUMBERS)("writes the double %s as the RFC does", (bits, text) => {
    expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE(0))).toBe(text)
  })

  test("is that of section 3.2.4", () => {
    const input = String.raw`{ "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }`
    const text = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`
    expect(canonicalJson(JSON.parse(input))).toBe(text)
  })

  test("orders names by UTF-16 code units, as section 3.2.3 shows", () => {
    const names = ["\u20ac", "\r", "\ufb33", "1", "\u{1f600}", "\u0080", "\u00f6"]
    const value = Object.fromEntries(names.map((name) => [name, 0]))
    const sorted = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\u{1f600}", "\ufb33"]
    expect(Object.keys(JSON.parse(canonicalJson(value)) as object).filter((name) => name !== "1")).toEqual(
      sorted.filter((name) => name !== "1"),
    )
    expect(canonicalJson(value).indexOf("1")).toBeLessThan(canonicalJson(value).indexOf("\u0080"))
  })

  test("keeps a member named __proto__", () => {
    expect(canonicalJson(JSON.parse('{"b":1,"__proto__":{"a":2}}'))).toBe('{"__proto__":{"a":2},"b":1}')
  })

  test.each([
    ["half of a surrogate pair", "\ud800"],
    ["a name with one", { "a\udc00": 1 }],
    ["NaN", NaN],
    ["infinity", [Infinity]],
    ["undefined", { a: undefined }],
    ["a bigint", 1n],
    ["a nest of 100,000", JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) as unknown],
  ])("is refused for %s", (_what, value) => {
    expect(() => canonicalJson(value)).toThrow(Fault)
  })
})
