/** What the files of control groups say, and what is written into them (cgroups(7), the kernel's cgroup-v2.rst and blkio-controller.rst). */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { RunUsage } from "../../schema/run-record.ts"
import { accountsOf, type CgroupControl, type Hierarchy } from "./cgroup-hierarchy.ts"

const MIB = 1024 * 1024
/** 10 % of 100 ms would stop a program for 90 ms again and again; of 1 s, short ones run at full speed. */
const PERIOD_US = 1_000_000
/** bubblewrap's own process outside of the sandbox, which is in the group from its first instruction. */
const OUTSIDE = 1

export interface CgroupLimits {
  readonly memory_limit_mb: number
  readonly cpu_quota_percent: number
  readonly pids_limit: number
  /** Units of 1024 × 1024 bytes a second, to read and again to write; null for no limit. */
  readonly io_limit_mb: number | null
}

export const LIMIT_OF = {
  memory: "memory_limit_mb",
  cpu: "cpu_quota_percent",
  pids: "pids_limit",
  io: "io_limit_mb",
} as const satisfies Record<CgroupControl, keyof CgroupLimits>

/** `name`: empty for the group of all runs. */
export function setLimit(
  hierarchy: Hierarchy,
  control: CgroupControl,
  name: string,
  limits: CgroupLimits,
): void {
  const directory = hierarchy.directory(control, name)
  const set = (file: string, value: string | number): void =>
    writeFileSync(join(directory, file), String(value))
  const isRun = name !== ""
  switch (control) {
    case "pids":
      set("pids.max", limits.pids_limit + (isRun ? OUTSIDE : 0))
      break
    case "cpu": {
      const quota = (PERIOD_US / 100) * limits.cpu_quota_percent
      if (hierarchy.version === 2) set("cpu.max", `${quota} ${PERIOD_US}`)
      else {
        set("cpu.cfs_period_us", PERIOD_US)
        set("cpu.cfs_quota_us", quota)
      }
      break
    }
    case "memory": {
      const bytes = limits.memory_limit_mb * MIB
      if (hierarchy.version === 2) {
        set("memory.max", bytes)
        if (existsSync(join(directory, "memory.swap.max"))) set("memory.swap.max", 0)
        if (isRun) set("memory.oom.group", 1)
      } else {
        for (const file of memoryFiles(directory, bytes)) set(file, bytes)
      }
      break
    }
    case "io": {
      const bytes = limits.io_limit_mb === null ? null : limits.io_limit_mb * MIB
      if (hierarchy.version === 2)
        set("io.max", `${hierarchy.disk} rbps=${bytes ?? "max"} wbps=${bytes ?? "max"}`)
      else
        for (const way of ["read", "write"])
          set(`blkio.throttle.${way}_bps_device`, `${hierarchy.disk} ${bytes ?? 0}`)
    }
  }
}

/** Of version 1, in their order: with swap is never less than without (EINVAL), so what grows grows there first. */
function memoryFiles(directory: string, bytes: number): string[] {
  const [memory, withSwap] = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
  const before = numberIn(join(directory, withSwap))
  if (before === null) return [memory]
  return before < bytes ? [withSwap, memory] : [memory, withSwap]
}

/** What a group without controls tells of a run. */
export const NO_USAGE: RunUsage = {
  memory_peak_bytes: null,
  cpu_us: null,
  cpu_throttled_us: null,
  pids_peak: null,
  pids_refused: null,
  oom_kills: null,
  io_read_bytes: null,
  io_written_bytes: null,
}

export function usageOf(hierarchy: Hierarchy, name: string): RunUsage {
  if (hierarchy.controls.size === 0) return NO_USAGE
  return hierarchy.version === 2 ? usageV2(hierarchy, name) : usageV1(hierarchy, name)
}

function usageV2({ directory, disk }: Hierarchy, name: string): RunUsage {
  const at = (file: string): string => join(directory("cpu", name), file)
  const moved = textIn(at("io.stat"))
  return {
    memory_peak_bytes: numberIn(at("memory.peak")),
    cpu_us: fieldOf(at("cpu.stat"), "usage_usec"),
    cpu_throttled_us: fieldOf(at("cpu.stat"), "throttled_usec"),
    pids_peak: insideOf(numberIn(at("pids.peak"))),
    pids_refused: fieldOf(at("pids.events"), "max"),
    oom_kills: fieldOf(at("memory.events"), "oom_kill"),
    io_read_bytes: bytesIn(moved, disk, /\brbytes=(\d+)/),
    io_written_bytes: bytesIn(moved, disk, /\bwbytes=(\d+)/),
  }
}

function usageV1(hierarchy: Hierarchy, name: string): RunUsage {
  const at = (control: CgroupControl, file: string): string => join(hierarchy.directory(control, name), file)
  const [accounts] = accountsOf(hierarchy, name)
  const nanos = numberIn(join(accounts ?? hierarchy.directory("cpu", name), "cpuacct.usage"))
  const throttled = fieldOf(at("cpu", "cpu.stat"), "throttled_time")
  const moved = textIn(at("io", "blkio.throttle.io_service_bytes"))
  return {
    memory_peak_bytes: numberIn(at("memory", "memory.max_usage_in_bytes")),
    cpu_us: nanos === null ? null : Math.round(nanos / 1000),
    cpu_throttled_us: throttled === null ? null : Math.round(throttled / 1000),
    pids_peak: insideOf(numberIn(at("pids", "pids.peak"))),
    pids_refused: fieldOf(at("pids", "pids.events"), "max"),
    oom_kills: fieldOf(at("memory", "memory.oom_control"), "oom_kill"),
    io_read_bytes: bytesIn(moved, hierarchy.disk, / Read (\d+)/),
    io_written_bytes: bytesIn(moved, hierarchy.disk, / Write (\d+)/),
  }
}

/** A disk that was not used has no lines. */
function bytesIn(text: string | null, disk: string, amount: RegExp): number | null {
  if (text === null || disk === "") return null
  const amounts = text
    .split("\n")
    .filter((line) => line.startsWith(`${disk} `))
    .map((line) => Number(amount.exec(line)?.[1] ?? 0))
  return amounts.reduce((sum, each) => sum + each, 0)
}

function insideOf(processes: number | null): number | null {
  return processes === null ? null : Math.max(0, processes - OUTSIDE)
}

/** Null where this kernel does not tell. */
export function textIn(path: string): string | null {
  try {
    return readFileSync(path, "latin1")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null
    throw cause
  }
}

/** The same. */
export function numberIn(path: string): number | null {
  const text = textIn(path)
  return text === null ? null : Number(text)
}

/** The number behind `name` in a file of lines. */
export function fieldOf(path: string, name: string): number | null {
  const line = textIn(path)
    ?.split("\n")
    .find((each) => each.startsWith(`${name} `))
  return line === undefined ? null : Number(line.slice(name.length + 1))
}
