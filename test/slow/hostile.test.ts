/** The catalogue of attacks in the ways of running tools that test/mount/hostile-tools.test.ts leaves to chance, or out. */
import { cpSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { repository } from "../helpers/programs.ts"
import { skipIf } from "../helpers/requirements.ts"
import { ATTACKS, expectHeld, expectTold, listening, prepareGround } from "../tools/attacks.ts"
import { ebpfControl } from "../tools/events.ts"
import { lastRecord, leftovers, requireTools, runTool, runnerOf, waitingIn } from "../tools/tools.ts"

/** The program without the monitor's object. */
function unwatched(directory: string): string {
  for (const name of ["dist", "bpf", "package.json"])
    cpSync(join(repository, name), join(directory, name), { recursive: true })
  rmSync(join(directory, "bpf", "monitor.bpf.o"), { force: true })
  rmSync(join(directory, "dist", "bpf", "monitor.bpf.o"), { force: true })
  symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"))
  return join(directory, "dist", "clawfs", "cli", "main.js")
}

/** Makes every attack, each after `before`; the runs by attack. */
async function attackAll(mount: Mount, before: () => Promise<unknown>): Promise<[string, string][]> {
  const server = await listening()
  try {
    const ground = await prepareGround(mount, server.port)
    const runs: [string, string][] = []
    for (const [attack, argument] of ATTACKS) {
      await before()
      expectHeld(attack, await runTool(mount, "hostile", [attack, argument?.(ground) ?? ""]))
      runs.push([attack, (await lastRecord(mount)).run_id])
    }
    const runner = runnerOf(await mount.serverPid())
    expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
    return runs
  } finally {
    server.close()
  }
}

const nothing = (): Promise<void> => Promise.resolve()

async function expectEvents(mount: Mount, runs: readonly [string, string][]): Promise<void> {
  if ((await ebpfControl(mount)).state !== "absent") await expectTold(mount, runs)
}

test("in a sandbox that is made for the call", async (context) => {
  skipIf(context, requireTools())
  await using mount = await mountClawfs({ limitSeconds: 600 })
  await mount.run("chmod", ["u+w", join(mount.mountpoint, "system")])
  writeFileSync(join(mount.mountpoint, "system", "sandbox.json"), JSON.stringify({ waiting: 0 }))
  const none = async (): Promise<void> => expect(waitingIn(runnerOf(await mount.serverPid())).size).toBe(0)
  await expectEvents(mount, await attackAll(mount, none))
})

test("in a sandbox that has been waiting", async (context) => {
  skipIf(context, requireTools())
  await using mount = await mountClawfs({ limitSeconds: 600 })
  const runner = async (): Promise<number> => runnerOf(await mount.serverPid())
  const some = async (): Promise<void> => {
    const pid = await runner()
    expect(await waitUntil(() => waitingIn(pid).size > 0, 10_000)).toBe(true)
  }
  await expectEvents(mount, await attackAll(mount, some))
})

test("where nobody watches", async (context) => {
  skipIf(context, requireTools())
  // Also gone when the mount is: it lies on its scratch directory.
  await using other = await mountClawfs({ limitSeconds: 600 })
  await using mount = await mountClawfs({ limitSeconds: 600, cli: unwatched(other.scratch) })
  const runs = await attackAll(mount, nothing)
  expect(runs.length).toBe(ATTACKS.length)
  expect((await ebpfControl(mount)).state).toBe("absent")
})
