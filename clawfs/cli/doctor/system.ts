/** Limits, /proc, accounts, systemd, and the mounts that are there. */
import { existsSync, readFileSync } from "node:fs"
import { AGENTS_GROUP, TOOLS_OWNER, USERS_GROUP, idOf, type AccountKind } from "../accounts.ts"
import type { Report } from "../reports.ts"
import { bad, ok, type Check } from "./check.ts"

/** A server keeps a descriptor for every segment of its log that it reads. */
const LEAST_FILES = 1024

export function systemChecks(reports: readonly Report[]): Check[] {
  return [filesCheck(), procCheck(), accountsCheck(), systemdCheck(), mountsCheck(reports)]
}

function filesCheck(): Check {
  const [, , hard = ""] =
    /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
  const most = hard === "unlimited" ? Infinity : Number(hard)
  const facts = { hard }
  if (most >= LEAST_FILES) return ok("files", `a process may have ${hard} files open`, facts)
  return bad("warn", "files", {
    message: `a process may have only ${hard} files open: large stores need more`,
    hint: `raise the limit to ${LEAST_FILES} or more (ulimit -Hn, /etc/security/limits.conf)`,
    facts,
  })
}

const PROC = ["/proc/self/mountinfo", "/proc/self/fd", "/proc/self/maps"]

function procCheck(): Check {
  const missing = PROC.filter((path) => !existsSync(path))
  if (missing.length === 0) return ok("proc", "/proc is mounted")
  return bad("fail", "proc", {
    message: `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing: /proc is not as ClawFS needs it`,
    hint: "as root: mount -t proc proc /proc",
  })
}

function accountsCheck(): Check {
  const wanted: readonly (readonly [AccountKind, string])[] = [
    ["group", AGENTS_GROUP],
    ["group", USERS_GROUP],
    ["user", TOOLS_OWNER],
  ]
  const missing = wanted.filter(([kind, name]) => idOf(kind, name) === undefined)
  if (missing.length === 0)
    return ok("accounts", `the groups ${AGENTS_GROUP} and ${USERS_GROUP} and the user ${TOOLS_OWNER} exist`)
  const commands = missing.map(([kind, name]) =>
    kind === "group" ? `groupadd --system ${name}` : `useradd --system --shell /usr/sbin/nologin ${name}`,
  )
  return bad("warn", "accounts", {
    message: `missing: ${missing.map((words) => words.join(" ")).join(", ")}; clawfs init as root puts root in their place`,
    hint: `as root: ${commands.join(" && ")}`,
    facts: { missing: missing.map(([, name]) => name) },
  })
}

function systemdCheck(): Check {
  // As sd_booted(3) finds out.
  if (existsSync("/run/systemd/system")) return ok("systemd", "systemd runs: clawfs install-service works")
  return bad("warn", "systemd", {
    message: "systemd does not run here: nothing mounts a store at boot",
    hint: "run clawfs mount --foreground under the supervisor that this machine has",
  })
}

function mountsCheck(reports: readonly Report[]): Check {
  const sick = reports.filter(({ state }) => ["dead", "hung", "failed"].includes(state))
  const facts = { mounts: reports.length, sick: sick.map(({ mountpoint }) => mountpoint) }
  const [first] = sick
  if (first === undefined) return ok("mounts", `ClawFS mounts: ${reports.length}, none dead`, facts)
  const names = sick.map(({ state, mountpoint }) => `${mountpoint} (${state})`)
  return bad("warn", "mounts", {
    message: `programs can't use ${names.join(", ")}`,
    hint: `take it away: clawfs unmount ${first.state === "hung" ? "--lazy " : ""}${first.mountpoint}`,
    facts,
  })
}
