/** What keeps tools in on this machine, found out by trying it. */
import { closeSync, openSync } from "node:fs"
import type { Control, ControlName, Unconfined } from "../../schema/sandbox.ts"
import { describe } from "../core/fault.ts"
import { filesystemOf } from "../sys/clawfs-mounts.ts"
import { landlockVersion } from "../sys/landlock.ts"
import { countsByNamespace } from "./launch.ts"
import { Sandbox } from "./sandbox.ts"
import { AppArmor } from "./apparmor.ts"
import { userNamespaceRestriction } from "./user-namespaces.ts"
import { CGROUP_CONTROLS, type CgroupControl } from "./cgroup-hierarchy.ts"
import type { Cgroups } from "./cgroup.ts"
import type { Keeper } from "./keeper.ts"
import { LinkProgram } from "./link-program.ts"
import type { SandboxPlan } from "./plan.ts"
import { LEAST_LANDLOCK, NEWEST_LANDLOCK } from "./starter.ts"

const TRIAL_PROGRAM = "/usr/bin/true"
/** Of Landlock. */
const FIRST_WITH_PORTS = 4
const FIRST_WITH_SCOPES = 6

export interface Means {
  /** Undefined where bubblewrap is not installed. */
  readonly keeper: Keeper | undefined
  readonly cgroups: Cgroups
  /** Opens the filter's program; or says why there is none. */
  readonly seccomp: (() => number) | { readonly reason: string }
  readonly mountpoint: string
  /** Or why there is none. */
  readonly apparmor: AppArmor | Pick<Control, "detail" | "hint">
  readonly link: LinkProgram | Pick<Control, "detail" | "hint">
  readonly unconfined: Unconfined | undefined
}

const TRIAL: SandboxPlan = {
  grants: [],
  maySpawn: false,
  network: [],
  link: undefined,
  secrets: [],
  environment: {},
  limits: {
    memory_limit_mb: 64,
    cpu_quota_percent: 100,
    pids_limit: 16,
    timeout_seconds: 10,
    io_limit_mb: null,
  },
  tmpBytes: 1024 * 1024,
}

export interface Probed {
  /** Every control, in the order of the list. */
  readonly controls: Control[]
  /** The version of Landlock that works in sandboxes; 0 for none. */
  readonly landlock: number
  /** Undefined where a sandbox with a profile does not work. */
  readonly apparmor: AppArmor | undefined
}

/** Starts one sandbox, or where Landlock does not work in it, two; and one with a profile of AppArmor. */
export async function probe(means: Means): Promise<Probed> {
  const version = landlockVersion()
  const wanted = typeof version === "number" && version >= LEAST_LANDLOCK ? version : 0
  const withLandlock = await tried(means, Math.min(wanted, NEWEST_LANDLOCK))
  const trial = withLandlock === undefined || wanted === 0 ? withLandlock : await tried(means, 0)
  const landlock = withLandlock === undefined ? Math.min(wanted, NEWEST_LANDLOCK) : 0
  const control = landlockControl(version, trial ?? withLandlock)
  const { apparmor, control: profiles } = await confined(means, landlock)
  return { controls: controlsOf(means, trial, [control, profiles]), landlock, apparmor }
}

/** Whether a sandbox works whose program enters a profile. */
async function confined(
  means: Means,
  landlock: number,
): Promise<{ apparmor: AppArmor | undefined; control: Control }> {
  const { apparmor } = means
  if (!(apparmor instanceof AppArmor))
    return { apparmor: undefined, control: { name: "apparmor", state: "absent", ...apparmor } }
  try {
    using profile = await apparmor.use(TRIAL, [])
    const failure = await tried(means, landlock, profile.name)
    if (failure === undefined) return { apparmor, control: apparmor.control }
    return { apparmor: undefined, control: { name: "apparmor", state: "absent", ...failure } }
  } catch (thrown) {
    const control: Control = { name: "apparmor", state: "absent", detail: describe(thrown) }
    return { apparmor: undefined, control }
  }
}

function controlsOf(means: Means, trial: Failure | undefined, others: readonly Control[]): Control[] {
  const inSandbox = (name: ControlName, detail: string): Control =>
    trial === undefined ? { name, state: "enforced", detail } : { name, state: "absent", ...trial }
  return [
    inSandbox("namespaces", "bubblewrap: user, mount, process, network, IPC, UTS and cgroup namespaces"),
    identity(means.mountpoint),
    inSandbox("nested-namespaces", "bubblewrap --disable-userns, and the filter of system calls"),
    inSandbox("grants", "only granted paths are mounted"),
    typeof means.seccomp === "function"
      ? inSandbox("seccomp", "a list of allowed system calls; the others fail with EPERM")
      : {
          name: "seccomp",
          state: "absent",
          detail: means.seccomp.reason,
          hint: "apt-get install libseccomp2",
        },
    daemonControl(means.unconfined),
    ...CGROUP_CONTROLS.map((name) => limited(name, means.cgroups)),
    { name: "timeout", state: "enforced", detail: "the whole sandbox is killed" },
    ...others,
    linkControl(means.link),
    { name: "ebpf", state: "absent", detail: "it has not been started yet" },
  ]
}

/** `failure`: of a sandbox with it, if that did not work. */
export function landlockControl(
  version: ReturnType<typeof landlockVersion>,
  failure: Failure | undefined,
): Control {
  const name = "landlock"
  if (typeof version !== "number")
    return {
      name,
      state: "absent",
      detail: version.reason,
      hint: "boot with lsm=landlock,... (docs/TOOLS.md)",
    }
  if (version < LEAST_LANDLOCK)
    return {
      name,
      state: "absent",
      detail: `version ${version}: it would keep programs from renaming files into other directories (Linux 5.19)`,
    }
  if (failure !== undefined) return { name, state: "absent", ...failure }
  const files = `version ${version}: files of grants and the sandbox's own`
  if (version < FIRST_WITH_PORTS)
    return { name, state: "degraded", detail: `${files}; TCP ports only from Linux 6.7` }
  const detail =
    version < FIRST_WITH_SCOPES
      ? `${files}, TCP to granted ports`
      : `${files}, TCP to granted ports, signals and abstract sockets within the sandbox`
  return { name, state: "enforced", detail }
}

function daemonControl(unconfined: Unconfined | undefined): Control {
  const name = "daemon"
  if (unconfined !== undefined) return { name, state: "absent", ...unconfined }
  return { name, state: "enforced", detail: "the daemon and what it starts run under a list of system calls" }
}

function linkControl(link: Means["link"]): Control {
  return link instanceof LinkProgram ? link.control : { name: "link", state: "absent", ...link }
}

function identity(mountpoint: string): Control {
  if (process.getuid?.() === 0) {
    const isShared = filesystemOf(mountpoint)?.superOptions.includes("allow_other") === true
    if (isShared)
      return { name: "identity", state: "enforced", detail: "tools are user 65534, on the host too" }
    const detail = "the mount is private to root, and tools are not root"
    return { name: "identity", state: "absent", detail, hint: "mount without --private" }
  }
  const detail = "the daemon does not run as root: on the host tools are its own user"
  return { name: "identity", state: "degraded", detail, hint: "mount as root" }
}

function limited(name: CgroupControl, { hierarchy }: Cgroups): Control {
  const { version, controls, missing } = hierarchy
  const reason = missing.get(name) ?? ""
  if (controls.has(name)) {
    const detail = `control group, version ${version}`
    if (name === "io")
      return {
        name,
        state: "enforced",
        detail: `${detail}: of the machine's programs, disk ${hierarchy.disk}`,
      }
    if (version === 2 || name !== "memory") return { name, state: "enforced", detail }
    return {
      name,
      state: "enforced",
      detail: `${detail}: what is over the limit is killed process by process`,
    }
  }
  if (name === "memory") {
    const detail = `${reason}; each process has a limit of its own instead`
    return { name, state: "degraded", detail, hint: "mount as root" }
  }
  if (name === "pids" && countsByNamespace()) {
    const detail = `${reason}; the kernel counts those of the sandbox's user instead`
    return { name, state: "degraded", detail, hint: "mount as root" }
  }
  const absent: Control = { name, state: "absent", detail: reason }
  // No right of anybody's helps against that.
  return name === "io" && hierarchy.disk === "" ? absent : { ...absent, hint: "mount as root" }
}

type Failure = Pick<Control, "detail"> & { readonly hint?: string }

/** Undefined when a sandbox with everything in it works. */
async function tried(
  { keeper, seccomp, mountpoint }: Means,
  landlock: number,
  profile?: string,
): Promise<Failure | undefined> {
  if (keeper === undefined)
    return { detail: "bubblewrap is not installed", hint: "apt-get install bubblewrap" }
  if (typeof seccomp !== "function") return { detail: seccomp.reason, hint: "apt-get install libseccomp2" }
  const [nothing, filter, tool] = [openSync("/dev/null", "r+"), seccomp(), openSync(TRIAL_PROGRAM, "r")]
  try {
    await using sandbox = new Sandbox({
      slot: keeper.prepare([]),
      plan: TRIAL,
      place: { mountpoint, toolName: "trial", scriptName: undefined },
      files: { terminal: undefined, tool, script: undefined, grants: [], seccomp: filter, secrets: [] },
      landlock,
      ungrouped: { memory: false, pids: false },
    })
    sandbox.begin({
      ...{ stdio: [nothing, nothing, nothing], command: ["/run/tool/trial"] },
      ...{ environment: {}, directory: "/tmp", profile },
    })
    const { status, wasStarted } = await sandbox.ended
    return status === 0 && wasStarted ? undefined : refused(sandbox.failure)
  } catch (thrown) {
    return { detail: describe(thrown) }
  } finally {
    for (const fd of [nothing, filter, tool]) closeSync(fd)
  }
}

function refused(failure: string | undefined): Failure {
  const detail = `bubblewrap can't make a sandbox here${failure === undefined ? "" : ` (${failure})`}`
  const restriction = userNamespaceRestriction()
  if (restriction !== undefined)
    return { detail: `${detail}: ${restriction.reason}`, hint: restriction.remedy }
  return { detail, hint: "it needs bubblewrap 0.8 or newer, and user namespaces" }
}
