/** What a sandbox's first program is told (starter.c): where a call comes from, rights by Landlock, and where secrets go. */
import { shownAs, SCRIPT_DIRECTORY, TOOL_DIRECTORY, type Place } from "./bwrap.ts"
import type { SandboxPlan, SecretUse } from "./plan.ts"

/** Before version 2 no file could be renamed into another directory: too many programs do. */
export const LEAST_LANDLOCK = 2
/** What comes later starter.c does not know. */
export const NEWEST_LANDLOCK = 6

export interface StarterOptions {
  /** Number of the socket that what is to be run comes through. */
  readonly call: number
  /** The version that is used; 0 for none. */
  readonly landlock: number
  /** Numbers of the pipes of the plan's secrets, in their order. */
  readonly secrets: readonly number[]
}

/** Words of the starter. Secrets last: what is before them is done before anybody calls. */
export function starterWords(plan: SandboxPlan, place: Place, options: StarterOptions): string[] {
  const rules = options.landlock === 0 ? [] : [`l${options.landlock}`, ...landlockRules(plan, place)]
  const secrets = plan.secrets.map((use, at) => secretWord(use, options.secrets[at] ?? -1))
  return [...rules, `h${options.call}`, ...secrets]
}

function secretWord({ as, variable }: SecretUse, fd: number): string {
  return `${as === "env" ? "e" : "p"}${fd}=${variable}`
}

/** The same that is mounted, and how: a second layer for when something else is to be seen. */
function landlockRules(plan: SandboxPlan, { mountpoint }: Place): string[] {
  const root = shownAs(mountpoint)
  return [
    ...["d/", "r/usr", "r/bin", "r/sbin", "r/lib", "r/lib64", "r/lib32", "r/etc"],
    ...[`r${TOOL_DIRECTORY}`, `r${SCRIPT_DIRECTORY}`, "f/proc", "f/dev", "w/dev/shm", "w/tmp"],
    ...plan.grants.map(({ access, path }) => `${access === "read" ? "r" : "w"}${root}/${path}`),
    ...[...portsOf(plan)].map((port) => `t${port}`),
  ]
}

function portsOf({ network, link }: SandboxPlan): Set<number> {
  return new Set([...network.map(({ port }) => port), ...(link?.ports ?? [])])
}
