/** Tools by the thousand. CLAWFS_TEST_RUNS says how many of those in a row (10,000), CLAWFS_TEST_SEED repeats a run. */
import { spawn } from "node:child_process"
import { expect, test } from "vitest"
import { together, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { program } from "../helpers/programs.ts"
import { skipIf } from "../helpers/requirements.ts"
import { holdings, residentKib, residue, soak } from "../tools/soak.ts"
import { hostileProgram, installTool, requireTools, runTool, runnerOf } from "../tools/tools.ts"

const runs = Number(process.env["CLAWFS_TEST_RUNS"] ?? 10_000)
const seed = Number(process.env["CLAWFS_TEST_SEED"] ?? Math.floor(Date.now() / 86_400_000))

async function mounted(): Promise<Mount> {
  const mount = await mountClawfs({ limitSeconds: 1800 })
  const manifest = { tool_id: "hostile", capabilities: ["process:spawn"] }
  await installTool(mount, manifest, { path: await hostileProgram(mount) })
  await soak(mount, { runs: 20, killed: 0, atOnce: 4, seed })
  return mount
}

test("nothing stays of a thousand runs, two hundred of them killed at random points", async (context) => {
  skipIf(context, requireTools())
  await using mount = await mounted()
  const before = await holdings(mount)
  await soak(mount, { runs: Math.min(runs, 1000), killed: Math.min(runs, 1000) / 5, atOnce: 6, seed })
  let left: string[] = []
  await waitUntil(async () => (left = await residue(mount, before)).length === 0, 20_000)
  expect(left).toEqual([])
})

test("many runs in a row take no more memory in the end than early on", async (context) => {
  skipIf(context, requireTools())
  await using mount = await mounted()
  const runner = runnerOf(await mount.serverPid())
  // V8 takes some hundred runs to find the size of its heap.
  const first = Math.max(runs / 10, Math.min(500, runs / 2))
  await soak(mount, { runs: first, killed: 0, atOnce: 4, seed })
  const early = residentKib(runner)
  await soak(mount, { runs: runs - first, killed: 0, atOnce: 4, seed })
  const late = residentKib(runner)
  console.log(`the runner had ${early} KiB after ${first} runs, ${late} KiB after ${runs}`)
  expect(runnerOf(await mount.serverPid())).toBe(runner)
  expect(late).toBeLessThan(early * 1.15 + 8192)
})

test("the mount serves without a stall while fifty tools are started at once, again and again", async (context) => {
  skipIf(context, requireTools())
  await using mount = await mounted()
  // Served in the same way, by a process that has nothing to do with tools.
  await using other = await mountClawfs({ limitSeconds: 1800 })
  const prober = spawn(process.execPath, [program("test/tools/prober.ts"), mount.work, other.work], {
    stdio: ["pipe", "pipe", "inherit"],
    // The kernel's scheduler shares between sessions: in this one it would wait for the callers of fifty tools.
    detached: true,
  })
  let out = ""
  prober.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  const ended = new Promise((resolve) => prober.once("close", resolve))
  for (let round = 0; round < 5; round += 1)
    await together(Array.from({ length: 50 }, () => runTool(mount, "hostile", ["identity"])))
  prober.stdin.end()
  await ended
  const longest = JSON.parse(out) as { tested: number; other: number; count: number }
  console.log(
    `longest of ${longest.count} questions: ${longest.tested} ms, on another mount ${longest.other} ms`,
  )
  // Fifty programs on a few processors make every process wait: what they make the other mount wait is not this one's doing.
  expect(longest.tested).toBeLessThan(50 + longest.other)
})
