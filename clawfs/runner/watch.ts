/** A run as the monitor sees it; nothing where there is no monitor. */
import { readSync } from "node:fs"
import type { RunEvents } from "../../schema/run-record.ts"
import { SandboxPolicy } from "../../schema/sandbox.ts"
import type { ToolDefinition } from "../../schema/tool.ts"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Monitor, MonitorOptions, WatchedRun } from "../monitor/monitor.ts"
import type { Usage } from "../monitor/thresholds.ts"
import type { ProcessHandle } from "../sys/processes.ts"
import type { ToolPlaces } from "../tools/places.ts"
import { readPolicy } from "../tools/policy.ts"
import { MOST_SHEBANG, shebangOf } from "../tools/program.ts"
import type { Cgroup, Cgroups } from "./cgroup.ts"
import { STARTER } from "./find-programs.ts"
import { machineAddress } from "./link.ts"
import type { RunnerConfig } from "./messages.ts"
import { placesInside } from "./network.ts"
import type { SandboxPlan } from "./plan.ts"
import { toolList } from "../seccomp/tool-list.ts"

const MIB = 1024 * 1024
const MICROSECONDS = 1000

export class Watch {
  static readonly NONE = new Watch(undefined, "", undefined, undefined, undefined)
  readonly #monitor: Monitor | undefined
  readonly #id: string
  readonly #definition: ToolDefinition | undefined
  readonly #plan: SandboxPlan | undefined
  readonly #cgroup: Cgroup | undefined
  #watched: WatchedRun | undefined
  /** When CPU time was looked at, and how much there was. */
  #lastLook: { readonly at: number; readonly cpuUs: number } | undefined

  constructor(
    monitor: Monitor | undefined,
    id: string,
    definition: ToolDefinition | undefined,
    plan: SandboxPlan | undefined,
    cgroup: Cgroup | undefined,
  ) {
    this.#monitor = monitor
    this.#id = id
    this.#definition = definition
    this.#plan = plan
    this.#cgroup = cgroup
  }

  /** `origin`: what all of the tool's processes come from; `isSettingUp`: it is bubblewrap, not a program yet. `tool`: descriptor of its file. Throws when the kernel refuses the mark; the tool is not started then. */
  begin(origin: ProcessHandle, isSettingUp: boolean, tool: number): void {
    const [definition, plan] = [this.#definition, this.#plan]
    if (definition === undefined || plan === undefined) return
    const interpreter = interpreterIn(definition, tool)
    this.#watched = this.#monitor?.begin(
      {
        id: this.#id,
        tool: definition.tool_id,
        maySpawn: plan.maySpawn,
        isSettingUp,
        granted: placesOf(plan),
        limits: {
          memoryBytes: plan.limits.memory_limit_mb * MIB,
          cpuPercent: plan.limits.cpu_quota_percent,
          pids: plan.limits.pids_limit,
        },
        usage: () => this.#usage(),
        ownPrograms: [tool, STARTER, ...(interpreter === undefined ? [] : [interpreter])],
      },
      origin.fd,
      this.#cgroup?.inode,
    )
  }

  #usage(): Usage {
    const levels = this.#cgroup?.levels()
    if (levels === undefined) return { memoryBytes: null, cpuPercent: null, pids: null }
    return { memoryBytes: levels.memory, cpuPercent: this.#cpuPercent(levels.cpuUs), pids: levels.pids }
  }

  /** Over the time since the last look; the first one tells nothing. */
  #cpuPercent(cpuUs: number | null): number | null {
    if (cpuUs === null) return null
    const [before, at] = [this.#lastLook, performance.now()]
    this.#lastLook = { at, cpuUs }
    return before === undefined ? null : (100 * (cpuUs - before.cpuUs)) / (MICROSECONDS * (at - before.at))
  }

  /** For the record; null when nobody watched, and when it was called before. */
  async end(): Promise<RunEvents | null> {
    const watched = this.#watched
    this.#watched = undefined
    if (this.#monitor === undefined || watched === undefined) return null
    return await this.#monitor.end(watched)
  }
}

/** The program that the kernel starts for the tool's own; undefined for one that needs none. */
function interpreterIn({ kind, interpreter }: ToolDefinition, tool: number): string | undefined {
  if (kind !== "script" || interpreter !== undefined) return interpreter
  const bytes = Buffer.alloc(MOST_SHEBANG)
  return shebangOf(bytes.subarray(0, readSync(tool, bytes, 0, bytes.length, 0)))
}

/** What a sandbox may connect to, by the addresses that it has in there. */
export function placesOf({ network, link }: SandboxPlan): string[] {
  const machine = link === undefined ? "" : machineAddress(link)
  const linked = (link?.ports ?? []).map((port) => ({ address: machine, port }))
  return [...placesInside(network), ...linked].map(({ address, port }) => `${address}:${port}`)
}

/** Whether programs in the kernel can tell sandboxes by their control groups. */
export function hasGroups({ hierarchy }: Cgroups): boolean {
  return hierarchy.version === 2 && hierarchy.controls.size > 0
}

/** A policy that can't be understood keeps tools from running; the monitor starts with the defaults. */
export function monitorOptions(
  { store, mountpoint, logLevel }: RunnerConfig,
  places: ToolPlaces,
  cgroups: Cgroups,
  log: Log,
): MonitorOptions {
  let { monitor } = SandboxPolicy.parse({})
  try {
    ;({ monitor } = readPolicy(places))
  } catch (thrown) {
    log.error("the policy can't be read", { reason: describe(thrown) })
  }
  return {
    store,
    mountpoint,
    logLevel,
    hasGroups: hasGroups(cgroups),
    lists: { spawn: toolList(true), alone: toolList(false) },
    policy: monitor,
  }
}
