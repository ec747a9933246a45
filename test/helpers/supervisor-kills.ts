/**
 * The supervisor is killed under load: alone, or with the server. No server can be followed by another one then, so the mount
 * ends. Shared by the quick and the long test.
 */
import { expect } from "vitest"
import { AnsweredLoad } from "./answered.ts"
import { together, waitUntil, type Finished } from "./exec.ts"
import { mountClawfs, type Mount, type Status } from "./mount.ts"
import { mountsBelow, processesNaming } from "./mountinfo.ts"
import { seed } from "./reports.ts"

/** What a system call on a mount gives that nobody serves any more, and one that was waiting. */
const ENDED = /ENOTCONN|ECONNABORTED/
/** Of each load: how many it plans, and after how many the mount may end. */
const [STEPS, ENOUGH] = [2000, 60]
/** Whether something waits for a commit at the moment of a kill is chance. */
const MOST_FOR_SEALED = 20

/** One load in each directory; other ones than in other rounds. */
const loadsIn = (mount: Mount, round: number, directories: readonly string[]): AnsweredLoad[] =>
  directories.map((directory, index) => {
    const plan = { seed: seed * 1000 + 10 * round + index, steps: STEPS, largest: 40_000 }
    return new AnsweredLoad(mount, directory, `load-${round}-${index}`, plan)
  })

const inWork = (mount: Mount, round: number): AnsweredLoad[] =>
  loadsIn(mount, round, [mount.work, mount.work])

/** One in the encrypted tree, one outside of it: their requests are mixed in the journal. */
const inAndBesideWork = (mount: Mount, round: number): AnsweredLoad[] =>
  loadsIn(mount, round, [mount.work, `${mount.mountpoint}/workspaces`])

/** Lets the loads get on a little, and ends the mount below them. */
async function endUnder(
  mount: Mount,
  loads: readonly AnsweredLoad[],
  end: (status: Status) => Promise<void>,
): Promise<void> {
  // Asking takes longer than some loads.
  const status = await mount.status()
  const running = loads.map((load) => load.run())
  let isOver = false
  const over = Promise.race(running).then(() => (isOver = true))
  const isFarEnough = (): boolean => loads.every(({ answered }) => answered >= ENOUGH)
  expect(await waitUntil(() => isOver || isFarEnough(), 100_000)).toBe(true)
  await end(status)
  await over
  for (const result of await together(running)) expectEnded(result)
  await expectDead(mount)
}

function expectEnded({ code, stderr }: Finished): void {
  expect([code, stderr]).toEqual([1, expect.stringMatching(ENDED)])
}

/** The mount is there and dead, and no process is left. */
async function expectDead(mount: Mount): Promise<void> {
  expect(mountsBelow(mount.mountpoint)).toHaveLength(1)
  const { stdout } = await mount.clawfsAnyway(["status", mount.mountpoint, "--json"])
  expect(JSON.parse(stdout)).toMatchObject({ state: "dead" })
  const ofStore = (): string[] => processesNaming(mount.store).map(({ command }) => command)
  await expect.poll(ofStore).toEqual([])
}

async function expectAnswered(loads: readonly AnsweredLoad[]): Promise<void> {
  const judged = await together(loads.map((load) => load.judge()))
  expect(judged.flat().join("\n")).toBe("")
}

async function expectClean(mount: Mount): Promise<void> {
  expect((await mount.clawfs(["fsck", mount.mountpoint])).stdout).toContain("clean")
}

/** The server commits and ends by itself; a new mount has all that was answered. */
export async function killSupervisors(kills: number, limitSeconds: number): Promise<void> {
  await using mount = await mountClawfs({ index: true, limitSeconds })
  for (let kill = 0; kill < kills; kill += 1) {
    const loads = inWork(mount, kill)
    await endUnder(mount, loads, (status) => mount.killSupervisor(status))
    // Otherwise the new mount replaces the dead one.
    if (kill % 2 === 1) await mount.clawfs(["unmount", mount.mountpoint])
    await mount.mountAgain()
    await expectAnswered(loads)
  }
  expect(mount.log()).toContain("the supervisor is gone, ending")
  await expectClean(mount)
}

/** Nothing stays in the journal that a mount would need the key for. */
export async function killSupervisorsOfEncrypted(kills: number, limitSeconds: number): Promise<void> {
  await using mount = await mountClawfs({ encrypted: true, limitSeconds })
  for (let kill = 0; kill < kills; kill += 1) {
    const loads = inAndBesideWork(mount, kill)
    await endUnder(mount, loads, (status) => mount.killSupervisor(status))
    expect(await mount.tryToMount()).toMatchObject({ code: 0 })
    expect((await mount.exec("ls", [mount.work])).stderr).toContain("Required key not available")
    await mount.clawfs(["unlock", "--key-file", mount.keyFile, mount.work])
    await expectAnswered(loads)
  }
  await expectClean(mount)
}

export async function killBoth(kills: number, limitSeconds: number): Promise<void> {
  await using mount = await mountClawfs({ limitSeconds })
  for (let kill = 0; kill < kills; kill += 1) {
    const loads = inWork(mount, kill)
    await endUnder(mount, loads, (status) => mount.killBoth(status))
    await mount.mountAgain()
    await expectAnswered(loads)
  }
  await expectClean(mount)
}

/** What was answered and not committed waits, sealed: without the key nothing is mounted, with it all is there. */
export async function killBothOfEncrypted(kills: number, limitSeconds: number): Promise<void> {
  await using mount = await mountClawfs({ encrypted: true, limitSeconds })
  let [done, refused] = [0, 0]
  for (; done < kills || (refused === 0 && done < MOST_FOR_SEALED); done += 1) {
    const loads = inAndBesideWork(mount, done)
    // Requests without a pause, so that there is mostly something that waits.
    const script = `i=0; while echo $i >${mount.work}/dense; do i=$((i + 1)); done`
    const dense = mount.exec("sh", ["-c", script], { timeoutSeconds: 150 })
    await endUnder(mount, loads, (status) => mount.killBoth(status))
    await dense
    const { code } = await mount.tryToMount()
    if (code === 0) {
      await mount.unmount()
    } else {
      expect([code, mount.log()]).toEqual([
        77,
        expect.stringContaining("answered requests wait in the journal"),
      ])
      refused += 1
    }
    expect(await mount.tryToMount(["--key-file", mount.keyFile])).toMatchObject({ code: 0 })
    await expectAnswered(loads)
  }
  console.log(`${done} kills, ${refused} of them left sealed requests`)
  expect(refused).toBeGreaterThan(0)
  await expectClean(mount)
}
