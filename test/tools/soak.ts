/** Tools by the hundred, some of them killed at random points, and what must not be left of them. */
import { spawn } from "node:child_process"
import { readFileSync, readdirSync, readlinkSync, statSync } from "node:fs"
import { join } from "node:path"
import { socketName } from "../../clawfs/runner/wire.ts"
import { newDescriptors, descriptorsOf } from "../helpers/descriptors.ts"
import { sleep, together } from "../helpers/exec.ts"
import type { Mount } from "../helpers/mount.ts"
import { Random } from "../model/random.ts"
import { leftovers, processesBelow, runTool, runnerOf, toolPath, waitingIn } from "./tools.ts"

export interface Soak {
  readonly runs: number
  /** Of those: SIGKILL for the caller, some milliseconds after it was started. */
  readonly killed: number
  readonly atOnce: number
  readonly seed: number
}

const LONGEST_MS = 40

/** Runs `hostile` so often; every run that is not killed must end as it should. */
export async function soak(mount: Mount, { runs, killed, atOnce, seed }: Soak): Promise<void> {
  const random = new Random(seed)
  for (let done = 0; done < runs;) {
    const batch = Math.min(atOnce, runs - done)
    done += batch
    await together(
      Array.from({ length: batch }, () =>
        random.below(runs) < killed ? killOne(mount, random.below(LONGEST_MS)) : runOne(mount),
      ),
    )
  }
}

async function runOne(mount: Mount): Promise<void> {
  const { code, stdout, stderr } = await runTool(mount, "hostile", ["identity"])
  if (code !== 0 || stdout !== "65534 65534 0 1\n") throw new Error(`${code ?? "?"} ${stdout}${stderr}`)
}

/** One that leaves a process of its own behind, in whatever state it is by then. */
async function killOne(mount: Mount, afterMs: number): Promise<void> {
  const victim = spawn(toolPath(mount, "hostile"), ["stay"], { stdio: "ignore" })
  const ended = new Promise((resolve) => victim.once("exit", resolve))
  await sleep(afterMs)
  victim.kill("SIGKILL")
  await ended
}

/** What a runner has while no tool runs. */
export interface Holdings {
  readonly descriptors: ReadonlyMap<number, Map<number, string>>
  readonly mounts: number
  readonly sockets: number
}

/** What the keeper mounts for a sandbox (keeper.c), which no other process shall see. */
const OWN_MOUNT = /clawfs-keeper|clawfs-base|\/given\//

/** Of the runner and its keeper, and of this mount alone: other tests mount, too. */
export async function holdings(mount: Mount): Promise<Holdings> {
  const runner = runnerOf(await mount.serverPid())
  const socket = `@${socketName(statSync(mount.mountpoint).dev)}`
  const keeper = processesBelow(runner).filter(({ comm }) => comm === "clawfs-keeper")
  const pids = [runner, ...keeper.map(({ pid }) => pid)]
  return {
    descriptors: new Map(pids.map((pid) => [pid, named(descriptorsOf(pid))])),
    mounts: lines(`/proc/${runner}/mountinfo`).filter(
      (line) => OWN_MOUNT.test(line) || line.includes(mount.mountpoint),
    ).length,
    sockets: lines("/proc/net/unix").filter((line) => line.endsWith(socket)).length,
  }
}

/** The log of events goes on in another file now and then. */
function named(descriptors: ReadonlyMap<number, string>): Map<number, string> {
  return new Map([...descriptors].map(([fd, what]) => [fd, what.replace(/events-\d+\.jsonl$/, "events")]))
}

/** What there is now that was not there before, in words; none when nothing was left. */
export async function residue(mount: Mount, before: Holdings): Promise<string[]> {
  const runner = runnerOf(await mount.serverPid())
  const after = await holdings(mount)
  const descriptors = [...after.descriptors].flatMap(([pid, now]) =>
    [...newDescriptors(before.descriptors.get(pid) ?? new Map<number, string>(), now)].map(
      ([kind, count]) => `process ${pid} has ${count} more of ${kind}`,
    ),
  )
  const isMore = after.mounts > before.mounts || after.sockets > before.sockets
  return [
    ...leftovers(runner),
    ...descriptors,
    ...(isMore ? [`${after.mounts} mounts, ${after.sockets} sockets`] : []),
    ...strangeNamespaces(runner),
    ...unfinishedFiles(mount),
  ]
}

/** Those of processes below the runner: its own, and those of processes and sandboxes that wait for a tool. */
function strangeNamespaces(runner: number): string[] {
  const waiting = waitingIn(runner)
  const others = processesBelow(runner).filter(({ pid }) => !waiting.has(pid))
  return others.flatMap(({ pid, comm }) =>
    ["user", "pid", "net", "ipc", "uts", "cgroup", ...(comm === "clawfs-ready" ? [] : ["mnt"])]
      .filter((kind) => namespaceOf(pid, kind) !== namespaceOf(runner, kind))
      .map((kind) => `${comm} ${pid} is in another ${kind} namespace`),
  )
}

function namespaceOf(pid: number, kind: string): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`)
}

function unfinishedFiles(mount: Mount): string[] {
  const runs = join(mount.mountpoint, "system", "runs")
  return readdirSync(runs).filter((name) => !name.endsWith(".json"))
}

function lines(path: string): string[] {
  return readFileSync(path, "latin1").split("\n")
}

/** Of a process, in KiB. */
export function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1])
}
