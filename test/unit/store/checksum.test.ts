/** What one column can become by damage: another type too. */
import { describe, expect, test } from "vitest"
import { mix, sumOf, sumOfBytes, sumOfName, sumOfPart, sumOfText } from "../../../clawfs/store/checksum.ts"

/** As damage can make them, whatever the column is; the first are what a 0 becomes with one bit of its serial type. */
const VALUES = [
  0,
  null,
  Buffer.alloc(0),
  "",
  1,
  0.5,
  -0.5,
  1e300,
  2 ** 53,
  -1,
  NaN,
  Buffer.alloc(1),
  "0",
  "1",
]

describe("a column of another value or type", () => {
  test.each<[string, (value: unknown) => number]>([
    ["in a row", (value) => sumOf(5, [7, value, 9])],
    ["at the end of a row", (value) => sumOf(5, [7, value])],
    ["in a name", (value) => sumOfName(1, value as number, 3, 4)],
    ["in an element of a set", (value) => sumOfPart(1, value as number)],
    ["by itself", (value) => mix(1, value as number)],
  ])("%s gives another sum than any number of ours", (_where, sum) => {
    for (const right of [0, 1, 1000, 2 ** 40])
      for (const value of VALUES)
        if (value !== right) expect([value, sum(value)]).not.toEqual([value, sum(right)])
  })

  test("in the place of bytes or of a text gives another sum", () => {
    const right = sumOfBytes(3, Buffer.from("bytes"))
    expect(sumOfBytes(3, "bytes" as unknown as Buffer)).not.toBe(right)
    expect(sumOfText(Buffer.from("text"))).not.toBe(sumOfText("text"))
    expect(sumOf(3, ["text"])).not.toBe(sumOf(3, [Buffer.from("text")]))
  })
})
