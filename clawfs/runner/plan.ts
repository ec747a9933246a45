/** What a sandbox is made of, as data: worked out of a definition before anything is started. */
import type { SandboxPolicy } from "../../schema/sandbox.ts"
import type { ToolDefinition } from "../../schema/tool.ts"
import { parseCapabilities } from "../tools/capability.ts"
import type { NetworkGrant } from "../tools/network-grant.ts"
import type { LinkGrant } from "./link.ts"

export interface Grant {
  readonly access: "read" | "write"
  /** From the root of the filesystem, without a slash at its beginning. */
  readonly path: string
}

/** A secret of the vault that the tool gets (docs/TOOLS.md). */
export interface SecretUse {
  readonly name: string
  readonly variable: string
  /** env: the variable has the value · fd: it has the path of a pipe that gives the value once */
  readonly as: "env" | "fd"
}

export interface SandboxPlan {
  readonly grants: readonly Grant[]
  readonly maySpawn: boolean
  readonly network: readonly NetworkGrant[]
  /** Undefined without an interface of its own. */
  readonly link: LinkGrant | undefined
  readonly secrets: readonly SecretUse[]
  readonly environment: Readonly<Record<string, string>>
  readonly limits: {
    readonly memory_limit_mb: number
    readonly cpu_quota_percent: number
    readonly pids_limit: number
    readonly timeout_seconds: number
    readonly io_limit_mb: number | null
  }
  readonly tmpBytes: number
}

const CLAWFS = "/clawfs/"
const MIB = 1024 * 1024
const PATH = "/usr/local/bin:/usr/bin:/bin"
/** Of the caller's environment a tool gets what concerns language, time and terminal, and nothing else. */
const PASSED_ON = /^(?:LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|COLORTERM|NO_COLOR|COLUMNS|LINES)$/
const MOST_VALUE = 1024

/** `caller`: "NAME=value" as the caller has it. */
export function planOf(
  definition: ToolDefinition,
  { maximum, total, link_network }: SandboxPolicy,
  caller: readonly string[],
): SandboxPlan {
  const capabilities = parseCapabilities(definition.capabilities)
  const ports = capabilities.flatMap((each) => (each.kind === "link" ? [each.port] : []))
  const least = (a: number, ...others: number[]): number => Math.min(a, ...others)
  return {
    grants: capabilities.flatMap((each) =>
      each.kind === "filesystem" ? [{ access: each.access, path: each.path.slice(CLAWFS.length) }] : [],
    ),
    network: capabilities.flatMap((each) =>
      each.kind === "network" ? [{ host: each.host, port: each.port, isAddress: each.isAddress }] : [],
    ),
    link: ports.length === 0 ? undefined : { ports, network: link_network.replace(/\.0\.0\/16$/, "") },
    secrets: Object.entries(definition.secrets).map(([variable, { name, as }]) => ({ name, variable, as })),
    maySpawn: capabilities.some(({ kind }) => kind === "process"),
    environment: { ...passedOn(caller), PATH, HOME: "/tmp", ...definition.environment },
    limits: {
      memory_limit_mb: least(definition.memory_limit_mb, maximum.memory_limit_mb, total.memory_limit_mb),
      cpu_quota_percent: least(
        definition.cpu_quota_percent,
        maximum.cpu_quota_percent,
        total.cpu_quota_percent,
      ),
      pids_limit: least(definition.pids_limit, maximum.pids_limit, total.pids_limit),
      timeout_seconds: least(definition.timeout_seconds, maximum.timeout_seconds),
      io_limit_mb: leastOf(definition.io_limit_mb, maximum.io_limit_mb, total.io_limit_mb),
    },
    tmpBytes: least(definition.tmp_limit_mb, maximum.tmp_limit_mb) * MIB,
  }
}

/** Null for no limit. */
function leastOf(...limits: readonly (number | null)[]): number | null {
  const given = limits.filter((limit) => limit !== null)
  return given.length === 0 ? null : Math.min(...given)
}

function passedOn(caller: readonly string[]): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const word of caller) {
    const cut = word.indexOf("=")
    const [name, value] = [word.slice(0, cut), word.slice(cut + 1)]
    if (cut > 0 && PASSED_ON.test(name) && value.length <= MOST_VALUE) kept[name] = value
  }
  return kept
}
