/**
 * Limits of memory, CPU, processes and disks by control groups. Of the machine's own hierarchy nothing is changed (but
 * controllers that nobody has enabled are): one directory is made, below it one for each run.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault, describe } from "../core/fault.ts"
import { isRunning, ownStartTime } from "../sys/process-identity.ts"
import type { RunUsage } from "../../schema/run-record.ts"
import { LIMIT_OF, fieldOf, numberIn, setLimit, textIn, usageOf, type CgroupLimits } from "./cgroup-files.ts"
import {
  CGROUP_ROOTS,
  cgroupRefusal,
  directoriesOf,
  findHierarchy,
  type CgroupControl,
  type Hierarchy,
} from "./cgroup-hierarchy.ts"

/** The directory of a runner: behind it stand the process and when it started, so that others know when it is gone. */
const BASE = "clawfs-"
const BASE_PATTERN = /^clawfs-(\d+)-(\d+)$/
const REMOVE_TRIES = 200
const REMOVE_PAUSE_MS = 5

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
        failed.set(control, cgroupRefusal(thrown))
      }
    }
    if (failed.size === 0) return
    const controls = new Set([...this.hierarchy.controls].filter((control) => !failed.has(control)))
    this.hierarchy = { ...this.hierarchy, controls, missing: new Map([...this.hierarchy.missing, ...failed]) }
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
  /** Those that it has; a new group has none. */
  #limits: Partial<CgroupLimits> = { io_limit_mb: null }

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
        if (this.#limits[LIMIT_OF[control]] !== limits[LIMIT_OF[control]])
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

  /** How often it refused to let something in it start a process or thread. */
  get pidsRefused(): number {
    const { directory, controls } = this.#hierarchy
    return controls.has("pids")
      ? (fieldOf(join(directory("pids", this.#name), "pids.events"), "max") ?? 0)
      : 0
  }

  usage(): RunUsage {
    return usageOf(this.#hierarchy, this.#name)
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
  for (const root of CGROUP_ROOTS) {
    for (const name of directoriesIn(root)) {
      const [, pid, started] = BASE_PATTERN.exec(name) ?? []
      if (pid === undefined || started === undefined || isRunning(Number(pid), started)) continue
      const base = join(root, name)
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
