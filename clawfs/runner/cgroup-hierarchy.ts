/** Where control groups are made: version 2, or version 1 where only that has the controllers. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { diskOf } from "../sys/disks.ts"

export const CGROUP_ROOT = "/sys/fs/cgroup"

export const CGROUP_CONTROLS = ["memory", "cpu", "pids", "io"] as const
export type CgroupControl = (typeof CGROUP_CONTROLS)[number]

/** How one version spells things. A control may be missing: then nothing is limited by it. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** Directory of the group called `name`, relative to the one that holds all of ours; by control. */
  readonly directory: (control: CgroupControl, name: string) => string
  readonly controls: ReadonlySet<CgroupControl>
  /** Why the others are missing. */
  readonly missing: ReadonlyMap<CgroupControl, string>
  /** What programs and libraries are read from: "MAJOR:MINOR". Empty without the control of it. */
  readonly disk: string
}

/** Names of hierarchies of version 1. */
const VERSION_1 = { memory: "memory", cpu: "cpu", pids: "pids", io: "blkio" } as const
/** It counts CPU time in one of its own, unless that is mounted together with cpu. */
const ACCOUNTS = "cpuacct"
/** All directories that groups may be in. */
export const CGROUP_ROOTS = ["", ...Object.values(VERSION_1), ACCOUNTS].map((name) => join(CGROUP_ROOT, name))

/** What tools read without ClawFS (bwrap.ts), whose disk is limited. */
const BASE = "/usr"

export function findHierarchy(base: string): Hierarchy {
  const disk = diskOf(BASE)
  const missing = new Map<CgroupControl, string>()
  if (disk === undefined) missing.set("io", `${BASE} is on no disk that can be named`)
  const top = controllersOf(CGROUP_ROOT)
  const found = top === undefined ? version1(base, missing) : version2(base, top, missing)
  return { ...found, disk: disk ?? "" }
}

type Found = Omit<Hierarchy, "disk">

function version1(base: string, missing: Map<CgroupControl, string>): Found {
  for (const name of CGROUP_CONTROLS)
    if (!missing.has(name) && !existsSync(join(CGROUP_ROOT, VERSION_1[name], "cgroup.procs")))
      missing.set(name, `there is no cgroup hierarchy of it below ${CGROUP_ROOT}`)
  const directory = (control: CgroupControl, name: string): string =>
    join(CGROUP_ROOT, VERSION_1[control], base, name)
  return { version: 1, directory, controls: othersThan(missing), missing }
}

function version2(base: string, available: ReadonlySet<string>, missing: Map<CgroupControl, string>): Found {
  for (const name of CGROUP_CONTROLS)
    if (!missing.has(name) && !available.has(name))
      missing.set(name, `the kernel offers no ${name} controller`)
  const controls = othersThan(missing)
  const directory = (_control: CgroupControl, name: string): string => join(CGROUP_ROOT, base, name)
  const words = [...controls].map((name) => `+${name}`).join(" ")
  try {
    // As service managers have done it already, as a rule.
    if (!isDelegated(controls)) writeFileSync(join(CGROUP_ROOT, "cgroup.subtree_control"), words)
    mkdirSync(join(CGROUP_ROOT, base), { recursive: true })
    writeFileSync(join(CGROUP_ROOT, base, "cgroup.subtree_control"), words)
    return { version: 2, directory, controls, missing }
  } catch (thrown) {
    for (const name of controls) missing.set(name, cgroupRefusal(thrown))
    return { version: 2, directory, controls: new Set(), missing }
  }
}

function othersThan(missing: ReadonlyMap<CgroupControl, string>): Set<CgroupControl> {
  return new Set(CGROUP_CONTROLS.filter((name) => !missing.has(name)))
}

export function cgroupRefusal(thrown: unknown): string {
  const { code = "no reason given" } = thrown as NodeJS.ErrnoException
  return `no control group may be made here (${code})`
}

/** Whether groups below the root have the controllers. */
function isDelegated(controls: ReadonlySet<string>): boolean {
  const given = new Set(readFileSync(join(CGROUP_ROOT, "cgroup.subtree_control"), "utf8").trim().split(" "))
  return [...controls].every((name) => given.has(name))
}

/** Of a version 2 hierarchy; undefined where there is none. */
function controllersOf(directory: string): ReadonlySet<string> | undefined {
  const file = join(directory, "cgroup.controllers")
  return existsSync(file) ? new Set(readFileSync(file, "utf8").trim().split(" ")) : undefined
}

/** Those of one group, without doubles: in version 2 all controls are in one directory. */
export function directoriesOf(hierarchy: Hierarchy, name: string): string[] {
  return [
    ...new Set(
      [...hierarchy.controls].flatMap((control) => [
        hierarchy.directory(control, name),
        ...(control === "cpu" ? accountsOf(hierarchy, name) : []),
      ]),
    ),
  ]
}

/** Where version 1 counts the CPU time of a group, if not where it limits it. */
export function accountsOf({ version, directory }: Hierarchy, name: string): string[] {
  if (version === 2 || !existsSync(join(CGROUP_ROOT, ACCOUNTS))) return []
  const limited = directory("cpu", name)
  return [limited.replace(join(CGROUP_ROOT, VERSION_1.cpu), join(CGROUP_ROOT, ACCOUNTS))]
}
