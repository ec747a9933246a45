/** `clawfs tool`, `sandbox` and `seccomp`: what they refuse, in one sentence each, and what works without root. */
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { run } from "../helpers/exec.ts"
import { skipIf } from "../helpers/requirements.ts"
import { requireTools } from "../tools/tools.ts"
import { Place, clawfs, contents, inPlace, requireMounts, said, type Scene } from "./harness.ts"

let place: Place
let scene: Scene
const reason = (): string | undefined => requireMounts() ?? requireTools()

beforeAll(async () => {
  if (reason() !== undefined) return
  place = await Place.make()
  scene = place.set()
  await clawfs(["mount", "--no-index", scene.store, scene.mnt])
})
afterAll(async () => {
  if (reason() !== undefined) return
  await clawfs(["unmount", scene.mnt])
  await place[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason()))

const SCRIPT = "#!/bin/sh\necho hi\n"

function source(manifest: object | string, script = SCRIPT): string {
  const directory = place.directory()
  writeFileSync(join(directory, "entry"), script, { mode: 0o755 })
  symlinkSync("/etc/passwd", join(directory, "link"))
  const text =
    typeof manifest === "string"
      ? manifest
      : JSON.stringify({ tool_id: "t", version: "1.0.0", kind: "script", entry: "entry", ...manifest })
  writeFileSync(join(directory, "tool.json"), text)
  return directory
}

const tool = (...args: string[]): ReturnType<typeof clawfs> => clawfs(["tool", ...args, "--mount", scene.mnt])

const NAMED = (path: string): string => `filesystem:read:${path}`

test.each([
  ["no JSON", "{", 65, "tool.json is not JSON"],
  ["a field of nobody's", { more: 1 }, 65, 'Unrecognized key: "more"'],
  ["a name", { tool_id: "T_1" }, 65, "tool_id: a tool's name is lower case letters"],
  ["a version", { version: "1" }, 65, "version: a version is X.Y.Z"],
  ["an entry outside", { entry: "../../etc/passwd" }, 65, "lies outside of the directory"],
  ["an absolute entry", { entry: "/etc/passwd" }, 65, "lies outside of the directory"],
  ["no such entry", { entry: "nothing" }, 66, "nothing"],
  [
    "an entry that leads outside",
    { entry: "link", interpreter: "/bin/sh" },
    65,
    "lies outside of the directory",
  ],
  ["a NUL in a name", { entry: "a\0b" }, 65, "entry: no control characters"],
  ["a directory as entry", { entry: "." }, 65, "is no file"],
  ["a directory as interpreter", { interpreter: "/usr/bin" }, 65, "is no program"],
  [
    "an interpreter of two lines",
    { interpreter: "/bin/sh\nhint: x" },
    65,
    "interpreter: no control characters",
  ],
  ["a NUL in a variable", { environment: { A: "x\0y" } }, 65, "environment.A: no NUL"],
  ["a hash that lies", { hash: `sha256:${"0".repeat(64)}` }, 65, "is not what its manifest names"],
  ["a script as a program", { kind: "native" }, 65, "is no 64-bit ELF program"],
  ["an interpreter that is missing", { interpreter: "/usr/bin/no-such" }, 66, "is not installed"],
  ["one that no sandbox shows", { interpreter: "/home/x/sh" }, 65, "can't be seen in a sandbox"],
  ["memory above the maximum", { memory_limit_mb: 16_000 }, 65, "memory_limit_mb is 16000"],
  ["no time at all", { timeout_seconds: 0 }, 65, "timeout_seconds"],
  ["no capability", { capabilities: ["all"] }, 65, '"all" is no capability'],
  [
    "one that writes to the terminal",
    { capabilities: ["a\u001b[2J\nhint: b"] },
    65,
    '"a\\x1b[2J hint: b" is no',
  ],
  ["a path outside", { capabilities: [NAMED("/etc")] }, 65, "must lie below /clawfs"],
  ["a path with ..", { capabilities: [NAMED("/clawfs/workspaces/../vault")] }, 65, "must lie below /clawfs"],
  ["the vault", { capabilities: [NAMED("/clawfs/vault/x")] }, 77, "no tool gets"],
  ["writing tools", { capabilities: ["filesystem:write:/clawfs/tools/bin"] }, 77, "no tool gets"],
  ["a whole namespace", { capabilities: [NAMED("/clawfs/agents")] }, 77, "t wants a lot"],
  [
    "paths that overlap",
    { capabilities: [NAMED("/clawfs/agents/a"), NAMED("/clawfs/agents/a/b")] },
    65,
    "overlap",
  ],
  ["the whole network", { capabilities: ["network:outbound:*:443"] }, 65, "one host and one port"],
  ["a network", { capabilities: ["network:outbound:10.1.2.3:443"] }, 77, "wants a lot"],
  ["a verb of secrets", { capabilities: ["secret:inject:key"] }, 69, "secret:exec:NAME, nothing else"],
  ["a secret without a variable", { capabilities: ["secret:exec:key"] }, 65, "says no variable"],
  ["a secret without its capability", { secrets: { KEY: { name: "key" } } }, 65, "is no capability"],
  [
    "a secret where code is loaded from",
    { capabilities: ["secret:exec:key"], secrets: { LD_PRELOAD: { name: "key" } } },
    65,
    "LD_PRELOAD can't have a secret",
  ],
] as const)("install refuses %s, and changes nothing", async (_what, manifest, code, words) => {
  const before = contents(join(scene.mnt, "tools"))
  const finished = await tool("install", source(manifest))
  expect([finished.code, finished.stdout]).toEqual([code, ""])
  const [line = "", ...more] = finished.stderr.trimEnd().split("\n")
  expect(line).toMatch(/^clawfs: [^\n]*[^.]$/)
  expect(line).toContain(words)
  expect(more.every((each) => each.startsWith("hint: "))).toBe(true)
  expect(contents(join(scene.mnt, "tools"))).toEqual(before)
})

test("a program for another architecture is refused", async () => {
  const directory = source({ kind: "native" })
  const elf = readFileSync("/usr/bin/true")
  elf.writeUInt16LE(0x1234, 18)
  writeFileSync(join(directory, "entry"), elf)
  expect(said(await tool("install", directory))).toContain("is a program for another architecture")
})

test("with --yes a tool gets a whole namespace, and enable, show and gc know their words", async () => {
  const wide = source({ tool_id: "wide", capabilities: [NAMED("/clawfs/agents")] })
  expect((await tool("install", wide, "--yes")).code).toBe(0)
  expect((await tool("install", wide, "--yes")).stdout).toContain("already installed wide 1.0.0")
  expect(said(await tool("show", "wide"))).toContain("filesystem:read:/clawfs/agents")
  await tool("install", source({ tool_id: "red", description: "a\u001b[31m\nb" }))
  expect((await tool("list")).stdout).toContain("a\\x1b[31m\\x0ab\n")
  expect((await tool("show", "red")).stdout).toContain("description   a\\x1b[31m\\x0ab\n")
  expect((await tool("enable", "wide", "--use", "2.0.0")).stderr).toContain("has no version 2.0.0")
  for (const [words, code] of [
    [["enable", "none"], 66],
    [["show"], 64],
    [["list", "surplus"], 64],
    [["frobnicate"], 64],
    [["list", "--yes"], 64],
    [["gc", "--keep", "x"], 64],
    [["install", "/no/such"], 66],
  ] as const)
    expect([words, (await tool(...words)).code]).toEqual([words, code])
  expect((await clawfs(["tool", "list", "--mount", "/"])).code).toBe(66)
})

test("a registry that was lost is no reason to clean all tools away", async () => {
  const registry = join(scene.mnt, "tools", "registry.json")
  await tool("install", source({ tool_id: "kept" }))
  const before = contents(join(scene.mnt, "tools", "binaries"))
  await run("mv", [registry, `${registry}.away`])
  for (const words of [["gc"], ["list"], ["verify"], ["install", source({ tool_id: "other" })]]) {
    const { code, stderr } = await tool(...words)
    expect([words[0], code]).toEqual([words[0], 65])
    expect(stderr).toContain("registry.json is missing, and tools are installed\nhint: restore the file")
  }
  await run("mv", [`${registry}.away`, registry])
  expect(contents(join(scene.mnt, "tools", "binaries"))).toEqual(before)
  expect((await tool("verify")).code).toBe(0)
})

test("a policy that can't be understood, or allows less, is kept to", async () => {
  const policy = join(scene.mnt, "system", "sandbox.json")
  writeFileSync(policy, '{"required": ["magic"]}')
  expect((await tool("install", source({ tool_id: "p" }))).code).toBe(65)
  const status = await clawfs(["sandbox", "status", scene.mnt])
  expect([status.code, status.stdout]).toEqual([65, ""])
  expect(status.stderr).toContain("sandbox.json: required.0")
  writeFileSync(policy, '{"maximum": {"memory_limit_mb": 32}}')
  expect((await tool("install", source({ tool_id: "p" }))).stderr).toContain("the policy's maximum is 32")
  writeFileSync(policy, '{"maximum": {"io_limit_mb": 32}}')
  const { stderr } = await tool("install", source({ tool_id: "p", io_limit_mb: 33 }))
  expect(stderr).toContain("io_limit_mb is 33, the policy's maximum is 32")
  await run("rm", [policy])
  // Nobody writes to it: what opens it must not wait.
  await run("mkfifo", [policy])
  expect((await tool("install", source({ tool_id: "p" }))).stderr).toContain("sandbox.json is no file")
  expect((await clawfs(["sandbox", "status", scene.mnt])).code).toBe(65)
  await run("rm", [policy])
})

test("lists of system calls: the sandbox's own are right, and what is wrong is said", async () => {
  const directory = place.directory()
  const file = (value: unknown): string => {
    const path = join(directory, "list.json")
    writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value))
    return path
  }
  const own = await clawfs(["seccomp", "print", "tool"])
  const list = JSON.parse(own.stdout) as { syscalls: object[] }
  expect(said(await clawfs(["seccomp", "check", file(list)]))).toBe("exit 0")
  const output = join(directory, "filter.bpf")
  const compiled = await clawfs(["seccomp", "compile", file(list), "-o", output])
  expect([compiled.code, compiled.stdout]).toEqual([0, ""])
  expect(readFileSync(output).length % 8).toBe(0)
  expect((await clawfs(["seccomp", "compile", file(list), "-o", "-"])).code).toBe(0)
  const wrong = {
    ...list,
    syscalls: [
      { name: "read", permission: "ALLOW" },
      { name: "io_uring_setup", permission: "ALLOW" },
      { name: "readdir", permission: "ALLOW" },
      {
        name: "connect",
        permission: "CONDITIONAL",
        conditions: { description: "5432", port_restriction: { allowed_ports: [5432] } },
      },
    ],
  }
  const { code, stdout } = await clawfs(["seccomp", "check", file(wrong)])
  expect(code).toBe(1)
  expect(stdout).toContain('error: "io_uring_setup" leads out of a sandbox')
  expect(stdout).toContain('error: "execve" is not allowed: no program can start')
  expect(stdout).toContain('warning: this architecture has no system call "readdir"')
  expect(stdout).toContain(`warning: "connect": a filter can't see ports`)
  expect((await clawfs(["seccomp", "check", file("nonsense")])).code).toBe(65)
  expect((await clawfs(["seccomp", "check", join(directory, "none")])).code).toBe(66)
})

test("without root tools run too, and the status says what is weaker", async () => {
  const own = await place.setOfNobody()
  const asNobody = { asNobody: true }
  const store = join(own.path, "own")
  expect((await clawfs(["init", store], asNobody)).code).toBe(0)
  expect((await clawfs(["mount", "--no-index", store, own.mnt], asNobody)).code).toBe(0)
  try {
    const directory = source({ tool_id: "mine" }, "#!/bin/sh\necho $1; ulimit -v\n")
    chmodSync(directory, 0o755)
    cpSync(directory, join(own.path, "mine"), { recursive: true })
    const installed = await clawfs(["tool", "install", join(own.path, "mine"), "--mount", own.mnt], asNobody)
    expect([installed.code, installed.stderr]).toEqual([
      0,
      "clawfs: only root can make the file immutable; its hash is compared before it runs\n",
    ])
    const { code, stdout } = await inPlace(join(own.mnt, "tools", "bin", "mine"), ["hello"], asNobody)
    expect([code, stdout]).toEqual([0, "hello\n65536\n"])
    const status = await clawfs(["sandbox", "status", "--json", own.mnt], asNobody)
    const { controls } = JSON.parse(status.stdout) as { controls: { name: string; state: string }[] }
    const stateOf = (name: string): string | undefined => controls.find((each) => each.name === name)?.state
    expect(["namespaces", "identity", "grants", "seccomp", "memory", "cpu", "timeout"].map(stateOf)).toEqual([
      ...["enforced", "degraded", "enforced", "enforced", "degraded", "absent", "enforced"],
    ])
  } finally {
    expect((await clawfs(["unmount", own.mnt], asNobody)).code).toBe(0)
  }
})

test("mkdir is not what makes a tool: tools must be a directory", async () => {
  const other = place.set()
  await clawfs(["mount", "--no-index", other.store, other.mnt])
  try {
    await run("rmdir", [join(other.mnt, "tools")])
    mkdirSync(join(other.path, "elsewhere"))
    await run("ln", ["-s", join(other.path, "elsewhere"), join(other.mnt, "tools")])
    const { code, stderr } = await clawfs(["tool", "install", source({}), "--mount", other.mnt])
    expect([code, stderr.replaceAll(other.path, "")]).toEqual([
      65,
      "clawfs: /mnt/tools is no directory\nhint: clawfs init makes it in a new store\n",
    ])
  } finally {
    await clawfs(["unmount", other.mnt])
  }
})
