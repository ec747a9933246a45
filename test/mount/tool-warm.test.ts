/** Sandboxes that are made before their tool is called: one for each call, of what is so when it comes, and none too long. */
import { chmodSync, mkdirSync, readdirSync, renameSync, rmdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { MOST_OF_A_TOOL } from "../../clawfs/runner/warm.ts"
import type { ToolAnswer } from "../../schema/tool-answer.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import {
  MOST_WARM,
  WAITING_PROCESSES,
  installTool,
  leftovers,
  requireTools,
  runTool,
  runnerOf,
  waitingIn,
} from "../tools/tools.ts"

let mount: Mount
let shared: string
beforeAll(async () => {
  if (requireTools() !== undefined) return
  mount = await mountClawfs()
  shared = join(mount.work, "shared")
  mkdirSync(shared)
  await install("lister")
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

function install(name: string, more: object = {}): Promise<void> {
  const granted = `filesystem:write:${shared.replace(mount.mountpoint, "/clawfs")}`
  const manifest = { tool_id: name, capabilities: ["process:spawn", granted], ...more }
  return installTool(mount, manifest, {
    script: '#!/bin/sh\nls "$1"; ls /tmp/mine 2>/dev/null; touch /tmp/mine; echo "$2 $TERM $PWD"\n',
  })
}

const runner = async (): Promise<number> => runnerOf(await mount.serverPid())
const waiting = async (): Promise<ReadonlySet<number>> => waitingIn(await runner())
const untilWaiting = async (count: number): Promise<ReadonlySet<number>> => {
  await expect.poll(async () => (await waiting()).size).toBe(WAITING_PROCESSES * count)
  return await waiting()
}

async function call(name: string, ...args: string[]): Promise<ToolAnswer> {
  const words = ["tool", "run", "--json", `--mount=${mount.mountpoint}`, name, ...args]
  return JSON.parse((await mount.clawfsAnyway(words)).stdout) as ToolAnswer
}

test("a tool that has run has some waiting, and each serves one call", async () => {
  await runTool(mount, "lister", [shared])
  const first = await untilWaiting(MOST_OF_A_TOOL)
  const used = new Set<number>()
  for (const word of ["one", "two", "three"]) {
    const { pid, stdout } = await call("lister", shared, word)
    expect(stdout.data).toMatch(new RegExp(`^${word} \\S* /tmp\n$`))
    used.add(pid)
  }
  expect(used.size).toBe(3)
  expect([...used].filter((pid) => first.has(pid)).length).toBeGreaterThan(0)
})

test("the caller's directory, environment and descriptors are those of the call", async () => {
  await untilWaiting(MOST_OF_A_TOOL)
  chmodSync(shared, 0o777)
  const { stdout } = await runTool(mount, "lister", [".", "word"], { cwd: shared, env: { TERM: "vt52" } })
  expect(stdout).toBe(`word vt52 ${shared}\n`)
})

test("what was granted and has been replaced since is not used", async () => {
  await untilWaiting(MOST_OF_A_TOOL)
  renameSync(shared, `${shared}-old`)
  mkdirSync(shared)
  writeFileSync(join(shared, "new"), "")
  expect((await runTool(mount, "lister", [shared, "x"])).stdout).toMatch(/^new\nx /)
  rmdirSync(`${shared}-old`)
})

test("another version, and a tool that is disabled, too", async () => {
  await untilWaiting(MOST_OF_A_TOOL)
  await installTool(
    mount,
    { tool_id: "lister", version: "2.0.0", capabilities: ["process:spawn"] },
    { script: '#!/bin/sh\necho second; ls "$1" 2>&1\n' },
  )
  expect((await runTool(mount, "lister", [shared])).stdout).toMatch(/^second\nls: .*No such file/)
  await mount.clawfs(["tool", "disable", "lister", "--mount", mount.mountpoint])
  expect((await runTool(mount, "lister")).code).toBe(126)
  await mount.clawfs(["tool", "enable", "lister", "--use", "1.0.0", "--mount", mount.mountpoint])
  expect((await runTool(mount, "lister", [shared])).stdout).toMatch(/^new\n/)
})

test("one that is killed while it waits is missed by nobody", async () => {
  // The outer one of each; the others go with it.
  const outer = [...(await untilWaiting(MOST_OF_A_TOOL))].filter((_, at) => at % WAITING_PROCESSES === 0)
  for (const pid of outer) process.kill(pid, "SIGKILL")
  expect((await runTool(mount, "lister", [shared])).code).toBe(0)
  const own = await runner()
  expect(await waitUntil(() => leftovers(own).length === 0, 10_000)).toBe(true)
})

test("so many wait and no more, of several tools", async () => {
  for (const name of ["second", "third"]) {
    await install(name)
    await runTool(mount, name, [shared])
  }
  await untilWaiting(MOST_WARM)
  await runTool(mount, "second", [shared])
  await untilWaiting(MOST_WARM)
})

test("they keep no mount: unmounted by anybody, it ends, and they with it", async () => {
  const own = await runner()
  await untilWaiting(MOST_WARM)
  await mount.run("umount", [mount.mountpoint])
  const isOver = (): boolean => !readdirSync("/proc").includes(String(own))
  expect(await waitUntil(isOver, 60_000)).toBe(true)
  await mount.mountAgain()
  expect((await runTool(mount, "lister", [shared])).code).toBe(0)
})
