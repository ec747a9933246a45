/** RFC 8785: the examples of the document itself. */
import { describe, expect, test } from "vitest"
import { canonicalJson, type Json } from "../../../clawfs/manifest/canonical-json.ts"

describe("canonical JSON", () => {
  test("is what the RFC's example is (section 3.2.4)", () => {
    const example = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
      "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    ) as Json
    expect(Buffer.from(canonicalJson(example)).toString("hex")).toBe(
      "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b333333333333333333" +
        "2e333333333333332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c753030" +
        "30665c6e4127425c225c5c5c5c5c222f227d",
    )
  })

  test("orders members by UTF-16 code units (section 3.2.3)", () => {
    const example = {
      ...{ "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh" },
      ...{ "1": "One", "\ud83d\ude00": "Emoji", "\u0080": "Control", "\u00f6": "Latin Small Letter O" },
    }
    const ordered = Object.values(JSON.parse(canonicalJson(example)) as Record<string, string>)
    expect(canonicalJson(example).indexOf("Carriage")).toBeLessThan(canonicalJson(example).indexOf("One"))
    expect(ordered.filter((each) => each !== "One")).toEqual([
      ...["Carriage Return", "Control", "Latin Small Letter O", "Euro Sign", "Emoji"],
      "Hebrew Letter Dalet With Dagesh",
    ])
  })

  test("writes the RFC's numbers (appendix B), and refuses what has no form", () => {
    const numbers: [string, string][] = [
      ...([
        ["0000000000000000", "0"],
        ["8000000000000000", "0"],
        ["0000000000000001", "5e-324"],
      ] as [string, string][]),
      ...([
        ["7fefffffffffffff", "1.7976931348623157e+308"],
        ["4340000000000000", "9007199254740992"],
      ] as [string, string][]),
      ...([
        ["44b52d02c7e14af5", "9.999999999999997e+22"],
        ["44b52d02c7e14af6", "1e+23"],
      ] as [string, string][]),
      ...([
        ["41b3de4355555553", "333333333.3333332"],
        ["3eb0c6f7a0b5ed8d", "0.000001"],
      ] as [string, string][]),
    ]
    for (const [bits, text] of numbers)
      expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toBe(text)
    for (const bad of [NaN, Infinity, "\ud800", ["\udead"], { "\ud800": 1 }] as Json[])
      expect(() => canonicalJson(bad)).toThrow(expect.objectContaining({ kind: "invalid" }))
  })
})
