/** Whatever of a runner is killed at whatever moment of a sandbox's start, no process of it stays. */
import { readFileSync, readdirSync } from "node:fs"
import { afterAll, beforeEach, expect, test } from "vitest"
import { removeStaleGroups } from "../../clawfs/runner/cgroup.ts"
import { exec, sleep, waitUntil } from "../helpers/exec.ts"
import { program } from "../helpers/programs.ts"
import { skipIf } from "../helpers/requirements.ts"
import { requireTools } from "../tools/tools.ts"

/** Known by this word, which no other process has. */
const word = `killed-runner-${process.pid}`

function remaining(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const line = commandLine(pid)
      return line.includes(word) && !line.includes("dying-runner") ? [`${pid} ${line}`] : []
    })
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")
  } catch {
    // It has just ended.
    return ""
  }
}

/** Each round catches six sandboxes, at other points of their start. */
const rounds = Number(process.env["CLAWFS_TEST_RUNS"] ?? 30) / 6
const delays = (count: number): number[] => Array.from({ length: count }, (_, at) => (at % 20) / 2)

beforeEach((context) => skipIf(context, requireTools()))
afterAll(async () => removeStaleGroups())

test("the runner alone: its keeper ends all of them at once", async () => {
  const dying = program("test/tools/dying-runner.ts")
  for (const delay of delays(rounds)) {
    await exec(process.execPath, [dying, "runner", String(delay), word])
    const isClean = await waitUntil(() => remaining().length === 0, 30_000)
    expect(isClean ? [] : [delay, ...remaining()]).toEqual([])
  }
})

test.each(["its keeper", "both"])(
  "%s: what stays is ended by the next runner at the latest",
  async (what) => {
    const dying = program("test/tools/dying-runner.ts")
    for (const delay of delays(rounds / 2))
      await exec(process.execPath, [dying, what.split(" ").at(-1) ?? "", String(delay), word])
    // What the kernel kills it has killed by then; the rest is what this is about.
    await sleep(100)
    await removeStaleGroups()
    expect(await waitUntil(() => remaining().length === 0, 30_000)).toBe(true)
  },
)
