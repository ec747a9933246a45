/** A plan as an AppArmor profile (apparmor.d(5)): the same that is mounted, and how, in the kernel's other terms. */
import { SCRIPT_DIRECTORY, TOOL_DIRECTORY, shownAs } from "./bwrap.ts"
import type { SandboxPlan } from "./plan.ts"

export interface ProfileOptions {
  readonly name: string
  /** What is not allowed is told to the kernel's log, and happens all the same. */
  readonly complains: boolean
  /** The mount, as the host sees it. */
  readonly mountpoint: string
  /** Files that the caller has given as standard descriptors: the kernel looks at them again when the tool begins. */
  readonly given: readonly string[]
}

/** Read, map, execute: whatever it executes stays under the profile. */
const READ = "mrix"
const WRITE = "mrwklix"

export function profileText(plan: SandboxPlan, options: ProfileOptions): string {
  const { name, complains, mountpoint, given } = options
  const root = shownAs(mountpoint)
  const below = (path: string, rights: string): string[] => [
    `${quoted(path)} ${rights},`,
    `${quoted(path, "/**")} ${rights},`,
  ]
  const rules = [
    "/ r,",
    ...["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"].flatMap((path) => below(path, READ)),
    ...["/etc/** r,", "/run/ r,"],
    ...[TOOL_DIRECTORY, SCRIPT_DIRECTORY].flatMap((path) => below(path, READ)),
    // Writing to its own processes' files, as to their names; of /proc/sys and its kin nothing.
    ...["/proc/ r,", "/proc/** r,", "owner /proc/[0-9]*/** rw,"],
    ...["/dev/ r,", "/dev/** rw,", "/dev/shm/** mrwkl,"],
    ...below("/tmp", WRITE),
    ...plan.grants.flatMap(({ access, path }) => below(`${root}/${path}`, access === "read" ? READ : WRITE)),
    ...given.map((path) => `${quoted(path)} rw,`),
    ...["network unix,", "unix,"],
    ...(plan.network.length === 0 && plan.link === undefined ? [] : ["network inet,", "network inet6,"]),
    `signal peer=${name},`,
    "signal receive peer=unconfined,",
    `ptrace read peer=${name},`,
    `ptrace readby peer=${name},`,
  ]
  const flags = ["attach_disconnected", ...(complains ? ["complain"] : [])]
  return `profile ${name} flags=(${flags.join(",")}) {\n${rules.map((rule) => `  ${rule}\n`).join("")}}\n`
}

/** A path that stands for itself, whatever is in its name. */
function quoted(path: string, glob = ""): string {
  const plain = path.replaceAll(/[\\*?[\]{}^"]/g, "\\$&").replaceAll(/[\0-\x1f]/g, octal)
  return `"${plain}${glob}"`
}

function octal(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`
}
