/** `clawfs mcp`, driven by the official client over stdin and stdout of the built program. */
import { ErrorCode, McpError } from "@modelcontextprotocol/sdk/types.js"
import { spawn, type ChildProcessByStdio } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { requireFuse, skipIf } from "../helpers/requirements.ts"
import { Session, directory, exchanging } from "./mcp-session.ts"
import { Namespace, Place, bin, clawfs, requireBuild, requireMounts, said } from "./harness.ts"

let place: Place

beforeAll(async () => {
  if (requireBuild() === undefined) place = await Place.make()
})

afterAll(async () => {
  // No process may be left that names the place: a server that outlives its client would be one.
  if (requireBuild() === undefined) await place[Symbol.asyncDispose]()
})

beforeEach((context) => skipIf(context, requireBuild()))

const GROUPS = {
  files: ["search", "list", "read", "write", "edit", "stat"],
  memory: ["memory"],
  ironclaw: ["memory_search", "memory_read", "memory_tree", "memory_write"],
}

describe("the tools that are offered", () => {
  test.each([
    [[], GROUPS.files],
    [["--read-only"], ["search", "list", "read", "stat"]],
    [["--tools", "memory"], GROUPS.memory],
    [["--tools=files,memory,ironclaw"], [...GROUPS.files, ...GROUPS.memory, ...GROUPS.ironclaw]],
    [
      ["--tools", "ironclaw,memory", "--read-only"],
      ["memory", "memory_search", "memory_read", "memory_tree"],
    ],
  ])("with %j", async (args, names) => {
    await using session = await Session.open(["--root", directory(place).root, ...args])
    const { tools } = await session.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(names)
    for (const { description, inputSchema, annotations } of tools) {
      expect(description?.length).toBeGreaterThan(40)
      expect(inputSchema).toMatchObject({ type: "object", additionalProperties: false })
      expect(annotations).toMatchObject({ openWorldHint: false })
    }
    const changing = tools.filter(({ annotations }) => annotations?.readOnlyHint !== true)
    if (args.includes("--read-only")) expect(changing).toEqual([])
  })

  test("--memory adds the memory tool, on a directory of its own", async () => {
    const { root, outside } = directory(place)
    await using session = await Session.open(["--root", root, "--memory", join(outside, "new", "memory")])
    const { tools } = await session.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual([...GROUPS.files, ...GROUPS.memory])
    await session.call("memory", { command: "create", path: "/memories/a", file_text: "kept" })
    expect(readFileSync(join(outside, "new", "memory", "a"), "utf8")).toBe("kept")
    expect(readdirSync(root)).toEqual(["file.txt"])
  })
})

test("it says who it is and where it works", async () => {
  const { root } = directory(place)
  await using session = await Session.open(["--root", root])
  expect(session.client.getServerVersion()).toMatchObject({
    name: "clawfs",
    version: expect.any(String) as string,
  })
  expect(session.client.getInstructions()).toContain(root)
  await session.client.ping()
})

test("every tool does its work", async () => {
  const { root } = directory(place)
  await using session = await Session.open(["--root", root, "--tools", "files,memory,ironclaw"])
  const steps: [string, Record<string, unknown>, string | RegExp][] = [
    ["read", { path: "file.txt" }, "one\ntwo\n\n[lines 1 to 2 of file.txt; the end of the file]"],
    ["write", { path: "d/new.txt", content: "äöü\n" }, "made d/new.txt (7 bytes)"],
    ["edit", { path: join(root, "d/new.txt"), old_string: "ö", new_string: "o" }, /^replaced 1 occurrence/],
    ["list", { depth: 2 }, "directory\t-\td/\nfile\t6\td/new.txt\nfile\t8\tfile.txt\n[3 entries in .]"],
    ["stat", { path: "file.txt" }, /"size": 8/],
    ["search", { query: "two" }, /^Error: search needs a mounted ClawFS, and .* lies on none$/],
    ["memory", { command: "view", path: "/memories" }, /^Here're the files and directories/],
    [
      "memory",
      { command: "create", path: "/memories/n", file_text: "a\n" },
      /^File created successfully at: /,
    ],
    [
      "memory",
      { command: "str_replace", path: "/memories/n", old_str: "a", new_str: "b" },
      /has been edited/,
    ],
    [
      "memory",
      { command: "insert", path: "/memories/n", insert_line: 0, insert_text: "x" },
      /has been edited/,
    ],
    [
      "memory",
      { command: "rename", old_path: "/memories/n", new_path: "/memories/m" },
      /^Successfully renamed/,
    ],
    ["memory", { command: "delete", path: "/memories/m" }, "Successfully deleted /memories/m"],
    ["memory_write", { content: "a fact", target: "memory" }, /"status": "written"/],
    ["memory_read", { path: "MEMORY.md" }, /"content": "a fact"/],
    ["memory_tree", {}, '["MEMORY.md"]'],
    ["memory_search", { query: "fact" }, /^Error: search needs a mounted ClawFS/],
  ]
  for (const [name, input, expected] of steps) {
    const answer = await session.call(name, input)
    if (typeof expected === "string") expect([name, answer]).toEqual([name, expected])
    else expect([name, answer]).toEqual([name, expect.stringMatching(expected)])
  }
  expect(readFileSync(join(root, "d", "new.txt"), "utf8")).toBe("äou\n".replace("u", "ü"))
})

describe("errors", () => {
  test("an unknown tool and an unknown method are errors of the protocol", async () => {
    await using session = await Session.open(["--root", directory(place).root, "--read-only"])
    for (const name of ["nothing", "write", "memory", "__proto__"]) {
      const failure: unknown = await session.call(name).catch((thrown: unknown) => thrown)
      expect(failure).toBeInstanceOf(McpError)
      expect(failure).toMatchObject({ code: ErrorCode.InvalidParams })
      expect((failure as McpError).message).toContain(`there is no tool "${name}"`)
    }
    await expect(session.client.listResources()).rejects.toThrow(/does not support|Method not found/)
  })

  test("wrong arguments, and what can't be done, are results that a model can learn from", async () => {
    await using session = await Session.open(["--root", directory(place).root])
    expect(await session.call("read")).toBe('Error: read: the argument "path" is missing')
    expect(await session.call("read", { path: "file.txt", lines: 3 })).toBe(
      'Error: read: there is no argument "lines"',
    )
    expect(await session.call("read", { path: ["file.txt"] })).toMatch(/^Error: .*expected string/)
    expect(await session.call("read", { path: "none" })).toBe("Error: none does not exist")
    expect(await session.call("write", { path: "file.txt", content: "x" })).toBe(
      "Error: file.txt exists: set overwrite to replace all of it, or use edit",
    )
    expect(await session.call("edit", { path: "file.txt", old_string: "o", new_string: "0" })).toMatch(
      /^Error: old_string occurs 2 times in file.txt/,
    )
  })
})

describe("what is outside stays outside", () => {
  test("paths that leave the root, by every way there is", async () => {
    const { root, outside } = directory(place)
    symlinkSync("../outside", join(root, "link"))
    symlinkSync(join(outside, "secret"), join(root, "last"))
    symlinkSync("/proc/self/root", join(root, "magic"))
    await using session = await Session.open(["--root", root])
    const ways = [
      "../outside/secret",
      `${outside}/secret`,
      "link/secret",
      "last",
      `magic${outside}/secret`,
      `${root}/../outside/secret`,
      `${root}/link/../../outside/secret`,
      "\\x2e\\x2e/outside/secret",
      "file.txt\0/../../outside/secret",
      `${"x".repeat(300)}/../../outside/secret`,
      `${"a/".repeat(2500)}${"../".repeat(2501)}outside/secret`,
    ]
    const pattern = /^Error: .*(leads out of|lies outside|NUL byte|is too long|symbolic link)/
    for (const path of ways) {
      expect(await session.call("read", { path })).toMatch(pattern)
      expect(await session.call("write", { path, content: "x", overwrite: true })).toMatch(pattern)
      expect(await session.call("edit", { path, old_string: "what", new_string: "x" })).toMatch(pattern)
    }
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("what is outside")
    expect(readdirSync(outside)).toEqual(["secret"])
    expect(readdirSync(root).sort()).toEqual(["file.txt", "last", "link", "magic"])
  })

  test("a directory that another process exchanges for a link, all the time", async () => {
    const { root, outside } = directory(place)
    mkdirSync(join(root, "dir"))
    writeFileSync(join(root, "dir", "secret"), "inside")
    symlinkSync(outside, join(root, "..", "link"))
    await using _ = await exchanging(join(root, "dir"), join(root, "..", "link"))
    await using session = await Session.open(["--root", root])
    const answers: string[] = []
    for (let round = 0; round < 300; round += 1) {
      answers.push(await session.call("read", { path: "dir/secret" }))
      answers.push(await session.call("write", { path: `dir/new-${round}`, content: "x" }))
      answers.push(
        await session.call("edit", { path: "dir/secret", old_string: "inside", new_string: "inside" }),
      )
    }
    expect(answers.join("\n")).not.toContain("what is outside")
    expect(answers.filter((answer) => answer.startsWith("inside")).length).toBeGreaterThan(0)
    expect(answers.filter((answer) => answer.includes("leads out of")).length).toBeGreaterThan(0)
    expect(readdirSync(outside)).toEqual(["secret"])
  })
})

describe("odd files", () => {
  test("a large file is read by its lines, and not edited", async () => {
    const { root } = directory(place)
    const line = `${"x".repeat(1023)}\n`
    for (let part = 0; part < 100; part += 1) appendFileSync(join(root, "large"), line.repeat(1024))
    appendFileSync(join(root, "large"), "the last line\n")
    await using session = await Session.open(["--root", root])
    const last = 100 * 1024 + 1
    expect(await session.call("read", { path: "large", first_line: last })).toBe(
      `the last line\n\n[line ${last} of large; the end of the file]`,
    )
    const head = await session.call("read", { path: "large" })
    expect(Buffer.byteLength(head)).toBeLessThan(66_000)
    expect(head).toMatch(/\[lines 1 to 64 of large; more follows, go on with line 65\]$/)
    expect(await session.call("edit", { path: "large", old_string: "last", new_string: "first" })).toMatch(
      /^Error: large is larger than 16 MiB/,
    )
  })

  test("a text of two million characters is written and edited", async () => {
    const { root } = directory(place)
    await using session = await Session.open(["--root", root])
    const content = "\u0001\n".repeat(1_000_000)
    expect(await session.call("write", { path: "text", content })).toBe("made text (2000000 bytes)")
    await session.call("edit", { path: "text", old_string: "\u0001", new_string: "y", replace_all: true })
    expect(readFileSync(join(root, "text"), "utf8") === "y\n".repeat(1_000_000)).toBe(true)
  })

  test("names that are no UTF-8 can be listed, read and written", async () => {
    const { root } = directory(place)
    const path = Buffer.concat([Buffer.from(`${root}/n`), Buffer.of(0xff, 0xfe)])
    writeFileSync(path, "odd")
    await using session = await Session.open(["--root", root])
    expect(await session.call("list")).toContain("file\t3\tn\\xff\\xfe\n")
    expect(await session.call("read", { path: "n\\xff\\xfe" })).toMatch(/^odd\n/)
    await session.call("edit", { path: "n\\xff\\xfe", old_string: "odd", new_string: "even" })
    expect(readFileSync(path, "utf8")).toBe("even")
  })

  test("a fifo does not stop the server", async () => {
    const { root } = directory(place)
    spawn("mkfifo", [join(root, "fifo")]).on("error", () => undefined)
    await expect.poll(() => existsSync(join(root, "fifo"))).toBe(true)
    await using session = await Session.open(["--root", root])
    expect(await session.call("read", { path: "fifo" })).toBe("Error: fifo is a fifo, not a regular file")
    expect(await session.call("memory_read").catch(() => "no such tool")).toBe("no such tool")
  })
})

describe("the process", () => {
  type Raw = ChildProcessByStdio<Writable, Readable, Readable>

  const start = (root: string): Raw =>
    spawn(process.execPath, [bin, "mcp", "--root", root], { stdio: ["pipe", "pipe", "pipe"], cwd: "/" })

  const finished = async (child: Raw): Promise<{ code: unknown; out: string; err: string }> => {
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    const [code] = (await once(child, "close")) as [unknown]
    return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
  }

  const message = (id: number, method: string, params: object): string =>
    `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`

  const hello = message(1, "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "raw", version: "1" },
  })

  test("ends when stdin does, with success", async () => {
    const child = start(directory(place).root)
    const end = finished(child)
    child.stdin.write(hello)
    await once(child.stdout, "data")
    child.stdin.end()
    expect(await end).toMatchObject({ code: 0, err: "" })
  })

  test("answers what was asked before stdin ended", async () => {
    const child = start(directory(place).root)
    const read = message(2, "tools/call", { name: "read", arguments: { path: "file.txt" } })
    const search = message(3, "tools/call", { name: "search", arguments: { query: "x" } })
    child.stdin.end(hello + read + search)
    const { code, out } = await finished(child)
    const answers = out.trimEnd().split("\n")
    expect(code).toBe(0)
    expect(answers.map((line) => (JSON.parse(line) as { id: number }).id).sort()).toEqual([1, 2, 3])
  })

  test("writes nothing but the protocol to stdout, whatever it gets", async () => {
    const child = start(directory(place).root)
    const garbage = `garbage\n\n{"jsonrpc":"2.0"}\n[1,2]\n${"{".repeat(100_000)}\n\u0000\ufffd\n`
    const calls = [
      message(2, "tools/call", { name: 7 }),
      message(3, "no/such/method", {}),
      message(4, "tools/call", { name: "read", arguments: "file.txt" }),
      message(5, "tools/list", {}),
    ].join("")
    child.stdin.end(garbage + hello + garbage + calls)
    const { code, out, err } = await finished(child)
    expect(code).toBe(0)
    const answers = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { jsonrpc: string; id: number; error?: { code: number } })
    expect(answers.every(({ jsonrpc }) => jsonrpc === "2.0")).toBe(true)
    const errors = answers.filter(({ error }) => error !== undefined)
    expect(errors.map(({ id, error }) => [id, error?.code]).sort()).toEqual([
      [2, -32602],
      [3, -32601],
      [4, -32602],
    ])
    expect(answers.map(({ id }) => id).sort()).toEqual([1, 2, 3, 4, 5])
    for (const line of err.trimEnd().split("\n"))
      expect(line).toMatch(/^clawfs: a message is not understood: /)
  })

  test("ends with a sentence when a message is larger than it takes", async () => {
    const child = start(directory(place).root)
    const end = finished(child)
    child.stdin.on("error", () => undefined)
    child.stdin.write("x".repeat(17 * 1024 * 1024))
    const { code, out, err } = await end
    expect([code, out]).toEqual([74, ""])
    expect(err).toMatch(/\nclawfs: the client has sent more than 16 MiB in one message\n$/)
    child.stdin.destroy()
  })
})

test("what can't be served is said before anything else, with an exit status", async () => {
  const { root } = directory(place)
  const run = async (...args: string[]): Promise<string> =>
    said(await clawfs(["mcp", ...args])).replaceAll(root, "ROOT")
  expect(await run("--root", join(root, "none"))).toBe("exit 66\nclawfs: ROOT/none does not exist")
  expect(await run("--root", join(root, "file.txt"))).toBe("exit 65\nclawfs: ROOT/file.txt is no directory")
  expect(await run("--root", root, "--tools", "files,memry")).toBe(
    'exit 64\nclawfs: mcp: --tools has no group "memry"\nhint: did you mean memory?',
  )
  expect(await run("--root", root, "--tools", "files", "--memory", root)).toMatch(
    /^exit 64\nclawfs: mcp: --memory is for the tools memory and ironclaw/,
  )
  expect(await run("--root", root, "x")).toMatch(/^exit 64\nclawfs: mcp: "x" is one operand too many/)
})

test("without --root there must be a ClawFS", async (context) => {
  skipIf(context, requireMounts())
  // The namespace has copies of the machine's mounts: those of ClawFS are taken away in it alone.
  await using namespace = await Namespace.make(
    "grep -F ' - fuse.clawfs ' /proc/self/mountinfo | cut -d' ' -f5 | while read -r path; do umount -l \"$path\"; done",
  )
  expect(said(await clawfs(["mcp"], { namespace }))).toBe(
    "exit 66\nclawfs: no ClawFS is mounted\nhint: mount one, or name a directory with --root PATH",
  )
})

describe("on a mount", () => {
  beforeEach((context) => skipIf(context, requireFuse(), requireMounts()))

  test("the mount of the working directory is the root; an idle server keeps nothing busy", async () => {
    const scene = place.set()
    const mount = async (): Promise<void> => {
      expect((await clawfs(["mount", scene.store, scene.mnt])).code).toBe(0)
    }
    const unmount = async (): Promise<string> => said(await clawfs(["unmount", scene.mnt]), scene)
    await mount()
    {
      await using session = await Session.open([], join(scene.mnt, "workspaces"))
      expect(session.client.getInstructions()).toContain(`Files below ${scene.mnt}.`)
      expect(await session.call("write", { path: "workspaces/a/b", content: "x" })).toContain("made")
      expect(await unmount()).toBe("exit 0\nunmounted /mnt")
      for (const name of ["read", "stat"])
        expect(await session.call(name, { path: "workspaces/a/b" })).toMatch(
          /^Error: the ClawFS with .* is not mounted/,
        )
      expect(await session.call("write", { path: "below", content: "x" })).toContain("is not mounted")
      expect(readdirSync(scene.mnt)).toEqual([])
      await mount()
      expect(await session.call("read", { path: "workspaces/a/b" })).toMatch(/^x\n/)
    }
    expect(await unmount()).toBe("exit 0\nunmounted /mnt")
  })

  test("the confinement, atomic writes and deleting hold there too", async () => {
    const scene = place.set()
    expect((await clawfs(["mount", scene.store, scene.mnt])).code).toBe(0)
    const root = join(scene.mnt, "workspaces")
    {
      await using session = await Session.open(["--root", root, "--tools", "files,memory"])
      symlinkSync("../specs", join(root, "link"))
      expect(await session.call("write", { path: "link/x", content: "x" })).toContain("leads out of")
      expect(await session.call("write", { path: "a", content: "1" })).toBe("made a (1 bytes)")
      expect(await session.call("write", { path: "a", content: "2" })).toContain("a exists")
      expect(await session.call("edit", { path: "a", old_string: "1", new_string: "3" })).toContain(
        "replaced",
      )
      expect(await session.call("read", { path: "a" })).toMatch(/^3\n/)
      await session.call("memory", { command: "create", path: "/memories/x/y/z", file_text: "x" })
      expect(await session.call("memory", { command: "delete", path: "/memories/x" })).toContain(
        "Successfully",
      )
      const file = openSync(join(root, "binary"), "w")
      writeSync(file, Buffer.alloc(10))
      closeSync(file)
      expect(await session.call("read", { path: "binary" })).toContain("is a binary file")
    }
    expect(readdirSync(root).sort()).toEqual(["a", "binary", "link", "memories"])
    expect((await clawfs(["unmount", scene.mnt])).code).toBe(0)
  })
})
