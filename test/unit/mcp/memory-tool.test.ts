/** The outputs and error texts are those of Anthropic's documentation of the memory tool. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { memoryAt } from "../../../clawfs/mcp/memory.ts"
import { memoryTool } from "../../../clawfs/mcp/memory-tool.ts"
import { confined, type Confined } from "./support.ts"

let place: Confined

beforeEach(() => {
  place = confined()
})

afterEach(() => place[Symbol.dispose]())

const memory = (command: string, rest: object): Promise<string> => place.call("memory", { command, ...rest })
const stored = (path: string): string => readFileSync(join(place.root, "memories", path), "utf8")

function store(path: string, text: string): void {
  mkdirSync(join(place.root, "memories", path, ".."), { recursive: true })
  writeFileSync(join(place.root, "memories", path), text)
}

describe("view", () => {
  test("of a new memory shows the directory that it makes", async () => {
    expect(await memory("view", { path: "/memories" })).toMatch(
      /^Here're the files and directories up to 2 levels deep in \/memories, excluding hidden items and node_modules:\n\S+\t\/memories$/,
    )
    expect(readdirSync(place.root)).toEqual(["memories"])
  })

  test("of a directory shows two levels, without what is hidden", async () => {
    store("notes.txt", "x".repeat(1536))
    store("a/b/too-deep", "")
    store("a/plan.md", "12345678")
    store("node_modules/x", "")
    store(".hidden/x", "")
    const lines = (await memory("view", { path: "/memories/" })).split("\n")
    expect(lines.slice(2).map((line) => line.split("\t")[1])).toEqual([
      "/memories/a/",
      "/memories/a/b/",
      "/memories/a/plan.md",
      "/memories/notes.txt",
    ])
    expect(lines).toContain("8B\t/memories/a/plan.md")
    expect(lines).toContain("1.5K\t/memories/notes.txt")
  })

  test("of a file numbers its lines", async () => {
    store("f", "Hello World\nThis is line two\n")
    const head = "Here's the content of /memories/f with line numbers:\n"
    expect(await memory("view", { path: "/memories/f" })).toBe(
      `${head}     1\tHello World\n     2\tThis is line two`,
    )
    expect(await memory("view", { path: "/memories/f", view_range: [2, -1] })).toBe(
      `${head}     2\tThis is line two`,
    )
    expect(await memory("view", { path: "/memories/f", view_range: [1, 1] })).toBe(
      `${head}     1\tHello World`,
    )
  })

  test("refuses what is missing, too long, or out of range", async () => {
    expect(await memory("view", { path: "/memories/none" })).toBe(
      "Error: The path /memories/none does not exist. Please provide a valid path.",
    )
    store("long", "\n".repeat(1_000_000))
    expect(await memory("view", { path: "/memories/long" })).toBe(
      "Error: File /memories/long exceeds maximum line limit of 999,999 lines.",
    )
    store("f", "a\nb\n")
    for (const range of [
      [0, 1],
      [2, 1],
      [3, 4],
      [-1, -1],
    ])
      expect(await memory("view", { path: "/memories/f", view_range: range })).toContain(
        "Invalid `view_range` parameter",
      )
  })

  test("cuts a large file off and says so", async () => {
    store("f", `${"x".repeat(99)}\n`.repeat(2000))
    const shown = await memory("view", { path: "/memories/f" })
    expect(shown.length).toBeLessThan(70_000)
    expect(shown).toMatch(/x\n\(cut off here: use view_range to see more\)$/)
  })
})

test("create makes a file and its directories, and never replaces one", async () => {
  const input = { path: "/memories/a/b.txt", file_text: "text" }
  expect(await memory("create", input)).toBe("File created successfully at: /memories/a/b.txt")
  expect(stored("a/b.txt")).toBe("text")
  expect(await memory("create", { ...input, file_text: "other" })).toBe(
    "Error: Error: File /memories/a/b.txt already exists",
  )
  expect(stored("a/b.txt")).toBe("text")
})

describe("str_replace", () => {
  const replace = (before: string, after?: string, path = "/memories/f"): Promise<string> =>
    memory("str_replace", { path, old_str: before, ...(after !== undefined && { new_str: after }) })

  beforeEach(() => store("f", "1\n2\n3\n4\n5\n6\n7\n"))

  test("shows the change with the lines around it", async () => {
    expect(await replace("4", "four\n$&")).toBe(
      "The memory file has been edited. Here is the snippet showing the change (with line numbers):\n" +
        "     2\t2\n     3\t3\n     4\tfour\n     5\t$&\n     6\t5\n     7\t6",
    )
    expect(stored("f")).toBe("1\n2\n3\nfour\n$&\n5\n6\n7\n")
    await replace("four\n$&\n")
    expect(stored("f")).toBe("1\n2\n3\n5\n6\n7\n")
  })

  test("refuses what is missing, ambiguous, or no file", async () => {
    expect(await replace("9", "x")).toBe(
      "Error: No replacement was performed, old_str `9` did not appear verbatim in /memories/f.",
    )
    store("f", "a\nb a\nc\n")
    expect(await replace("a", "x")).toBe(
      "Error: No replacement was performed. Multiple occurrences of old_str `a` in lines: 1, 2. Please ensure it is unique",
    )
    mkdirSync(join(place.root, "memories", "dir"))
    for (const path of ["/memories/none", "/memories/dir"])
      expect(await replace("a", "x", path)).toBe(
        `Error: Error: The path ${path} does not exist. Please provide a valid path.`,
      )
    expect(stored("f")).toBe("a\nb a\nc\n")
  })
})

describe("insert", () => {
  const insert = (line: number, text: string, path = "/memories/f"): Promise<string> =>
    memory("insert", { path, insert_line: line, insert_text: text })

  test("puts text behind a line", async () => {
    store("f", "a\nb\n")
    expect(await insert(1, "x\n")).toBe("The file /memories/f has been edited.")
    expect(stored("f")).toBe("a\nx\nb\n")
    await insert(0, "first")
    await insert(4, "last")
    expect(stored("f")).toBe("first\na\nx\nb\nlast\n")
    store("empty", "")
    await insert(0, "only", "/memories/empty")
    expect(stored("empty")).toBe("only\n")
  })

  test("refuses a line that is not there, and what is no file", async () => {
    store("dir/f", "a\nb\n")
    for (const line of [-1, 3])
      expect(await insert(line, "x", "/memories/dir/f")).toBe(
        `Error: Error: Invalid \`insert_line\` parameter: ${line}. It should be within the range of lines of the file: [0, 2]`,
      )
    for (const path of ["/memories/none", "/memories/dir"])
      expect(await insert(0, "x", path)).toBe(`Error: Error: The path ${path} does not exist`)
  })
})

test("delete removes files and whole directories, not the memory itself", async () => {
  store("dir/sub/f", "")
  store("f", "")
  expect(await memory("delete", { path: "/memories/dir" })).toBe("Successfully deleted /memories/dir")
  expect(await memory("delete", { path: "/memories/f" })).toBe("Successfully deleted /memories/f")
  expect(await memory("delete", { path: "/memories/f" })).toBe(
    "Error: Error: The path /memories/f does not exist",
  )
  for (const path of ["/memories", "/memories/", "/memories/.", "/memories/x/.."])
    expect(await memory("delete", { path })).toMatch(/^Error: .*(itself|does not exist)/)
  expect(readdirSync(join(place.root, "memories"))).toEqual([])
})

test("rename moves files and directories, and never replaces anything", async () => {
  store("dir/f", "1")
  store("g", "2")
  const rename = (from: string, to: string): Promise<string> =>
    memory("rename", { old_path: `/memories/${from}`, new_path: `/memories/${to}` })
  expect(await rename("dir", "new/place")).toBe("Successfully renamed /memories/dir to /memories/new/place")
  expect(stored("new/place/f")).toBe("1")
  expect(await rename("g", "new/place/f")).toBe(
    "Error: Error: The destination /memories/new/place/f already exists",
  )
  expect(await rename("none", "x/y")).toBe("Error: Error: The path /memories/none does not exist")
  expect(await rename("new", "new/inner")).toMatch(/^Error: /)
  expect(readdirSync(join(place.root, "memories")).sort()).toEqual(["g", "new"])
})

test("another directory can be the memory; it is made when it is first needed", async () => {
  const directory = join(place.base, "elsewhere", "memory")
  const tool = memoryTool(memoryAt(directory, false))
  const { signal } = new AbortController()
  const call = (input: object): Promise<readonly string[]> => tool.call(input, { signal })
  await call({ command: "create", path: "/memories/f", file_text: "x" })
  expect(readFileSync(join(directory, "f"), "utf8")).toBe("x")
  await expect(call({ command: "view", path: "/memories/../../root" })).rejects.toThrow("leads out of")
  const missing = memoryTool(memoryAt(join(place.base, "missing"), true))
  await expect(missing.call({ command: "view", path: "/memories" }, { signal })).rejects.toThrow(
    "does not exist",
  )
  expect(readdirSync(place.base).sort()).toEqual(["elsewhere", "outside", "root"])
})
