/** Tools as files: executed by anything, they run in their sandbox and end as their program did. */
import { spawn } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { VaultPlace } from "../cli/vault-place.ts"
import { exec, sleep, together, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { cli, requirePrograms, skipIf } from "../helpers/requirements.ts"
import { holdings, residue, soak } from "../tools/soak.ts"
import {
  hostileProgram,
  installTool,
  lastRecord,
  newestRecord,
  leftovers,
  records,
  requireTools,
  runTool,
  runnerOf,
  toolPath,
  waitingIn,
  WAITING_PROCESSES,
} from "../tools/tools.ts"

const O_NONBLOCK = 0o4000
/** Most sandboxes that wait for calls of the same tool (docs/TOOLS.md). */
const WAITING_OF_A_TOOL = 2

let mount: Mount
beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs({ limitSeconds: 400 })
  await installTool(
    mount,
    { tool_id: "hostile", capabilities: ["process:spawn"] },
    { path: await hostileProgram(mount) },
  )
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

const script = (name: string, text: string, more: object = {}): Promise<void> =>
  installTool(
    mount,
    { tool_id: name, capabilities: ["process:spawn"], ...more },
    { script: `#!/bin/sh\n${text}` },
  )

test("stdin, stdout, stderr, arguments and the exit status are the caller's", async () => {
  await script("echo-all", 'for a; do printf "[%s]" "$a"; done; echo "oops" >&2; cat; exit 7')
  const { code, stdout, stderr } = await runTool(mount, "echo-all", ["a b", "", "--help", "ü"], {
    input: "from stdin",
  })
  expect([code, stdout, stderr]).toEqual([7, "[a b][][--help][ü]from stdin", "oops\n"])
  const viaCommand = await mount.clawfsAnyway([
    "tool",
    "run",
    `--mount=${mount.mountpoint}`,
    "echo-all",
    "--json",
    "-y",
  ])
  expect([viaCommand.code, viaCommand.stdout]).toEqual([7, "[--json][-y]"])
})

test("arguments and directories may have names that are no UTF-8", async () => {
  const shared = join(mount.work, "latin")
  mkdirSync(shared)
  const granted = `filesystem:read:${shared.replace(mount.mountpoint, "/clawfs")}`
  await script("latin", 'printf "%s\\n" "$1" "$PWD"; pwd', { capabilities: ["process:spawn", granted] })
  const name = "$(printf 'l\\351')"
  const words = `cd "$0" && mkdir "${name}" && cd "${name}" && "$1" "${name}" | od -An -tx1 -v`
  const { code, stdout } = await mount.exec("sh", ["-c", words, shared, toolPath(mount, "latin")])
  const place = Buffer.from(`${shared}/l`).toString("hex")
  expect([code, stdout.replaceAll(/\s/g, "")]).toEqual([0, `6ce90a${place}e90a${place}e90a`])
})

test("a tool stands in a pipe like any program, with megabytes through it", async () => {
  await script("upper", "tr a-z A-Z")
  const pipe = 'head -c 3000000 /dev/zero | tr "\\0" x | "$0" | "$0" | wc -c; echo "${PIPESTATUS[@]}"'
  const { stdout } = await mount.exec("bash", ["-c", pipe, toolPath(mount, "upper")])
  expect(stdout.trim()).toBe("3000000\n0 0 0 0 0")
})

test("it sees none of the caller's environment but language and terminal", async () => {
  await script("show-env", "env", { environment: { MODE: "fast" } })
  const { stdout } = await runTool(mount, "show-env", [], {
    env: { SECRET: "x", TERM: "xterm", LANG: "C.UTF-8" },
  })
  const names = stdout.split("\n").map((line) => line.split("=")[0])
  expect(names).toEqual(expect.arrayContaining(["MODE", "TERM", "LANG", "PATH", "HOME"]))
  expect(stdout).not.toMatch(/SECRET|CLAWFS|NODE|VITEST/)
})

test("it sees what it is granted, under the same name, and writes only where it may", async () => {
  const [open, closed] = [join(mount.work, "open"), join(mount.work, "closed")]
  for (const path of [open, closed]) mkdirSync(path)
  chmodSync(open, 0o777)
  writeFileSync(join(closed, "note"), "read me")
  const named = (path: string): string => path.replace(mount.mountpoint, "/clawfs")
  const capabilities = [
    ...["process:spawn", `filesystem:write:${named(open)}`, `filesystem:read:${named(closed)}`],
  ]
  await script("copy", 'cat "$1/note" > "$2/copy" && pwd && touch "$1/no"', { capabilities })
  const { code, stdout, stderr } = await runTool(mount, "copy", [closed, open], { cwd: open })
  expect([code, stdout.trim()]).toEqual([1, open])
  expect(stderr).toContain("Read-only file system")
  expect(readFileSync(join(open, "copy"), "utf8")).toBe("read me")
  const bySpecifiedName = await runTool(mount, "copy", [named(closed), named(open)])
  expect(bySpecifiedName.stderr).toContain("Read-only file system")
})

test("signals reach the program, a terminal's all of them", async () => {
  const child = spawn(toolPath(mount, "hostile"), ["wait-for-signal"], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  await waitUntil(() => out.includes("ready"), 10_000)
  child.kill("SIGTERM")
  await waitUntil(() => child.exitCode !== null, 10_000)
  expect([child.exitCode, out]).toEqual([0, "ready\n15\n"])
})

test("a script on the mount can name a tool as its interpreter", async () => {
  await script("run-it", 'echo "tool: $1 $2"; shift; cat "$1"')
  const file = join(mount.work, "job")
  writeFileSync(file, `#!${toolPath(mount, "run-it")} opt\nthe job's text\n`)
  chmodSync(file, 0o755)
  const { code, stdout, stderr } = await mount.exec(file, ["more"])
  expect([code, stderr]).toEqual([0, ""])
  expect(stdout).toContain("tool: opt /run/script/job")
  expect(stdout).toContain("the job's text")
})

test("its time over, everything of it is killed", async () => {
  await installTool(
    mount,
    { tool_id: "endless", timeout_seconds: 1, capabilities: ["process:spawn"] },
    { path: await hostileProgram(mount) },
  )
  for (const attack of ["ignore-signals", "spin"]) {
    const { code, stderr } = await runTool(mount, "endless", [attack])
    expect([code, stderr]).toEqual([124, "clawfs: endless: it took longer than 1 s and was killed\n"])
    expect(await lastRecord(mount)).toMatchObject({ reason: "TIMEOUT", exit_status: 124, state: "ended" })
  }
})

test("a killed launcher takes its tool along", async () => {
  const runner = runnerOf(await mount.serverPid())
  const child = spawn(toolPath(mount, "hostile"), ["ignore-signals"], { stdio: ["ignore", "pipe", "ignore"] })
  await new Promise((resolve) => child.stdout.once("data", resolve))
  child.kill("SIGKILL")
  expect(await waitUntil(() => leftovers(runner).length === 0, 10_000)).toBe(true)
  expect(await waitUntil(() => newestRecord(mount).state === "ended", 30_000)).toBe(true)
  expect(await lastRecord(mount)).toMatchObject({ reason: "CANCELLED" })
})

test("a killed server takes its tools along, and the next one completes their records", async () => {
  const runner = runnerOf(await mount.serverPid())
  const running = runTool(mount, "hostile", ["ignore-signals"])
  await waitUntil(() => leftovers(runner).length > 0, 10_000)
  await waitUntil(() => newestRecord(mount).state === "running", 10_000)
  await mount.killServerAndWait()
  const { code, stderr } = await running
  expect([code, stderr]).toEqual([125, "clawfs: hostile: the daemon has ended, and the tool with it\n"])
  const again = await runTool(mount, "hostile", ["identity"])
  expect(again.code).toBe(0)
  const [died] = records(mount).filter(({ reason }) => reason === "DAEMON_DIED")
  expect(died).toMatchObject({ state: "ended", tool_id: "hostile" })
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})

test("a runner that dies is replaced, and its tools end with it", async () => {
  const runner = runnerOf(await mount.serverPid())
  const running = runTool(mount, "hostile", ["ignore-signals"])
  await waitUntil(() => leftovers(runner).length > 0, 10_000)
  process.kill(runner, "SIGKILL")
  expect((await running).code).toBe(125)
  expect((await runTool(mount, "hostile", ["identity"])).code).toBe(0)
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})

test("fifty at once, while the mount is served", async () => {
  const runner = runnerOf(await mount.serverPid())
  let answered = 0
  const over = new AbortController()
  const served = (async () => {
    while (!over.signal.aborted) {
      expect((await exec("stat", [mount.work, join(mount.mountpoint, ".status")])).code).toBe(0)
      answered++
      await sleep(20)
    }
  })()
  const all = await together(Array.from({ length: 50 }, () => runTool(mount, "hostile", ["identity"])))
  over.abort()
  await served
  expect(all.map(({ code, stdout }) => `${code ?? "?"} ${stdout}`)).toEqual(
    all.map(() => "0 65534 65534 0 1\n"),
  )
  // Two processors start two hundred processes meanwhile: how long it takes is theirs, but it was answered.
  expect(answered).toBeGreaterThan(0)
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})

test("nothing stays of sixty runs, some of them killed at some point", async () => {
  // With no other tool: as many sandboxes wait for calls of this one as ever will, and have their descriptors.
  await using own = await mountClawfs({ limitSeconds: 120 })
  const program = { path: await hostileProgram(own) }
  await installTool(own, { tool_id: "hostile", capabilities: ["process:spawn"] }, program)
  await soak(own, { runs: 10, killed: 0, atOnce: 5, seed: 1 })
  const runner = runnerOf(await own.serverPid())
  const areReady = (): boolean => waitingIn(runner).size === WAITING_OF_A_TOOL * WAITING_PROCESSES
  expect(await waitUntil(() => areReady() && leftovers(runner).length === 0, 10_000)).toBe(true)
  const before = await holdings(own)
  await soak(own, { runs: 60, killed: 15, atOnce: 5, seed: 2 })
  let left: string[] = []
  await waitUntil(async () => (left = await residue(own, before)).length === 0, 10_000)
  expect(left).toEqual([])
})

test("profile: a list of what a tool calls, made in its sandbox, under which it could run", async (context) => {
  skipIf(context, requirePrograms("strace"))
  await script("profiled", 'echo to-stderr; cat "$1" /dev/null; mkdir /tmp/x; exit 3')
  const file = join(mount.scratch, "list.json")
  const words = [
    "seccomp",
    "profile",
    "-o",
    file,
    "--mount",
    mount.mountpoint,
    "profiled",
    "/etc/ld.so.cache",
  ]
  const { code, stdout, stderr } = await mount.clawfsAnyway(words)
  expect([code, stdout]).toEqual([0, ""])
  expect(stderr).toContain("to-stderr\n")
  expect(stderr).toMatch(/profiled ended with status 3, and used \d+ of the calls/)
  const { syscalls } = JSON.parse(readFileSync(file, "utf8")) as { syscalls: { name: string }[] }
  const names = syscalls.map(({ name }) => name)
  expect(names).toEqual(
    expect.arrayContaining(["execve", "openat", "mkdir", "wait4", "landlock_restrict_self"]),
  )
  expect(names).not.toContain("socket")
  expect(names).not.toContain("ptrace")
  expect((await mount.clawfs(["seccomp", "check", file])).code).toBe(0)
  const missing = await mount.clawfsAnyway([
    "seccomp",
    "profile",
    "-o",
    file,
    "--mount",
    mount.mountpoint,
    "nothing",
  ])
  expect([missing.code, missing.stderr]).toEqual([66, expect.stringContaining('no tool "nothing"')])
})

test("another user runs a tool that he can reach, and the record says who", async () => {
  const as = ["--reuid=12345", "--regid=12345", "--clear-groups", toolPath(mount, "hostile"), "identity"]
  // The test's directory is root's alone: a user gets there through a mount of his own elsewhere.
  await mount.run("chmod", ["755", join(mount.mountpoint, "..")])
  const { code, stdout } = await mount.exec("setpriv", as)
  expect([code, stdout]).toEqual([0, "65534 65534 0 1\n"])
  expect((await lastRecord(mount)).caller).toMatchObject({ uid: 12_345, gid: 12_345 })
})

test("versions stay as they were, and the one that runs can be chosen", async () => {
  const at = (text: string, version: string): Promise<void> => script("versions", `echo ${text}`, { version })
  const on = ["--mount", mount.mountpoint]
  await at("one", "1.0.0")
  await at("two", "2.0.0")
  await expect(at("other", "2.0.0")).rejects.toThrow("versions 2.0.0 is installed, with other contents")
  expect((await runTool(mount, "versions")).stdout).toBe("two\n")
  await mount.clawfs(["tool", "enable", "versions", "--use", "1.0.0", ...on])
  expect((await runTool(mount, "versions")).stdout).toBe("one\n")
  await mount.clawfs(["tool", "disable", "versions", ...on])
  const disabled = await runTool(mount, "versions")
  expect([disabled.code, disabled.stderr]).toEqual([
    126,
    "clawfs: versions: it is disabled\nhint: clawfs tool enable versions\n",
  ])
  await mount.clawfs(["tool", "remove", "versions", ...on])
  expect((await mount.clawfsAnyway(["tool", "run", `--mount=${mount.mountpoint}`, "versions"])).code).toBe(
    127,
  )
  expect((await mount.clawfs(["tool", "verify", ...on])).stdout).toBe("")
  expect((await mount.clawfs(["tool", "gc", ...on])).stdout).toBe("")
})

test("a grant that is not there keeps the tool from running, not from being found", async () => {
  await script("needy", "exit 0", { capabilities: ["filesystem:read:/clawfs/workspaces/nowhere"] })
  const { code, stderr } = await runTool(mount, "needy")
  expect([code, stderr]).toEqual([
    126,
    "clawfs: needy: the granted path /clawfs/workspaces/nowhere (read) does not exist\n",
  ])
  expect(await lastRecord(mount)).toMatchObject({ reason: "NOT_STARTED", exit_status: 126 })
})

test("clawfs tool run without a terminal passes on what is sent to it", async () => {
  const words = [cli, "tool", "run", `--mount=${mount.mountpoint}`, "hostile", "wait-for-signal"]
  const child = spawn(process.execPath, words, { detached: true, stdio: ["ignore", "pipe", "inherit"] })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  await waitUntil(() => out.includes("ready"), 20_000)
  child.kill("SIGINT")
  await waitUntil(() => child.exitCode !== null, 20_000)
  expect([child.exitCode, out]).toEqual([0, "ready\n2\n"])
})

test("clawfs tool run leaves pipes as they were: who writes to one waits", async () => {
  await script("flags", 'cat "/proc/self/fdinfo/2" >&2')
  const command = '"$0" "$@" 2>&1 | cat'
  const words = [process.execPath, cli, "tool", "run", `--mount=${mount.mountpoint}`, "flags"]
  const { stdout } = await mount.exec("sh", ["-c", command, ...words])
  expect(stdout).toMatch(/^flags:\s+0\d*1$/m)
  expect(Number.parseInt(/^flags:\s+(\d+)/m.exec(stdout)?.[1] ?? "", 8) & O_NONBLOCK).toBe(0)
})

test("clawfs tool run that is killed ends the tool", async () => {
  const runner = runnerOf(await mount.serverPid())
  const words = [cli, "tool", "run", `--mount=${mount.mountpoint}`, "hostile", "wait-for-signal"]
  const child = spawn(process.execPath, words, { detached: true, stdio: ["ignore", "pipe", "inherit"] })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  await waitUntil(() => out.includes("ready"), 20_000)
  child.kill("SIGKILL")
  expect(await waitUntil(() => leftovers(runner).length === 0, 10_000)).toBe(true)
  expect(await lastRecord(mount)).toMatchObject({ reason: "CANCELLED" })
})

test("who asks for JSON in a directory that is gone is answered", async () => {
  const ask = 'mkdir "$2" && cd "$2" && rmdir "$2" && exec "$0" "$1" tool run --json "$3" hostile identity'
  const words = [process.execPath, cli, join(mount.work, "gone"), `--mount=${mount.mountpoint}`]
  const { code, stdout } = await mount.exec("sh", ["-c", ask, ...words])
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { code: 0, reason: "EXITED" }])
})

test("a tool with more memory runs after tools with less, whatever was made ahead for those", async () => {
  await script("small", "exit 3", { memory_limit_mb: 16 })
  await script("large", "exit 4", { memory_limit_mb: 128 })
  const codes: (number | null)[] = []
  // As often as all that was made ahead for other limits is used up.
  for (const name of ["small", "small", "small", "small", "large", "small", "large"])
    codes.push((await runTool(mount, name)).code)
  expect(codes).toEqual([3, 3, 3, 3, 4, 3, 4])
})

test("a changed binary does not run", async () => {
  await script("pinned", "echo fine")
  const binary = join(mount.mountpoint, "tools", "binaries", "pinned-v1.0.0")
  expect((await mount.exec("sh", ["-c", 'echo "echo evil" >> "$0"', binary])).code).not.toBe(0)
  expect((await mount.exec("rm", ["-f", binary])).code).not.toBe(0)
  expect((await runTool(mount, "pinned")).stdout).toBe("fine\n")
  await mount.run("chattr", ["-i", binary])
  await mount.run("sh", ["-c", 'echo "echo evil" >> "$0"', binary])
  const { code, stdout, stderr } = await runTool(mount, "pinned")
  expect([code, stdout]).toEqual([126, ""])
  expect(stderr).toContain("is not what was installed")
  const verified = await mount.clawfsAnyway(["tool", "verify", "--mount", mount.mountpoint])
  expect([verified.code, verified.stdout]).toEqual([
    1,
    'the binary of "pinned" 1.0.0 is not what was installed\n',
  ])
})

test("what is required and not there keeps tools from running, and the status says so", async () => {
  const policy = join(mount.mountpoint, "system", "sandbox.json")
  writeFileSync(policy, JSON.stringify({ required: ["apparmor"] }))
  const { code, stderr } = await runTool(mount, "hostile", ["identity"])
  expect([code, stderr]).toEqual([
    126,
    "clawfs: hostile: this machine does not enforce what is required: apparmor\nhint: clawfs sandbox status tells why\n",
  ])
  expect((await mount.clawfsAnyway(["sandbox", "status", mount.mountpoint])).code).toBe(1)
  await mount.run("rm", [policy])
  const status = await mount.clawfs(["sandbox", "status", "--json", mount.mountpoint])
  expect(JSON.parse(status.stdout)).toMatchObject({ lacking: [], running: 0 })
})

test("a mount is not taken away under a tool, and a tool of another mount does not keep it", async () => {
  const running = spawn(toolPath(mount, "hostile"), ["wait-for-end"], { stdio: ["ignore", "pipe", "ignore"] })
  await new Promise((resolve) => running.stdout.once("data", resolve))
  const busy = await mount.clawfsAnyway(["unmount", mount.mountpoint])
  expect([busy.code, busy.stderr]).toEqual([
    75,
    `clawfs: ${mount.mountpoint} is in use by 1 tool\nhint: wait for them, or use --lazy\n`,
  ])
  {
    await using other = await mountClawfs()
    await other.unmount()
  }
  running.kill("SIGTERM")
  await waitUntil(() => running.exitCode !== null, 30_000)
  expect(running.exitCode).toBe(143)
})

test("a tool on a terminal reads it, knows its size, and is ended by its Ctrl-C", async (context) => {
  skipIf(context, requirePrograms("script"))
  await script("ask", 'read line; stty size; test -t 0 && test -t 1 && echo "tty $line"; exec sleep 100')
  const command = `stty cols 77 rows 11; exec ${toolPath(mount, "ask")}`
  const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  child.stdin.write("hello\n")
  expect(await waitUntil(() => out.includes("tty hello"), 10_000)).toBe(true)
  expect(out).toContain("11 77")
  child.stdin.write("\x03")
  expect(await waitUntil(() => child.exitCode !== null, 10_000)).toBe(true)
  expect(child.exitCode).toBe(130)
})

test("no tool runs when what the vault has signed was changed", async () => {
  await using place = await VaultPlace.make()
  await place.unlock()
  await using own = await mountClawfs({ env: { ...process.env, CLAWFS_VAULT: place.directory } })
  const install = (name: string) =>
    installTool(own, { tool_id: name, capabilities: ["process:spawn"] }, { script: "#!/bin/sh\necho hello" })
  const tools = join(own.mountpoint, "tools")
  const sign = async () => (await place.run(["sign", "tools", tools, ...place.passphrase])).code
  await install("one")
  expect(await sign()).toBe(0)
  expect((await runTool(own, "one", [])).stdout).toBe("hello\n")
  await install("two")
  const { code, stdout, stderr } = await runTool(own, "one", [])
  expect([code, stdout]).toEqual([126, ""])
  expect(stderr).toContain("is not as it was signed: changed registry.json")
  expect((await place.run(["verify", "tools", tools])).code).toBe(1)
  expect(await sign()).toBe(0)
  expect((await runTool(own, "two", [])).stdout).toBe("hello\n")
})
