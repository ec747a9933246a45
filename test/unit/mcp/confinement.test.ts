/** What the tools refuse: everything outside of the root, and what is no regular file. */
import { spawnSync } from "node:child_process"
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Workspace } from "../../../clawfs/mcp/workspace.ts"
import { SECRET, confined, type Confined } from "./support.ts"

let place: Confined

beforeEach(() => {
  place = confined()
  mkdirSync(join(place.root, "dir"))
  writeFileSync(join(place.root, "file"), "inside\n")
})

afterEach(() => {
  expect(readFileSync(join(place.base, "outside", "secret"), "utf8")).toBe(SECRET)
  expect(readdirSync(join(place.base, "outside"))).toEqual(["secret"])
  expect(readdirSync(place.base).sort()).toEqual(["outside", "root"])
  place[Symbol.dispose]()
})

/** Every tool that takes a path, on this one. */
const calls = (path: string): [string, Record<string, unknown>][] => [
  ["read", { path }],
  ["write", { path, content: "x", overwrite: true }],
  ["edit", { path, old_string: "outside", new_string: "x" }],
  ["list", { path }],
  ["stat", { path }],
  ["search", { query: "x", path }],
]

describe("every tool refuses a path that leads out", () => {
  test.each([
    ["..", "../outside/secret"],
    ["..", ".."],
    [".. behind a directory", "dir/../../outside/secret"],
    [".. written as bytes", "\\x2e\\x2e/outside/secret"],
    ["an absolute path", "/etc/passwd"],
    ["an absolute path written as bytes", "\\x2fetc/passwd"],
    ["an absolute path that only begins like the root", "ROOTish/secret"],
    ["an absolute path below the root with ..", "ROOT/../outside/secret"],
    ["a relative link", "link/secret"],
    ["an absolute link", "absolute/secret"],
    ["a link to a link", "second/secret"],
    ["a link of /proc", "proc/cwd/x"],
  ])("by %s: %s", async (_what, path) => {
    symlinkSync("../outside", join(place.root, "link"))
    symlinkSync(join(place.base, "outside"), join(place.root, "absolute"))
    symlinkSync("link", join(place.root, "second"))
    symlinkSync("/proc/self", join(place.root, "proc"))
    for (const [name, input] of calls(path.replace("ROOT", place.root))) {
      const answer = await place.call(name, input)
      expect([name, answer]).toEqual([
        name,
        expect.stringMatching(/^Error: .*(leads out of|lies outside of|or one above it)/),
      ])
    }
  })

  test("as a link that is the last name", async () => {
    symlinkSync("../outside/secret", join(place.root, "last"))
    expect(await place.call("read", { path: "last" })).toContain("leads out of")
    expect(await place.call("write", { path: "last", content: "x", overwrite: true })).toContain(
      "symbolic link",
    )
    expect(await place.call("edit", { path: "last", old_string: "what", new_string: "x" })).toContain(
      "symbolic link",
    )
    // The link itself is inside.
    expect(await place.call("stat", { path: "last" })).toContain('"target": "../outside/secret"')
    expect(await place.call("list", {})).toContain("link\t-\tlast\n")
  })

  test("the memory tools too", async () => {
    mkdirSync(join(place.root, "memories"))
    symlinkSync("../../outside", join(place.root, "memories", "link"))
    for (const path of [
      "/memories/../../outside/secret",
      "/memories/link/secret",
      "/etc/passwd",
      "/memories/..",
      "notes",
    ])
      for (const command of [
        { command: "view", path },
        { command: "create", path: `${path}/new`, file_text: "x" },
        { command: "str_replace", path, old_str: "what", new_str: "x" },
        { command: "insert", path, insert_line: 0, insert_text: "x" },
        { command: "delete", path },
        { command: "rename", old_path: path, new_path: "/memories/taken" },
        { command: "rename", old_path: "/memories/link", new_path: `${path}/moved` },
      ])
        expect([command, await place.call("memory", command)]).toEqual([
          command,
          expect.stringMatching(/^Error: .*(leads out of|lies outside of|does not begin|or one above it)/),
        ])
    for (const path of ["../../outside/secret", "link/secret", "/etc/passwd", "~/x", "C:\\x", "D:/x"]) {
      expect(await place.call("memory_read", { path })).toMatch(/^Error: .*(leads out of|of the machine)/)
      expect(await place.call("memory_write", { target: path, content: "x" })).toMatch(
        /^Error: .*(leads out of|of the machine)/,
      )
      expect(await place.call("memory_tree", { path })).toMatch(/^Error: .*(leads out of|of the machine)/)
    }
    expect(readlinkSync(join(place.root, "memories", "link"))).toBe("../../outside")
  })

  test("a memory directory that is a link out of the root is not used", async () => {
    symlinkSync("../outside", join(place.root, "memories"))
    expect(await place.call("memory", { command: "view", path: "/memories" })).toContain("leads out of")
    expect(await place.call("memory_write", { content: "x" })).toContain("leads out of")
  })
})

describe("what stays inside is reached", () => {
  test("by .., absolute paths below the root, and links", async () => {
    symlinkSync("../file", join(place.root, "dir", "link"))
    for (const path of ["file", "./file", "dir/../file", join(place.root, "file"), "dir/link", "dir//link"])
      expect(await place.call("read", { path })).toMatch(/^inside\n/)
  })

  test("a link to a directory, also to write in it", async () => {
    symlinkSync("dir", join(place.root, "link"))
    expect(await place.call("write", { path: "link/new", content: "x" })).toBe("made link/new (1 bytes)")
    expect(readFileSync(join(place.root, "dir", "new"), "utf8")).toBe("x")
  })

  test("names that are no UTF-8, as list shows them", async () => {
    const name = Buffer.concat([Buffer.from(`${place.root}/caf`), Buffer.of(0xe9, 0x0a)])
    writeFileSync(name, "latin")
    expect(await place.call("list", {})).toContain("file\t5\tcaf\\xe9\\x0a\n")
    expect(await place.call("read", { path: "caf\\xe9\\x0a" })).toMatch(/^latin/)
    await place.call("write", { path: "caf\\xe9\\x0a", content: "new", overwrite: true })
    expect(readFileSync(name, "utf8")).toBe("new")
  })

  test("a hard link is cut off from the other names by a write", async () => {
    linkSync(join(place.root, "file"), join(place.root, "other"))
    await place.call("write", { path: "other", content: "new", overwrite: true })
    expect(await place.call("read", { path: "file" })).toMatch(/^inside/)
  })
})

describe("what is no regular file is refused, without waiting", () => {
  const everyUse = async (path: string, pattern: RegExp): Promise<void> => {
    expect(await place.call("read", { path })).toMatch(pattern)
    expect(await place.call("write", { path, content: "x", overwrite: true })).toMatch(pattern)
    expect(await place.call("edit", { path, old_string: "x", new_string: "y" })).toMatch(pattern)
  }

  test("a fifo", async () => {
    expect(spawnSync("mkfifo", [join(place.root, "fifo")]).status).toBe(0)
    await everyUse("fifo", /is a fifo, not a regular file/)
    expect(await place.call("list", {})).toContain("fifo\t-\tfifo")
  })

  test("a socket", async () => {
    const server = createServer().listen(join(place.root, "socket"))
    try {
      await new Promise((resolve) => server.once("listening", resolve))
      await everyUse("socket", /is a socket, not a regular file/)
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test("a directory", async () => {
    await everyUse("dir", /is a directory/)
    await everyUse(".", /is a directory|is the directory itself/)
    expect(lstatSync(join(place.root, "dir")).isDirectory()).toBe(true)
  })

  test("a device, when the root is as wide as that", () => {
    const workspace = new Workspace("/dev")
    using tree = workspace.open()
    expect(() => tree.openFile(tree.target("zero"))).toThrow("zero is a device, not a regular file")
  })
})

describe("odd names get a sentence", () => {
  test("NUL bytes, long names and long paths, loops, empty paths", async () => {
    symlinkSync("loop", join(place.root, "loop"))
    const odd: [string, RegExp][] = [
      ["a\0b", /NUL byte/],
      ["a\\x00b", /NUL byte/],
      ["x".repeat(300), /is too long/],
      [`${"d/".repeat(3000)}x`, /is too long/],
      [`${"../".repeat(1000)}x`, /leads out of/],
      ["loop/x", /symbolic links/],
      ["", /does not fit/],
      ["x".repeat(20_000), /does not fit/],
    ]
    for (const [path, pattern] of odd)
      for (const [name, input] of calls(path))
        expect([name, path.slice(0, 20), await place.call(name, input)]).toEqual([
          name,
          path.slice(0, 20),
          expect.stringMatching(pattern),
        ])
    expect(readdirSync(place.root).sort()).toEqual(["dir", "file", "loop"])
  })

  test("a path through a file", async () => {
    expect(await place.call("read", { path: "file/x" })).toBe(
      "Error: file/x is no directory, or leads through something that is none",
    )
    expect(await place.call("write", { path: "file/x/y", content: "" })).toContain("is no directory")
    expect(await place.call("list", { path: "file" })).toContain("is no directory")
  })

  test("a link to nothing, in the middle and at the end", async () => {
    symlinkSync("nowhere", join(place.root, "dangling"))
    expect(await place.call("write", { path: "dangling/x", content: "x" })).toContain("does not exist")
    expect(await place.call("write", { path: "dangling", content: "x" })).toContain("symbolic link")
    expect(existsSync(join(place.root, "nowhere"))).toBe(false)
  })
})

test("a workspace that is no directory, or missing, is refused", () => {
  expect(() => new Workspace(join(place.root, "file"))).toThrow("is no directory")
  expect(() => new Workspace(join(place.root, "missing"))).toThrow("missing does not exist")
})

test("no descriptor is left open, whatever went wrong", async () => {
  const open = (): number => readdirSync("/proc/self/fd").length
  symlinkSync("../outside", join(place.root, "link"))
  const round = async (): Promise<void> => {
    for (const path of ["file", "dir", "link/x", "missing/deep", "../x", "file/x"])
      for (const [name, input] of calls(path)) await place.call(name, input)
    await place.call("memory", { command: "create", path: "/memories/a/b", file_text: "x" })
    await place.call("memory", { command: "rename", old_path: "/memories/a/b", new_path: "/memories/c/d" })
    await place.call("memory", { command: "delete", path: "/memories/c" })
  }
  await round()
  const before = open()
  for (let times = 0; times < 20; times += 1) await round()
  expect(open()).toBeLessThanOrEqual(before + 5)
})
