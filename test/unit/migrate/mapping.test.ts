/** Small decisions of the mapping: whose model a vector is of, what a script is called as a tool. */
import { describe, expect, test } from "vitest"
import { TOOL_NAME } from "../../../schema/tool.ts"
import { settledSince } from "../../../clawfs/migrate/postgres/changes.ts"
import { modelOf } from "../../../clawfs/migrate/v1/embedding-model.ts"
import { toolNameOf } from "../../../clawfs/migrate/v1/scripts.ts"

describe("the model of a dimension's vectors", () => {
  test.each([
    ["text-embedding-3-small", 1536, 2, "text-embedding-3-small"],
    ["text-embedding-3-small", 768, 2, undefined],
    ["nomic-embed-text:latest", 768, 1, "nomic-embed-text:latest"],
    ["somebody's own", 300, 1, "somebody's own"],
    // It made one of the two, and nobody knows which.
    ["somebody's own", 300, 2, undefined],
    [undefined, 1536, 1, undefined],
  ])("declared %j, of %d dimensions, %d kinds of them: %j", (declared, dimensions, sets, wanted) => {
    expect(modelOf(declared, dimensions, sets)).toBe(wanted)
  })
})

test.each([
  ["Say_Hello", "say-hello"],
  ["  fetch the weather!  ", "fetch-the-weather"],
  ["a".repeat(70), "a".repeat(64)],
  [`${"a".repeat(63)} b`, "a".repeat(63)],
])("the tool of the script %j is called %j", (name, wanted) => {
  expect(toolNameOf(name)).toBe(wanted)
})

test("a script whose name has no letter that a tool's may have gets one that is its own", () => {
  const [one, other] = [toolNameOf("天気"), toolNameOf("天")]
  expect(one).toMatch(TOOL_NAME)
  expect(other).toMatch(TOOL_NAME)
  expect(one).not.toBe(other)
})

test("transactions' numbers go round, and a moment is one of them", () => {
  // 2^32 + 5: rows have the lower half.
  expect(settledSince("4294967301:4294967400:")).toContain("- 5)")
  expect(settledSince("")).toContain("- 0)")
})
