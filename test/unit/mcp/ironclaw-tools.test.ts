import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { confined, type Confined } from "./support.ts"

let place: Confined

beforeEach(() => {
  place = confined()
})

afterEach(() => place[Symbol.dispose]())

const path = (name: string): string => join(place.root, "memories", name)
const stored = (name: string): string => readFileSync(path(name), "utf8")
const call = async (name: string, input: Record<string, unknown>): Promise<unknown> => {
  const answer = await place.call(`memory_${name}`, input)
  return answer.startsWith("Error: ") ? answer : JSON.parse(answer)
}

describe("memory_write", () => {
  test("writes the day's log with the time, by default", async () => {
    const day = new Date().toISOString().slice(0, 10)
    const answer = (await call("write", { content: "first" })) as { path: string }
    expect(answer).toEqual({ status: "written", path: answer.path, append: true, content_length: 5 })
    expect(answer.path >= `daily/${day}.md`).toBe(true)
    await call("write", { content: "second", append: false })
    expect(stored(answer.path)).toMatch(/^\[\d\d:\d\d:\d\d\] first\n\[\d\d:\d\d:\d\d\] second$/)
  })

  test("keeps what lasts in MEMORY.md, a paragraph each", async () => {
    await call("write", { content: "a", target: "memory" })
    await call("write", { content: "b", target: "memory" })
    expect(stored("MEMORY.md")).toBe("a\n\nb")
    await call("write", { content: "c", target: "memory", append: false })
    expect(stored("MEMORY.md")).toBe("c")
  })

  test("writes the checklist and any path, line by line", async () => {
    for (const target of ["heartbeat", "projects/alpha/notes.md"]) {
      await call("write", { content: "- a", target })
      await call("write", { content: "- b", target })
    }
    expect([stored("HEARTBEAT.md"), stored("projects/alpha/notes.md")]).toEqual(["- a\n- b", "- a\n- b"])
  })

  test("empties BOOTSTRAP.md", async () => {
    mkdirSync(path(""), { recursive: true })
    writeFileSync(path("BOOTSTRAP.md"), "hello")
    expect(await call("write", { target: "bootstrap" })).toEqual({ status: "cleared", path: "BOOTSTRAP.md" })
    expect(stored("BOOTSTRAP.md")).toBe("")
  })

  test("changes a part: the first occurrence, or all", async () => {
    await call("write", { content: "x y x", target: "f.md" })
    expect(await call("write", { target: "f.md", old_string: "x", new_string: "$&" })).toEqual({
      ...{ status: "patched", path: "f.md", replacements: 1, content_length: 6 },
    })
    expect(stored("f.md")).toBe("$& y x")
    const all = { target: "f.md", old_string: " ", new_string: "", replace_all: true }
    expect(await call("write", all)).toMatchObject({ replacements: 2 })
    expect(await call("write", { ...all, old_string: "?" })).toContain("does not occur in f.md")
    expect(await call("write", { target: "f.md", old_string: "x" })).toContain("old_string needs new_string")
  })

  test("refuses the files that become instructions, empty content, and files that it can't be", async () => {
    for (const target of ["SOUL.md", "./identity.md", "x/../AGENTS.md", "USER.md"])
      expect(await call("write", { content: "x", target })).toContain("part of the agent's instructions")
    expect(await call("write", { content: " \n" })).toContain("content is missing or empty")
    expect(await call("write", {})).toContain("content is missing or empty")
    mkdirSync(path("dir"))
    expect(await call("write", { content: "x", target: "dir" })).toContain("is a directory")
  })

  test("loses nothing when several append at once", async () => {
    await Promise.all(
      Array.from({ length: 50 }, (_, at) => call("write", { content: `note ${at}`, target: "log.md" })),
    )
    expect(stored("log.md").split("\n").sort()).toEqual(
      Array.from({ length: 50 }, (_, at) => `note ${at}`).sort(),
    )
  })
})

test("memory_read gives the text with its words and time", async () => {
  await call("write", { content: "three small words", target: "memory" })
  const read = (await call("read", { path: "MEMORY.md" })) as { updated_at: string }
  expect(read).toMatchObject({ path: "MEMORY.md", content: "three small words", word_count: 3 })
  expect(Math.abs(Date.parse(read.updated_at) - Date.now())).toBeLessThan(60_000)
  expect(await call("read", { path: "none.md" })).toBe("Error: none.md does not exist")
})

test("memory_tree shows directories with a slash and what is in them", async () => {
  for (const target of ["b.md", "a/deep/x.md", "a/y.md", "c/z.md"])
    await call("write", { content: "x", target })
  expect(await call("tree", {})).toEqual(["a/", "b.md", "c/"])
  expect(await call("tree", { depth: 2 })).toEqual([{ "a/": ["deep/", "y.md"] }, "b.md", { "c/": ["z.md"] }])
  expect(await call("tree", { path: "a", depth: 10 })).toEqual([{ "deep/": ["x.md"] }, "y.md"])
  expect(await call("tree", { path: "b.md" })).toContain("is no directory")
})

test("memory_search says what it needs", async () => {
  expect(await call("search", { query: "x" })).toContain("search needs a mounted ClawFS")
  expect(await call("search", { query: "x", limit: 21 })).toContain('"limit" does not fit')
})
