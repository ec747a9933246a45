/** Tools that are called by programs: with one JSON answer, and by files for those that can execute nothing. */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import type { ToolAnswer } from "../../schema/tool-answer.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import {
  installTool,
  lastRecord,
  leftovers,
  newestRecord,
  records,
  requireTools,
  runnerOf,
} from "../tools/tools.ts"

const MIB = 1024 * 1024
let mount: Mount
let invoke: string

beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs({ limitSeconds: 300 })
  await installTool(
    mount,
    { tool_id: "shell", capabilities: ["process:spawn"], timeout_seconds: 20, cpu_quota_percent: 100 },
    { script: '#!/bin/sh\neval "$1"\n' },
  )
  await installTool(
    mount,
    { tool_id: "short", capabilities: ["process:spawn"], timeout_seconds: 1 },
    { script: "#!/bin/sh\nsleep 100\n" },
  )
  invoke = join(mount.mountpoint, "tools", "shell", "invoke")
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

describe("clawfs tool run --json", () => {
  const call = async (name: string, ...args: string[]): Promise<[number | null, ToolAnswer]> => {
    const words = ["tool", "run", `--mount=${mount.mountpoint}`, "--json", name, ...args]
    const { code, stdout, stderr } = await mount.clawfsAnyway(words, { input: "from stdin" })
    expect(stderr).toBe("")
    return [code, JSON.parse(stdout) as ToolAnswer]
  }

  test("what it wrote, how it ended, and which run it was", async () => {
    const [code, answer] = await call("shell", 'cat; printf "\\377" >&2; exit 7')
    expect([code, answer]).toEqual([
      7,
      {
        ...{ format: 1, code: 0, error: "SUCCESS", message: "", reason: "EXITED", exit_code: 7, signal: 0 },
        ...{
          run_id: (await lastRecord(mount)).run_id,
          pid: expect.any(Number) as number,
          runtime_ns: expect.any(Number) as number,
        },
        stdout: { encoding: "utf8", data: "from stdin", truncated: false },
        stderr: { encoding: "base64", data: "/w==", truncated: false },
      },
    ])
    expect(answer.pid).toBeGreaterThan(1)
    expect((await call("shell", "kill -TERM $$"))[1]).toMatchObject({ code: 0, exit_code: 143, signal: 15 })
  })

  test("the codes of the specification", async () => {
    const [timeout] = [await call("short")]
    expect(timeout).toMatchObject([124, { code: 6, error: "ETIMEOUT", reason: "TIMEOUT" }])
    expect(await call("nothing")).toMatchObject([127, { code: 3, error: "ENOENT", run_id: null, pid: 0 }])
    await mount.clawfs(["tool", "disable", "short", "--mount", mount.mountpoint])
    expect(await call("short")).toMatchObject([
      126,
      { code: 4, error: "EPERM", message: "it is disabled", hint: "clawfs tool enable short" },
    ])
  })

  test("a flood is cut off, at a whole character", async () => {
    const [, { stdout }] = await call("shell", `yes ä | head -c ${3 * MIB}`)
    expect([stdout.encoding, stdout.truncated]).toEqual(["utf8", true])
    expect(Buffer.byteLength(stdout.data)).toBeGreaterThan(MIB - 4)
    expect(Buffer.byteLength(stdout.data)).toBeLessThanOrEqual(MIB)
  })
})

describe("a request that is a file", () => {
  const answerPath = (id: string): string => join(invoke, `${id}.answer.json`)
  const answered = async (id: string): Promise<ToolAnswer> => {
    expect(await waitUntil(() => existsSync(answerPath(id)), 20_000)).toBe(true)
    return JSON.parse(readFileSync(answerPath(id), "utf8")) as ToolAnswer
  }
  const ask = (id: string, request: unknown): Promise<ToolAnswer> => {
    writeFileSync(join(invoke, `${id}.json`), typeof request === "string" ? request : JSON.stringify(request))
    return answered(id)
  }

  test("is answered beside it, for who has asked", async () => {
    const answer = await ask("one", { argv: ["cat; echo $LANG"], envp: ["LANG=de", "X=1"], stdin: "hello " })
    expect(answer).toMatchObject({
      ...{ code: 0, exit_code: 0, reason: "EXITED" },
      stdout: { encoding: "utf8", data: "hello de\n" },
    })
    expect(existsSync(join(invoke, "one.json"))).toBe(false)
    expect(statSync(answerPath("one")).mode & 0o777).toBe(0o600)
    const as = ["--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c"]
    await mount.run("chmod", ["755", join(mount.mountpoint, "..")])
    const words = `umask 022; echo '{"argv":["id -u"]}' >${join(invoke, "other.json")}`
    await mount.run("setpriv", [...as, words])
    expect((await answered("other")).stdout.data).toBe("65534\n")
    expect((await lastRecord(mount)).caller).toMatchObject({ uid: 12_345, gid: 12_345 })
    const { uid, mode } = statSync(answerPath("other"))
    expect([uid, mode & 0o777]).toEqual([12_345, 0o600])
  })

  test.each([
    ["empty", "", "not JSON"],
    ["broken", '{"argv":', "not JSON"],
    ["no-object", "[]", "the request: "],
    ["unknown", '{"arguments":[]}', "arguments"],
    ["many-words", { argv: Array.from({ length: 65 }, () => "x") }, "argv"],
    ["long-word", { argv: ["x".repeat(4097)] }, "argv.0"],
    ["detached", { flags: 1 }, "can't be detached"],
    ["other-program", { executable: "/bin/sh" }, "executable"],
    ["nul", { argv: ["a\u0000b"] }, "NUL"],
    ["huge", " ".repeat(MIB + 1), "longer than 1 MiB"],
  ])("%s: code 5, and nothing has run", async (id, request, words) => {
    const before = records(mount).filter(({ reason }) => reason === "EXITED").length
    expect(await ask(id, request)).toMatchObject({
      code: 5,
      message: expect.stringContaining(words) as string,
    })
    expect(records(mount).filter(({ reason }) => reason === "EXITED").length).toBe(before)
  })

  test("what does not say who has asked is refused: links, directories, files that others may write to", async () => {
    const beside = join(mount.work, "request")
    writeFileSync(beside, '{"argv":["echo no"]}')
    linkSync(beside, join(mount.work, "second"))
    renameSync(join(mount.work, "second"), join(invoke, "linked.json"))
    symlinkSync(beside, join(invoke, ".link"))
    renameSync(join(invoke, ".link"), join(invoke, "soft.json"))
    writeFileSync(join(invoke, ".open"), '{"argv":["echo no"]}')
    chmodSync(join(invoke, ".open"), 0o666)
    renameSync(join(invoke, ".open"), join(invoke, "open.json"))
    mkdirSync(join(invoke, ".dir"))
    renameSync(join(invoke, ".dir"), join(invoke, "directory.json"))
    const said = await Promise.all(["linked", "soft", "open", "directory"].map(answered))
    expect(said.map(({ code, message }) => [code, message])).toEqual([
      [4, "the request has another name, too"],
      [5, "the request is a link"],
      [4, "others may write to the request"],
      [5, "the request is no file"],
    ])
    expect(readFileSync(beside, "utf8")).toBe('{"argv":["echo no"]}')
  })

  test("a hundred at once are each answered once, by what they asked for", async () => {
    const ids = Array.from({ length: 100 }, (_, n) => `many-${n}`)
    const before = records(mount).length
    const script =
      'for i in $(seq 0 99); do echo "{\\"argv\\":[\\"echo $i\\"]}" >"$0/many-$i.json" & done; wait'
    await mount.run("sh", ["-c", script, invoke])
    expect(await waitUntil(() => ids.every((id) => existsSync(answerPath(id))), 90_000)).toBe(true)
    const said = await Promise.all(ids.map(answered))
    expect(said.map(({ stdout }) => stdout.data)).toEqual(ids.map((_, n) => `${n}\n`))
    expect(records(mount).length).toBe(before + 100)
    const runner = runnerOf(await mount.serverPid())
    expect(await waitUntil(() => leftovers(runner).length === 0, 10_000)).toBe(true)
    expect(readdirSync(invoke).filter((name) => name.startsWith("."))).toEqual([])
  })

  test("one under way when the daemon is killed is answered by the next, and one that waited is done", async () => {
    writeFileSync(join(invoke, "dying.json"), '{"argv":["sleep 15"]}')
    expect(await waitUntil(() => existsSync(join(invoke, ".dying.taken")), 10_000)).toBe(true)
    expect(await waitUntil(() => newestRecord(mount).state === "running", 10_000)).toBe(true)
    process.kill(runnerOf(await mount.serverPid()), "SIGKILL")
    expect(await answered("dying")).toMatchObject({ code: 7, error: "EINTERNAL", run_id: null })
    expect((await ask("after", { argv: ["echo fine"] })).stdout.data).toBe("fine\n")
  })

  test("goes with the tool", async () => {
    await mount.clawfs(["tool", "remove", "shell", "--mount", mount.mountpoint])
    expect(existsSync(join(mount.mountpoint, "tools", "shell"))).toBe(false)
  })
})
