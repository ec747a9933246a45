/**
 * A plan as bubblewrap's options. The order matters: what it mounts can't be changed by anybody until the tool's writable
 * directories come, which are bound last, so that no mount point is ever made below one (CVE-2026-87766).
 */
import { existsSync, lstatSync } from "node:fs"
import type { SandboxPlan } from "./plan.ts"

/** Host and inside: the user that owns nothing. */
export const NOBODY = 65_534

/** Where the tool's own file is, and a script that it is the interpreter of. */
export const TOOL_DIRECTORY = "/run/tool"
export const SCRIPT_DIRECTORY = "/run/script"

/** Descriptors as bubblewrap gets them, by number. */
export interface SandboxFds {
  readonly status: number
  readonly block: number
  readonly seccomp: number
  /** Contents of files of `/etc`, by name. */
  readonly settings: Readonly<Record<string, number>>
}

/** What is bound, as paths that bubblewrap's user can name. */
export interface Sources {
  readonly tool: string
  readonly script: string | undefined
  /** In the order of the plan. */
  readonly grants: readonly string[]
  /** The root with what `base` has, made ahead and read-only but for itself (keeper.c); undefined where there is none. */
  readonly base: string | undefined
}

export interface Place {
  /** Of the mount, as the host sees it: granted paths have the same names inside. */
  readonly mountpoint: string
  readonly toolName: string
  readonly scriptName: string | undefined
}

/** All options up to the command; for `--args`. */
export function bwrapOptions(plan: SandboxPlan, place: Place, fds: SandboxFds, sources: Sources): string[] {
  return [
    ...ISOLATION,
    ...["--json-status-fd", fds.status, "--block-fd", fds.block, "--seccomp", fds.seccomp].map(String),
    ...(sources.base === undefined ? base() : ["--bind", sources.base, "/"]),
    ...Object.entries(fds.settings).flatMap(([name, fd]) => ["--ro-bind-data", String(fd), `/etc/${name}`]),
    ...memoryFiles(plan.tmpBytes),
    ...["--ro-bind", sources.tool, `${TOOL_DIRECTORY}/${place.toolName}`],
    ...(sources.script === undefined || place.scriptName === undefined
      ? []
      : ["--ro-bind", sources.script, `${SCRIPT_DIRECTORY}/${place.scriptName}`]),
    ...granted(plan, place, sources),
    ...["--remount-ro", "/"],
  ]
}

const ISOLATION = [
  ...["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"],
  ...["--uid", String(NOBODY), "--gid", String(NOBODY), "--hostname", "clawfs"],
  ...["--die-with-parent", "--new-session", "--clearenv"],
]

/** Programs and libraries of the machine, as they are; of its settings what a dynamic linker needs, and certificates. */
function base(): string[] {
  const linked = ["/bin", "/sbin", "/lib", "/lib64", "/lib32"].flatMap((path) => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return []
    return stat.isSymbolicLink() ? ["--symlink", `usr${path}`, path] : ["--ro-bind", path, path]
  })
  const settings = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/ssl/certs"].filter(
    (path) => existsSync(path),
  )
  return ["--ro-bind", "/usr", "/usr", ...linked, ...settings.flatMap((path) => ["--ro-bind", path, path])]
}

/** Keys are not namespaced, and timers tell of the host's programs. */
const HIDDEN = [
  "/proc/keys",
  "/proc/key-users",
  "/proc/timer_list",
  "/proc/sched_debug",
  "/proc/kallsyms",
  "/proc/kcore",
]

function memoryFiles(tmpBytes: number): string[] {
  const tmpfs = (path: string): string[] => ["--perms", "1777", "--size", String(tmpBytes), "--tmpfs", path]
  return [
    ...[
      "--proc",
      "/proc",
      ...HIDDEN.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", "/dev/null", path]),
    ],
    ...["--dev", "/dev", ...tmpfs("/dev/shm"), "--remount-ro", "/dev"],
    ...tmpfs("/tmp"),
  ]
}

const SPECIFIED = "/clawfs"
const TAKEN = /^\/(?:usr|bin|sbin|lib\w*|etc|proc|dev|run\/tool|run\/script)(?:\/|$)/

/** The mount point as a tool sees it: where it is on the host, unless something else is there. */
export function shownAs(mountpoint: string): string {
  return TAKEN.test(mountpoint) || mountpoint === "/" ? SPECIFIED : mountpoint
}

function granted(plan: SandboxPlan, { mountpoint }: Place, { grants }: Sources): string[] {
  const root = shownAs(mountpoint)
  const binds = (access: "read" | "write", option: string): string[] =>
    plan.grants.flatMap((grant, at) =>
      grant.access === access ? [option, grants[at] ?? "", `${root}/${grant.path}`] : [],
    )
  // Tools, and their callers, may call the mount by its name in the specification.
  const alias = root === SPECIFIED || plan.grants.length === 0 ? [] : ["--symlink", root, SPECIFIED]
  return [...alias, ...binds("read", "--ro-bind"), ...binds("write", "--bind")]
}
