/** What every ClawFS mount of this machine is doing, also when its daemon can't be asked. No native module is needed. */
import { join } from "node:path"
import { call } from "../api/client.ts"
import { Fault } from "../core/fault.ts"
import type { Status } from "../server/status.ts"
import type { SupervisorState } from "../../schema/supervisor-state.ts"
import { clawfsMounts } from "../sys/clawfs-mounts.ts"
import type { MountEntry } from "../sys/mountinfo.ts"
import { supervisorOf } from "./daemon.ts"
import { healthOf, probe } from "./probe.ts"

/** No daemon, or one that we may not ask. */
interface Silent {
  readonly state: "dead" | "unknown"
  readonly store: string
  readonly mountpoint: string
}
interface Ailing extends Omit<SupervisorState, "pid" | "started" | "state"> {
  readonly state: Exclude<SupervisorState["state"], "serving"> | "hung"
  readonly store: string
  readonly supervisor: { readonly pid: number }
}
export type Report = Status | Ailing | Silent

export async function reportAll(): Promise<Report[]> {
  return await Promise.all(clawfsMounts().map(reportOf))
}

export async function reportOf({ source: store, mountpoint }: MountEntry): Promise<Report> {
  let supervisor: SupervisorState | undefined
  try {
    supervisor = supervisorOf(store)
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "denied") return await fromInside(store, mountpoint)
    throw thrown
  }
  if (supervisor === undefined) return { state: "dead", store, mountpoint }
  // The store may have been mounted elsewhere since; then what is left here is dead.
  if (supervisor.mountpoint !== mountpoint && (await healthOf(mountpoint)) === "dead")
    return { state: "dead", store, mountpoint }
  return await askDaemon(store, supervisor)
}

async function askDaemon(store: string, supervisor: SupervisorState): Promise<Report> {
  const { pid, started: _, state, ...rest } = supervisor
  const ailing = { ...rest, store, supervisor: { pid } }
  if (state !== "serving") return { ...ailing, state }
  try {
    return (await call(store, "status")) as Status
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
    // Between a server's death and the next one's start nobody listens.
    if (thrown.kind === "not-found" || thrown.kind === "io") return { ...ailing, state: "restarting" }
    if (thrown.kind === "timeout") return { ...ailing, state: "hung" }
    throw thrown
  }
}

/** The store is another user's; if we may enter the mount, it tells about itself. */
async function fromInside(store: string, mountpoint: string): Promise<Report> {
  const result = await probe("read", join(mountpoint, ".status"))
  if (result.ok) return JSON.parse(result.value) as Status
  const isDead = result.code === "ENOTCONN" || result.code === "ECONNABORTED"
  return { state: isDead ? "dead" : "unknown", store, mountpoint }
}
