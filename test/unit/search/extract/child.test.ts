/** The extractor's process: killed when it is late, replaced when it dies, confined, and gone with its parent. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test, vi } from "vitest"
import { DEFAULT_LIMITS, type Limits } from "../../../../clawfs/search/extract/limits.ts"
import { ExtractorChild } from "../../../../clawfs/search/extract/extractor-child.ts"
import { hasLibseccomp } from "../../../../clawfs/sys/libseccomp.ts"
import { program } from "../../../helpers/programs.ts"
import { skipIf } from "../../../helpers/requirements.ts"
import { temporary } from "../../support/temporary.ts"
import { childProgram, extract, extractor } from "../support/extractor.ts"

const page = Buffer.from("<html><p>Hello")
const answer = { text: "Hello\n" }

const isThere = (pid: number): boolean => {
  if (!existsSync(`/proc/${pid}/stat`)) return false
  return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1"))
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(10)
}

describe("a process that", () => {
  test("is late is killed, and the next file gets another", async () => {
    await using own = extractor({ timeoutMs: 500 })
    expect(await extract(own, "a", page)).toMatchObject(answer)
    const first = own.pid ?? 0
    process.kill(first, "SIGSTOP")
    expect(await extract(own, "a", page)).toEqual({ state: "timed-out", reason: "not read within 0.5 s" })
    expect(isThere(first)).toBe(false)
    expect(await extract(own, "a", page)).toMatchObject(answer)
    expect(own.pid).not.toBe(first)
  })

  test("dies in the middle costs that file only", async () => {
    await using own = extractor()
    expect(await extract(own, "a", page)).toMatchObject(answer)
    process.kill(own.pid ?? 0, "SIGSTOP")
    const [lost, next, other] = [extract(own, "a", page), extract(own, "a", page), extract(own, "a", page)]
    await sleep(20)
    process.kill(own.pid ?? 0, "SIGKILL")
    expect(await lost).toEqual({ state: "crashed", reason: "the extractor's process ended with SIGKILL" })
    expect(await next).toMatchObject(answer)
    expect(await other).toMatchObject(answer)
  })

  test("died between two files is noticed", async () => {
    await using own = extractor()
    await extract(own, "a", page)
    const first = own.pid ?? 0
    process.kill(first, "SIGKILL")
    await until(() => !isThere(first))
    await sleep(50)
    expect(await extract(own, "a", page)).toMatchObject(answer)
  })

  test("needs more memory than allowed ends with a state", async () => {
    await using own = extractor({ maxHeapMib: 64, maxMemoryBytes: 200 << 20 })
    const huge = Buffer.from(`<html>${"<p>äöü ".repeat(7_000_000)}`)
    expect(await extract(own, "a.html", huge)).toHaveProperty("state")
    expect(await extract(own, "a", page)).toMatchObject(answer)
  })

  test("has served its number of files is replaced", async () => {
    await using own = extractor({ maxFilesPerProcess: 2 })
    await extract(own, "a", page)
    const first = own.pid
    await extract(own, "a", page)
    expect(await extract(own, "a", page)).toMatchObject(answer)
    expect(own.pid).not.toBe(first)
  })

  test("has nothing to do ends, whatever the clock says", async () => {
    await using own = extractor({ idleMs: 50 })
    const clock = vi.spyOn(Date, "now").mockReturnValue(0)
    try {
      await extract(own, "a", page)
      const first = own.pid ?? 0
      await until(() => !isThere(first))
    } finally {
      clock.mockRestore()
    }
    expect(own.pid).toBeUndefined()
    expect(await extract(own, "a", page)).toMatchObject(answer)
  })
})

test("it has an empty environment, the lowest priority and hard limits", async () => {
  await using own = extractor()
  await extract(own, "a", page)
  const proc = `/proc/${own.pid ?? 0}`
  expect(readFileSync(`${proc}/environ`, "utf8")).toBe("")
  const stat = readFileSync(`${proc}/stat`, "latin1")
  // Field 19 of man 5 proc, the 17th behind the name.
  expect(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]).toBe("19")
  const limits = readFileSync(`${proc}/limits`, "utf8")
  expect(limits).toMatch(new RegExp(`Max data size +${DEFAULT_LIMITS.maxMemoryBytes} `))
  expect(limits).toMatch(/Max file size +0 /)
  expect(limits).toMatch(/Max core file size +0 /)
})

test("it has its list of system calls, and can gain no privileges", async (context) => {
  skipIf(context, hasLibseccomp ? undefined : "needs libseccomp")
  await using own = extractor()
  await extract(own, "a", page)
  const status = readFileSync(`/proc/${own.pid ?? 0}/status`, "latin1")
  expect(status).toMatch(/^Seccomp:\s+2$/m)
  expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
})

test("it ends when its requests end", async () => {
  const given = JSON.stringify({ parent: process.pid, limits: DEFAULT_LIMITS })
  const child = spawn(process.execPath, [childProgram(), given], {
    stdio: ["pipe", "ignore", "ignore", "pipe"],
  })
  const ended = once(child, "exit")
  await once(child.stdio[3] ?? child, "data")
  child.stdin?.end()
  expect(await ended).toEqual([0, null])
})

test("it does not outlive its parent, even when it is busy", async () => {
  const parent = spawn(
    process.execPath,
    [program("test/unit/search/support/orphan-parent.ts"), childProgram()],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  )
  const [line] = (await once(parent.stdout, "data")) as [Buffer]
  const pid = Number(line.toString())
  expect(isThere(pid)).toBe(true)
  // A stopped process sees no end of a pipe, as a busy one does not.
  process.kill(pid, "SIGSTOP")
  parent.kill("SIGKILL")
  await until(() => !isThere(pid))
})

describe("a program that", () => {
  const prefix = (json: number, body: number): string =>
    `Buffer.from(Uint32Array.of(${json}, ${body}).buffer)`
  const ready = `const put = (b) => fs.writeSync(3, b); const say = (head) => { const j = Buffer.from(JSON.stringify(head)); put(Buffer.from(Uint32Array.of(j.length, 0).buffer)); put(j) }; say({ ready: true });`

  async function run(source: string, limits: Partial<Limits> = {}): Promise<unknown> {
    using place = temporary()
    const file = join(place.path, "child.mjs")
    writeFileSync(
      file,
      `import fs from "node:fs"; ${ready} fs.readSync(0, Buffer.alloc(10)); ${source}; setInterval(() => {}, 1000)`,
    )
    await using child = new ExtractorChild(
      { ...DEFAULT_LIMITS, timeoutMs: 3000, ...limits },
      { program: file },
    )
    return await child.read("html", page)
  }

  test.each([
    ["sends nothing but noise", "put(Buffer.alloc(100, 255))"],
    ["sends what is too long", `put(${prefix(10, 0x7fff_ffff)})`],
    ["sends what is no JSON", `put(${prefix(3, 0)}); put("abc")`],
    ["sends a state that there is not", `say({ state: "fine", reason: "" })`],
    ["sends a text of no kind", `say({ kind: "poem", extractor: "x", title: "" })`],
    ["sends null", `say(null)`],
  ])("%s is no danger", async (_what, source) => {
    expect(await run(source)).toMatchObject({ state: "crashed" })
  })

  test("can't be started is a fault, not a file's state", async () => {
    await using child = new ExtractorChild(DEFAULT_LIMITS, { program: "/nonexistent/child.js" })
    await expect(child.read("html", page)).rejects.toThrow(
      "cannot start the extractor's process: exit code 1",
    )
  })
})
