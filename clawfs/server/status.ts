/** What `clawfs status` and the file `.status` show. */
import { statfsSync } from "node:fs"
import { Opcode } from "../fuse/abi.ts"
import { flagNames } from "../fuse/flags.ts"
import { hasResend } from "../fuse/session.ts"
import { VERSION } from "../core/version.ts"
import type { ServerConfig } from "./messages.ts"
import type { ScrubStatus } from "./scrubbing.ts"
import type { SessionMemory } from "./session-memory.ts"

export interface Status {
  readonly version: string
  readonly state: "serving"
  readonly store: string
  readonly mountpoint: string
  readonly readOnly: boolean
  readonly supervisor: { readonly pid: number }
  readonly server: {
    readonly pid: number
    readonly restarts: number
    readonly uptimeSeconds: number
    readonly rssBytes: number
  }
  readonly inodes: { readonly used: number; readonly orphans: number }
  readonly bytes: { readonly used: number; readonly available: number }
  /** Complete segments of the log: bytes that files need and bytes that can come back; orders to clean that are done. */
  readonly log: { readonly liveBytes: number; readonly deadBytes: number; readonly cleaned: number }
  /** Bytes of `meta.db` that hold nothing; whether a sync has failed that was not made good since. */
  readonly database: { readonly freeBytes: number }
  readonly isSyncFailing: boolean
  /** Only from the daemon itself, not in the file `.status`. */
  readonly scrub?: ScrubStatus
  /** Inodes that the kernel holds. */
  readonly lookups: number
  readonly protocol: { readonly minor: number; readonly flags: readonly string[]; readonly resend: boolean }
  readonly requests: {
    readonly answered: number
    readonly replayed: number
    readonly byKind: Readonly<Record<string, number>>
  }
}

export function statusOf(config: ServerConfig, memory: SessionMemory): Status {
  const { inodes, bytes } = memory.totals
  const disk = statfsSync(config.store)
  const agreement = memory.agreement
  const byKind: Record<string, number> = {}
  for (const [opcode, count] of memory.opcodeCounts()) byKind[nameOf(opcode)] = count
  return {
    version: VERSION,
    state: "serving",
    store: config.store,
    mountpoint: config.mountpoint,
    readOnly: config.readOnly,
    supervisor: { pid: config.supervisorPid },
    server: {
      pid: process.pid,
      restarts: config.restarts,
      uptimeSeconds: Math.round(process.uptime()),
      rssBytes: process.memoryUsage.rss(),
    },
    inodes: { used: inodes, orphans: memory.orphans },
    bytes: { used: bytes, available: disk.bavail * disk.bsize },
    log: { liveBytes: memory.logSpace.live, deadBytes: memory.logSpace.dead, cleaned: memory.cleaned },
    database: { freeBytes: memory.freeBytes },
    isSyncFailing: memory.isInDoubt,
    lookups: memory.lookups,
    protocol: {
      minor: agreement?.minor ?? 0,
      flags: flagNames(agreement?.flags ?? 0n),
      resend: agreement !== undefined && hasResend(agreement),
    },
    requests: { answered: memory.answered, replayed: memory.replayed, byKind },
  }
}

const NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, opcode]) => [opcode, name]))

function nameOf(opcode: number): string {
  return NAMES.get(opcode) ?? `opcode ${opcode}`
}

export function statusText(config: ServerConfig, memory: SessionMemory): string {
  return `${JSON.stringify(statusOf(config, memory), undefined, 2)}\n`
}
