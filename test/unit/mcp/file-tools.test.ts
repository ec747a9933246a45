import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { editFile } from "../../../clawfs/mcp/file-tools.ts"
import { confined, type Confined } from "./support.ts"

let place: Confined
let file: string

beforeEach(() => {
  place = confined()
  file = join(place.root, "file")
  writeFileSync(file, "one\ntwo\ntwo\n")
})

afterEach(() => place[Symbol.dispose]())

const text = (): string => readFileSync(file, "utf8")

describe("read", () => {
  test("shows the text, and says which lines these are", async () => {
    expect(await place.call("read", { path: "file" })).toBe(
      "one\ntwo\ntwo\n\n[lines 1 to 3 of file; the end of the file]",
    )
    expect(await place.call("read", { path: "file", first_line: 2, last_line: 2, line_numbers: true })).toBe(
      "     2\ttwo\n[line 2 of file; more follows, go on with line 3]",
    )
    writeFileSync(file, "")
    expect(await place.call("read", { path: "file" })).toBe("\n[the file is empty]")
  })

  test("says when a line is cut and when bytes are no text", async () => {
    writeFileSync(file, `${"x".repeat(100_000)}\nnext\n`)
    expect(await place.call("read", { path: "file" })).toMatch(
      /x\n\[line 1 of file; line 1 is longer than 64 KiB, its rest is left out; more follows, go on with line 2\]$/,
    )
    writeFileSync(file, Buffer.of(0xff, 0x0a))
    expect(await place.call("read", { path: "file" })).toContain(
      "bytes that are no UTF-8 are shown as \ufffd",
    )
  })

  test("refuses a range the wrong way round", async () => {
    expect(await place.call("read", { path: "file", first_line: 3, last_line: 2 })).toBe(
      "Error: last_line 2 lies before first_line 3",
    )
  })
})

describe("write", () => {
  test("makes a file and the directories that are missing, with the modes of new ones", async () => {
    expect(await place.call("write", { path: "a/b/c.txt", content: "ä" })).toBe("made a/b/c.txt (2 bytes)")
    expect(readFileSync(join(place.root, "a/b/c.txt"), "utf8")).toBe("ä")
    const modeOf = (path: string): number => statSync(join(place.root, path)).mode
    mkdirSync(join(place.root, "usual"))
    expect([modeOf("a/b/c.txt"), modeOf("a")]).toEqual([modeOf("file"), modeOf("usual")])
  })

  test("replaces a file only when it is told to", async () => {
    expect(await place.call("write", { path: "file", content: "new" })).toBe("Error: file exists")
    expect(text()).toBe("one\ntwo\ntwo\n")
    expect(await place.call("write", { path: "file", content: "new", overwrite: true })).toBe(
      "replaced file (3 bytes)",
    )
    expect(text()).toBe("new")
    expect(await place.call("write", { path: "other", content: "", overwrite: true })).toBe(
      "made other (0 bytes)",
    )
  })

  test("keeps mode and owner", async () => {
    if (process.getuid?.() === 0) chownSync(file, 1234, 2345)
    chmodSync(file, 0o2751)
    const before = statSync(file)
    await place.call("write", { path: "file", content: "new", overwrite: true })
    const { mode, uid, gid } = statSync(file)
    expect({ mode, uid, gid }).toEqual({ mode: before.mode, uid: before.uid, gid: before.gid })
  })

  test("is atomic: who has the file open sees the old text to its end", async () => {
    const before = statSync(file)
    await place.call("write", { path: "file", content: "new", overwrite: true })
    expect(statSync(file).ino).not.toBe(before.ino)
  })

  test("leaves nothing behind when it fails", async () => {
    mkdirSync(join(place.root, "dir"))
    await place.call("write", { path: "dir", content: "x", overwrite: true })
    await place.call("write", { path: "file", content: "x" })
    await place.call("write", { path: `${"x".repeat(300)}/y`, content: "x" })
    await place.call("write", { path: `new/${"x".repeat(300)}`, content: "x" })
    expect(readdirSync(place.root).sort()).toEqual(["dir", "file"])
  })
})

describe("edit", () => {
  const edit = (before: string, after: string, rest: object = {}): Promise<string> =>
    place.call("edit", { path: "file", old_string: before, new_string: after, ...rest })

  test("replaces the only occurrence", async () => {
    expect(await edit("one\ntwo", "1\n$& $1")).toBe("replaced 1 occurrence in file")
    expect(text()).toBe("1\n$& $1\ntwo\n")
  })

  test("refuses what occurs never or several times, with the number", async () => {
    expect(await edit("three", "3")).toBe("Error: old_string does not occur in file: nothing was changed")
    expect(await edit("two", "2")).toContain("old_string occurs 2 times in file: nothing was changed")
    expect(text()).toBe("one\ntwo\ntwo\n")
  })

  test("replaces every occurrence when it is told to", async () => {
    expect(await edit("two", "2", { replace_all: true })).toBe("replaced 2 occurrences in file")
    expect(text()).toBe("one\n2\n2\n")
  })

  test("refuses what would change nothing, and what is missing", async () => {
    expect(await edit("one", "one")).toContain("nothing to change")
    expect(await edit("", "x")).toContain('the argument "old_string" does not fit')
    expect(await place.call("edit", { path: "none", old_string: "a", new_string: "b" })).toBe(
      "Error: none does not exist",
    )
  })

  test("leaves every other byte as it is", async () => {
    writeFileSync(file, "\ufeffa\r\nb\u2028ä\n\n")
    await edit("b", "c")
    expect(text()).toBe("\ufeffa\r\nc\u2028ä\n\n")
  })

  test("refuses files whose bytes it could not keep", async () => {
    writeFileSync(file, Buffer.of(0x61, 0xe4))
    expect(await edit("a", "b")).toContain("is not UTF-8")
    writeFileSync(file, Buffer.of(0x61, 0))
    expect(await edit("a", "b")).toContain("is a binary file")
  })

  test("loses no change that somebody else makes meanwhile", () => {
    using tree = place.workspace.open()
    const change = (spoil: () => void) => () =>
      editFile(tree, tree.target("file"), (before) => {
        spoil()
        return { text: `${before}mine\n`, result: undefined }
      })
    expect(change(() => writeFileSync(file, "theirs\n"))).toThrow("was changed by somebody else meanwhile")
    expect(change(() => utimesSync(file, 1, 1))).toThrow("changed by somebody else")
    expect(text()).toBe("theirs\n")
    expect(readdirSync(place.root)).toEqual(["file"])
    change(() => undefined)()
    expect(text()).toBe("theirs\nmine\n")
  })
})

describe("list", () => {
  test("is sorted by bytes, with types and sizes", async () => {
    mkdirSync(join(place.root, "b-dir", "deep"), { recursive: true })
    writeFileSync(join(place.root, "b-dir", "inner"), "12345")
    writeFileSync(join(place.root, "B"), "")
    symlinkSync("file", join(place.root, "link"))
    expect(await place.call("list", {})).toBe(
      "file\t0\tB\ndirectory\t-\tb-dir/\nfile\t12\tfile\nlink\t-\tlink\n[4 entries in .]",
    )
    expect(await place.call("list", { depth: 2, path: "." })).toContain(
      "directory\t-\tb-dir/\ndirectory\t-\tb-dir/deep/\nfile\t5\tb-dir/inner\nfile",
    )
    expect(await place.call("list", { path: "b-dir/deep" })).toBe("\n[0 entries in b-dir/deep]")
  })

  test("is cut after 1000 entries, and says so", async () => {
    mkdirSync(join(place.root, "many"))
    for (let at = 0; at < 1001; at += 1)
      writeFileSync(join(place.root, "many", String(at).padStart(4, "0")), "")
    const listed = await place.call("list", { path: "many" })
    expect(listed).toContain("file\t0\t0999\n[the first 1000 entries in many, there are more")
    expect(listed).not.toContain("\t1000\n")
    writeFileSync(join(place.root, "many", "0000"), "")
    expect(await place.call("list", { depth: 2 })).toContain("there are more")
  })

  test("does not follow links down", async () => {
    symlinkSync(".", join(place.root, "self"))
    expect(await place.call("list", { depth: 10 })).toBe("file\t12\tfile\nlink\t-\tself\n[2 entries in .]")
  })
})

test("stat shows what there is to know", async () => {
  chmodSync(file, 0o640)
  utimesSync(file, 1_700_000_000, 1_700_000_000)
  const shown = JSON.parse(await place.call("stat", { path: "file" })) as object
  expect(shown).toMatchObject({
    ...{ path: "file", type: "file", size: 12, mode: "0640", links: 1 },
    modified: "2023-11-14T22:13:20.000Z",
  })
  expect(await place.call("stat", { path: "." })).toContain('"type": "directory"')
  expect(await place.call("stat", { path: "none" })).toBe("Error: none does not exist")
})

test("wrong arguments get a sentence each", async () => {
  const wrong: [string, Record<string, unknown>, string][] = [
    ["read", {}, 'read: the argument "path" is missing'],
    ["read", { path: 1 }, 'read: the argument "path" does not fit (expected string, received number)'],
    ["read", { path: "file", line: 1 }, 'read: there is no argument "line"'],
    ["read", { path: "file", first_line: 0 }, 'read: the argument "first_line" does not fit'],
    ["read", { path: "file", first_line: 1.5 }, 'read: the argument "first_line" does not fit'],
    ["write", { path: "file" }, 'write: the argument "content" is missing'],
    ["write", { path: "file", content: "x".repeat(2_200_000) }, 'the argument "content" does not fit'],
    ["list", { depth: 11 }, 'list: the argument "depth" does not fit'],
    ["memory", { command: "fly" }, 'memory: the argument "command" does not fit'],
    ["memory", { command: "view" }, 'memory: the argument "path" is missing'],
    ["search", { query: "" }, 'search: the argument "query" does not fit'],
  ]
  for (const [name, input, sentence] of wrong) expect(await place.call(name, input)).toContain(sentence)
})

test("a server that is read-only has no tool that changes anything", async () => {
  using reading = confined({ isReadOnly: true })
  for (const name of ["write", "edit", "memory_write"])
    await expect(reading.call(name, {})).rejects.toThrow(`no tool ${name}`)
  const create = { command: "create", path: "/memories/x", file_text: "x" }
  expect(await reading.call("memory", create)).toContain("read-only")
  expect(await reading.call("memory", { command: "view", path: "/memories" })).toContain("does not exist")
  expect(readdirSync(reading.root)).toEqual([])
})
