/** Which system calls a tool makes: it is run once in its sandbox, under strace, and the list of those that tools may make is pruned. */
import { randomUUID } from "node:crypto"
import { closeSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { SeccompEntry, SeccompList } from "../../schema/seccomp.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { compile } from "../seccomp/compile.ts"
import { NEEDED } from "../seccomp/examine.ts"
import { toolList } from "../seccomp/tool-list.ts"
import { landlockVersion } from "../sys/landlock.ts"
import type { ToolPlaces } from "../tools/places.ts"
import { readPolicy } from "../tools/policy.ts"
import { entryOf, readDefinition, readRegistry } from "../tools/registry.ts"
import { Binaries, openRoot } from "./binaries.ts"
import { Cgroups } from "./cgroup.ts"
import { findBwrap } from "./find-programs.ts"
import { Keeper } from "./keeper.ts"
import { LinkProgram } from "./link-program.ts"
import { planOf } from "./plan.ts"
import { Ready } from "./ready.ts"
import { newRunId } from "./records.ts"
import type { Outcome } from "./ending.ts"
import { Run, type RunMeans, type RunRequest } from "./run.ts"
import { memoryFileWith } from "./launch.ts"
import { LEAST_LANDLOCK, NEWEST_LANDLOCK } from "./starter.ts"
import { hasGroups } from "./watch.ts"
import { Strace, callsUnderFilter, findStrace, type Seen } from "./strace.ts"

/** What every program may come to, whether it did so this time or not. */
const ALWAYS: ReadonlySet<string> = new Set([...NEEDED, "exit", "rt_sigreturn", "restart_syscall"])
/** Being looked at takes the more time the more calls a tool makes. */
const CPU_PERCENT = 100

export interface ProfileRequest {
  readonly places: ToolPlaces
  /** The vault's directory. */
  readonly vault: string
  readonly name: string
  readonly request: RunRequest
  readonly log: Log
}

export interface Profile {
  readonly list: SeccompList
  readonly outcome: Outcome
  /** Calls that the filter has refused, or that are not in its list, and how often. */
  readonly refused: ReadonlyMap<string, number>
}

/** Runs the tool once, as a daemon would but without a record and monitor. Throws `Fault` when that can't be done. */
export async function profileTool({ places, vault, name, request, log }: ProfileRequest): Promise<Profile> {
  const strace = findStrace()
  const bwrap = findBwrap()
  if (bwrap === undefined) throw new Fault("unsupported", "bubblewrap is not installed")
  const definition = readDefinition(places, name, entryOf(readRegistry(places), name))
  const policy = readPolicy(places)
  const plan = planOf({ ...definition, cpu_quota_percent: CPU_PERCENT }, policy, request.words.env)
  const base = toolList(plan.maySpawn)
  const scratch = mkdtempSync(join(tmpdir(), "clawfs-profile-"))
  const output = join(scratch, "calls")
  await using cgroups = new Cgroups(policy.total)
  await using keeper = new Keeper(bwrap, () => log.error("the keeper of sandboxes died"))
  await using ready = new Ready(keeper, cgroups, log)
  const link = plan.link === undefined ? { detail: "" } : LinkProgram.load(hasGroups(cgroups))
  using _ = link instanceof LinkProgram ? link : undefined
  let tracing: Strace | undefined
  const root = openRoot(places.mountpoint)
  const run = new Run(newRunId(), definition, plan, request)
  try {
    const tool = new Binaries().open(root, definition)
    const means: RunMeans = {
      ...{
        ready,
        warm: undefined,
        vault,
        mountpoint: places.mountpoint,
        hierarchy: cgroups.hierarchy,
        monitor: undefined,
        link,
      },
      seccomp: () => memoryFileWith("seccomp", compile(base).program),
      landlock: usableLandlock(),
      attach: async (pid) => (tracing = await Strace.attach(strace, pid, output)),
    }
    try {
      const { outcome: counted } = await run.execute(means, root, tool)
      const outcome = await counted
      if (tracing === undefined) throw new Fault("denied", outcome.detail)
      await tracing.ended
      const seen = callsUnderFilter(readFileSync(output, "latin1"))
      return { list: prune(base, seen, name), outcome, refused: refusedOf(base, seen) }
    } finally {
      closeSync(tool)
    }
  } finally {
    closeSync(root)
    await run.isGone
    tracing?.kill()
    rmSync(scratch, { recursive: true, force: true })
  }
}

function usableLandlock(): number {
  const version = landlockVersion()
  return typeof version === "number" && version >= LEAST_LANDLOCK ? Math.min(version, NEWEST_LANDLOCK) : 0
}

/** What of `base` was used, with its conditions, what is always needed, and its denials. */
export function prune(base: SeccompList, seen: ReadonlyMap<string, Seen>, target: string): SeccompList {
  const kept = base.syscalls.filter(
    ({ name, permission }) => permission === "DENY" || seen.has(name) || ALWAYS.has(name),
  )
  const now = new Date().toISOString()
  return {
    ...{ schema_version: base.schema_version, whitelist_id: randomUUID(), created_at: now },
    created_by: "ClawFS",
    metadata: { target_process: target, environment: "testing", security_level: "strict" },
    syscalls: kept.map((entry) => withCount(entry, seen.get(entry.name)?.calls ?? 0)),
  }
}

function withCount(entry: SeccompEntry, calls: number): SeccompEntry {
  if (calls === 0) return entry
  return { ...entry, notes: `${calls} ${calls === 1 ? "call" : "calls"}`, verified_by_strace: true }
}

function refusedOf({ syscalls }: SeccompList, seen: ReadonlyMap<string, Seen>): Map<string, number> {
  const allowed = new Set(syscalls.filter(({ permission }) => permission === "ALLOW").map(({ name }) => name))
  // What is allowed whatever its arguments was refused by somebody else.
  return new Map(
    [...seen].flatMap(([name, { refused }]) => (refused === 0 || allowed.has(name) ? [] : [[name, refused]])),
  )
}
