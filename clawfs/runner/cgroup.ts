/**
 * Limits of memory, CPU and processes by control groups: version 2, or version 1 where only that has the controllers. Of the
 * machine's own hierarchy nothing is changed (but controllers that nobody has enabled are): one directory is made, below it
 * one for each run.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault, describe } from "../core/fault.ts"
import { isRunning, ownStartTime } from "../sys/process-identity.ts"
import type { RunUsage } from "../../schema/run-record.ts"

const ROOT = "/sys/fs/cgroup"
const MIB = 1024 * 1024
/** 10 % of 100 ms would stop a program for 90 ms again and again; of 1 s, short ones run at full speed. */
const PERIOD_US = 1_000_000
/** The directory of a runner: behind it stand the process and when it started, so that others know when it is gone. */
const BASE = "clawfs-"
const BASE_PATTERN = /^clawfs-(\d+)-(\d+)$/
/** bubblewrap's own process outside of the sandbox, which is in the group from its first instruction. */
const OUTSIDE = 1
const REMOVE_TRIES = 200
const REMOVE_PAUSE_MS = 5

export const CGROUP_CONTROLS = ["memory", "cpu", "pids"] as const
export type CgroupControl = (typeof CGROUP_CONTROLS)[number]

export interface CgroupLimits {
  readonly memory_limit_mb: number
  readonly cpu_quota_percent: number
  readonly pids_limit: number
}

const LIMIT_OF = {
  memory: "memory_limit_mb",
  cpu: "cpu_quota_percent",
  pids: "pids_limit",
} as const satisfies Record<CgroupControl, keyof CgroupLimits>

/** How one version spells things. A control may be missing: then nothing is limited by it. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** Directories of the group called `name`, relative to the one that holds all of ours; by control. */
  readonly directory: (control: CgroupControl, name: string) => string
  readonly controls: ReadonlySet<CgroupControl>
  /** Why the others are missing. */
  readonly reason: string
}

/** All groups of one mount: a directory with the totals, and one below it for each run. */
export class Cgroups implements AsyncDisposable {
  readonly hierarchy: Hierarchy

  constructor(totals: CgroupLimits) {
    this.hierarchy = findHierarchy(`${BASE}${process.pid}-${ownStartTime()}`)
    const failed = new Map<CgroupControl, string>()
    for (const control of this.hierarchy.controls) {
      try {
        for (const directory of directoriesOf({ ...this.hierarchy, controls: new Set([control]) }, ""))
          mkdirSync(directory, { recursive: true })
        setLimit(this.hierarchy, control, "", totals)
      } catch (thrown) {
        failed.set(control, refusal(thrown))
      }
    }
    if (failed.size === 0) return
    const controls = new Set([...this.hierarchy.controls].filter((control) => !failed.has(control)))
    this.hierarchy = { ...this.hierarchy, controls, reason: [...failed.values()][0] ?? "" }
  }

  /** A group with nothing in it, and without limits of its own. */
  make(name: string): Cgroup {
    const made: string[] = []
    try {
      for (const directory of directoriesOf(this.hierarchy, name)) {
        mkdirSync(directory)
        made.push(directory)
      }
    } catch (cause) {
      for (const directory of made) rmdirSync(directory)
      throw new Fault("unsupported", `a control group can't be made: ${describe(cause)}`, { cause })
    }
    return new Cgroup(this.hierarchy, name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeDirectories(directoriesOf(this.hierarchy, ""))
  }
}

export class Cgroup {
  readonly #hierarchy: Hierarchy
  readonly #name: string
  #limits: CgroupLimits | undefined

  constructor(hierarchy: Hierarchy, name: string) {
    this.#hierarchy = hierarchy
    this.#name = name
  }

  /** One in each hierarchy. */
  get directories(): string[] {
    return directoriesOf(this.#hierarchy, this.#name)
  }

  /** From now on, for what is inside and comes. What is so already is not written again. */
  limit(limits: CgroupLimits): void {
    try {
      for (const control of this.#hierarchy.controls)
        if (this.#limits?.[LIMIT_OF[control]] !== limits[LIMIT_OF[control]])
          setLimit(this.#hierarchy, control, this.#name, limits)
      this.#limits = limits
    } catch (cause) {
      throw new Fault("unsupported", `a control group can't be limited: ${describe(cause)}`, { cause })
    }
  }

  /** How often the kernel has killed something in it for want of memory. */
  get oomKills(): number {
    const { version, directory, controls } = this.#hierarchy
    if (!controls.has("memory")) return 0
    const file = version === 2 ? "memory.events" : "memory.oom_control"
    return fieldOf(join(directory("memory", this.#name), file), "oom_kill") ?? 0
  }

  usage(): RunUsage {
    return this.#hierarchy.version === 2
      ? usageV2(this.#hierarchy, this.#name)
      : usageV1(this.#hierarchy, this.#name)
  }

  /** What names the directory to the kernel; undefined in version 1, of which programs in the kernel see nothing. */
  get inode(): bigint | undefined {
    const { version, controls, directory } = this.#hierarchy
    if (version !== 2 || controls.size === 0) return undefined
    return statSync(directory("pids", this.#name), { bigint: true }).ino
  }

  /** Now, in bytes, microseconds since it was made, and processes; null where this machine does not tell. */
  levels(): { readonly memory: number | null; readonly cpuUs: number | null; readonly pids: number | null } {
    const { version, directory, controls } = this.#hierarchy
    const at = (control: CgroupControl, file: string): number | null =>
      controls.has(control) ? numberIn(join(directory(control, this.#name), file)) : null
    return {
      memory: at("memory", version === 2 ? "memory.current" : "memory.usage_in_bytes"),
      cpuUs: controls.has("cpu") ? this.usage().cpu_us : null,
      pids: at("pids", "pids.current"),
    }
  }

  async remove(): Promise<void> {
    await removeDirectories(directoriesOf(this.#hierarchy, this.#name))
  }
}

/** Takes away what runners that were killed have left: their groups, and whatever is still in them. */
export async function removeStaleGroups(): Promise<void> {
  for (const hierarchy of ["", ...CGROUP_CONTROLS, "cpuacct"]) {
    for (const name of directoriesIn(join(ROOT, hierarchy))) {
      const [, pid, started] = BASE_PATTERN.exec(name) ?? []
      if (pid === undefined || started === undefined || isRunning(Number(pid), started)) continue
      const base = join(ROOT, hierarchy, name)
      const groups = [...directoriesIn(base).map((each) => join(base, each)), base]
      for (const group of groups) killAllIn(group)
      await removeDirectories(groups)
    }
  }
}

/** What a runner that was killed together with its keeper may have left, in the middle of being started. */
function killAllIn(group: string): void {
  for (const pid of textIn(join(group, "cgroup.procs"))?.split("\n") ?? []) {
    try {
      if (pid !== "") process.kill(Number(pid), "SIGKILL")
    } catch (thrown) {
      // It has just ended.
      if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown
    }
  }
}

function directoriesIn(path: string): string[] {
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => name)
}

/** Without doubles: in version 2 all controls are in one directory. */
function directoriesOf(hierarchy: Hierarchy, name: string): string[] {
  return [
    ...new Set(
      [...hierarchy.controls].flatMap((control) => [
        hierarchy.directory(control, name),
        ...extra(hierarchy, control, name),
      ]),
    ),
  ]
}

/** Version 1 counts CPU time in a hierarchy of its own, unless it is mounted together with cpu. */
function extra({ version, directory }: Hierarchy, control: CgroupControl, name: string): string[] {
  if (version === 2 || control !== "cpu" || !existsSync(join(ROOT, "cpuacct"))) return []
  return [directory("cpu", name).replace(`${ROOT}/cpu/`, `${ROOT}/cpuacct/`)]
}

function findHierarchy(base: string): Hierarchy {
  const top = controllersOf(ROOT)
  if (top !== undefined) return version2(base, top)
  const controls = CGROUP_CONTROLS.filter((name) => existsSync(join(ROOT, name, "cgroup.procs")))
  return {
    version: 1,
    directory: (control, name) => join(ROOT, control, base, name),
    controls: new Set(controls),
    reason: `there is no cgroup hierarchy of it below ${ROOT}`,
  }
}

function version2(base: string, available: ReadonlySet<string>): Hierarchy {
  const missing = CGROUP_CONTROLS.filter((name) => !available.has(name))
  const reason = missing.length === 0 ? "" : `the kernel offers no ${missing.join(", ")} controller`
  const controls = new Set(CGROUP_CONTROLS.filter((name) => available.has(name)))
  const directory = (_control: CgroupControl, name: string): string => join(ROOT, base, name)
  const words = [...controls].map((name) => `+${name}`).join(" ")
  try {
    // As service managers have done it already, as a rule.
    if (!isDelegated(controls)) writeFileSync(join(ROOT, "cgroup.subtree_control"), words)
    mkdirSync(join(ROOT, base), { recursive: true })
    writeFileSync(join(ROOT, base, "cgroup.subtree_control"), words)
    return { version: 2, directory, controls, reason }
  } catch (thrown) {
    return {
      version: 2,
      directory,
      controls: new Set(),
      reason: refusal(thrown),
    }
  }
}

function refusal(thrown: unknown): string {
  const { code = "no reason given" } = thrown as NodeJS.ErrnoException
  return `no control group may be made here (${code})`
}

/** Whether groups below the root have the controllers. */
function isDelegated(controls: ReadonlySet<string>): boolean {
  const given = new Set(readFileSync(join(ROOT, "cgroup.subtree_control"), "utf8").trim().split(" "))
  return [...controls].every((name) => given.has(name))
}

/** Of a version 2 hierarchy; undefined where there is none. */
function controllersOf(directory: string): ReadonlySet<string> | undefined {
  const file = join(directory, "cgroup.controllers")
  return existsSync(file) ? new Set(readFileSync(file, "utf8").trim().split(" ")) : undefined
}

function setLimit(hierarchy: Hierarchy, control: CgroupControl, name: string, limits: CgroupLimits): void {
  const directory = hierarchy.directory(control, name)
  const set = (file: string, value: string | number): void =>
    writeFileSync(join(directory, file), String(value))
  const isRun = name !== ""
  const quota = (PERIOD_US / 100) * limits.cpu_quota_percent
  const bytes = limits.memory_limit_mb * MIB
  switch (control) {
    case "pids":
      set("pids.max", limits.pids_limit + (isRun ? OUTSIDE : 0))
      break
    case "cpu":
      if (hierarchy.version === 2) set("cpu.max", `${quota} ${PERIOD_US}`)
      else {
        set("cpu.cfs_period_us", PERIOD_US)
        set("cpu.cfs_quota_us", quota)
      }
      break
    case "memory":
      if (hierarchy.version === 2) {
        set("memory.max", bytes)
        if (existsSync(join(directory, "memory.swap.max"))) set("memory.swap.max", 0)
        if (isRun) set("memory.oom.group", 1)
      } else {
        set("memory.limit_in_bytes", bytes)
        if (existsSync(join(directory, "memory.memsw.limit_in_bytes")))
          set("memory.memsw.limit_in_bytes", bytes)
      }
      break
  }
}

const UNKNOWN: RunUsage = {
  memory_peak_bytes: null,
  cpu_us: null,
  cpu_throttled_us: null,
  pids_peak: null,
  pids_refused: null,
  oom_kills: null,
}

function usageV2({ directory, controls }: Hierarchy, name: string): RunUsage {
  if (controls.size === 0) return UNKNOWN
  const at = (file: string): string => join(directory("cpu", name), file)
  return {
    memory_peak_bytes: numberIn(at("memory.peak")),
    cpu_us: fieldOf(at("cpu.stat"), "usage_usec"),
    cpu_throttled_us: fieldOf(at("cpu.stat"), "throttled_usec"),
    pids_peak: insideOf(numberIn(at("pids.peak"))),
    pids_refused: fieldOf(at("pids.events"), "max"),
    oom_kills: fieldOf(at("memory.events"), "oom_kill"),
  }
}

function usageV1(hierarchy: Hierarchy, name: string): RunUsage {
  const at = (control: CgroupControl, file: string): string => join(hierarchy.directory(control, name), file)
  const [accounts] = extra(hierarchy, "cpu", name)
  const nanos = numberIn(join(accounts ?? hierarchy.directory("cpu", name), "cpuacct.usage"))
  const throttled = fieldOf(at("cpu", "cpu.stat"), "throttled_time")
  return {
    memory_peak_bytes: numberIn(at("memory", "memory.max_usage_in_bytes")),
    cpu_us: nanos === null ? null : Math.round(nanos / 1000),
    cpu_throttled_us: throttled === null ? null : Math.round(throttled / 1000),
    pids_peak: insideOf(numberIn(at("pids", "pids.peak"))),
    pids_refused: fieldOf(at("pids", "pids.events"), "max"),
    oom_kills: fieldOf(at("memory", "memory.oom_control"), "oom_kill"),
  }
}

function insideOf(processes: number | null): number | null {
  return processes === null ? null : Math.max(0, processes - OUTSIDE)
}

/** Null where this kernel does not tell. */
function textIn(path: string): string | null {
  try {
    return readFileSync(path, "latin1")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null
    throw cause
  }
}

function numberIn(path: string): number | null {
  const text = textIn(path)
  return text === null ? null : Number(text)
}

function fieldOf(path: string, name: string): number | null {
  const line = textIn(path)
    ?.split("\n")
    .find((each) => each.startsWith(`${name} `))
  return line === undefined ? null : Number(line.slice(name.length + 1))
}

/** The kernel lets go of a group a moment after its last process has been reaped. */
async function removeDirectories(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    for (let tries = 1; !removed(directory); tries += 1) {
      if (tries === REMOVE_TRIES)
        throw new Fault("busy", `${directory} can't be removed: there are processes in it`)
      await sleep(REMOVE_PAUSE_MS)
    }
  }
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory)
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT") return true
    if (code === "EBUSY") return false
    throw cause
  }
}
