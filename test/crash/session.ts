/**
 * What runs below strace: serves a store and lets loads work on the mount, phase by phase.
 *
 *   node build/test-programs/test/crash/session.js '{ "cli": …, "store": …, "mountpoint": …, "marks": …, "keys": …, "phases": […] }'
 */
import { spawn, type ChildProcess } from "node:child_process"
import { join } from "node:path"
import { together, waitUntil } from "../helpers/exec.ts"
import { detachMounts, mountsBelow } from "../helpers/mountinfo.ts"
import { program } from "../helpers/programs.ts"
import { marker } from "./marks.ts"
import type { PlanOptions } from "./draft.ts"
import { killFamily } from "./stop.ts"

/** A part of a plan, some rows of a ledger, or some commits of a git repository. */
export interface Load {
  readonly track: string
  readonly from: number
  readonly to: number
  readonly plan?: PlanOptions
  readonly mode?: "delete" | "wal" | "git"
}

export interface Phase {
  readonly loads: readonly Load[]
  /** How the mount ends: as it should, or with SIGKILL to all of its processes. */
  readonly end: "unmount" | "kill"
  /** More words for `clawfs mount`. */
  readonly flags?: readonly string[]
}

export interface SessionOrder {
  readonly cli: string
  readonly store: string
  readonly mountpoint: string
  readonly marks: string
  /** Directory of key files. */
  readonly keys: string
  readonly phases: readonly Phase[]
}

const order = JSON.parse(process.argv[2] ?? "") as SessionOrder
const mark = marker(order.marks)

for (const phase of order.phases) {
  const server = await serve(phase.flags ?? [])
  try {
    await together(phase.loads.map(run))
  } catch (thrown) {
    // strace waits for its last process
    server.kill("SIGTERM")
    throw thrown
  }
  if (phase.end === "unmount") {
    await ended(server, () => server.kill("SIGTERM"))
    mark({ unmounted: true })
  } else {
    const supervisor = server.pid ?? 0
    await ended(server, () => killFamily(supervisor))
    detachMounts(order.mountpoint)
  }
}

async function serve(flags: readonly string[]): Promise<ChildProcess> {
  const { store, mountpoint } = order
  const args = ["mount", "--foreground", "--flush", "1", "--power-save", ...flags, store, mountpoint]
  const server = spawn(process.execPath, [order.cli, ...args], { stdio: "inherit", detached: true })
  const isMounted = await waitUntil(() => mountsBelow(order.mountpoint).length > 0, 60_000)
  if (!isMounted) throw new Error("clawfs mount: nothing is mounted")
  return server
}

async function ended(server: ChildProcess, end: () => unknown): Promise<void> {
  const exit = new Promise((resolve) => server.once("exit", resolve))
  await end()
  await exit
}

function sourceOf({ mode }: Load): string {
  if (mode === undefined) return "test/crash/load.ts"
  return mode === "git" ? "test/crash/repository.ts" : "test/crash/ledger.ts"
}

function run(load: Load): Promise<void> {
  const source = sourceOf(load)
  const directory = join(order.mountpoint, load.track)
  const { marks, store, keys } = order
  const args = { ...load, directory, marks, store, keys }
  const child = spawn(process.execPath, [program(source), JSON.stringify(args)], { stdio: "inherit" })
  return new Promise((resolve, reject) => {
    child.on("exit", (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`the load ${load.track} ended with ${code ?? signal ?? "?"}`))
    })
  })
}
