/** What sandboxes must and may do (`system/sandbox.json`), and what they can do here (`clawfs sandbox status`). */
import { z } from "./zod.ts"

/** What keeps a tool in, each on its own. */
export const CONTROLS = [
  "namespaces",
  "identity",
  "nested-namespaces",
  "grants",
  "seccomp",
  "daemon",
  "memory",
  "cpu",
  "pids",
  "io",
  "timeout",
  "landlock",
  "apparmor",
  "link",
  "ebpf",
] as const
export type ControlName = (typeof CONTROLS)[number]

export interface Control {
  readonly name: ControlName
  readonly state: "enforced" | "degraded" | "absent"
  /** What does it, or why it is not there. */
  readonly detail: string
  /** What would help. */
  readonly hint?: string
}

/** Why there is no list of system calls for the daemon. */
export type Unconfined = Pick<Control, "detail" | "hint">

export interface SandboxStatus {
  readonly controls: readonly Control[]
  /** Those of `system/sandbox.json` that are not enforced here: no tool runs then. */
  readonly lacking: readonly ControlName[]
  readonly running: number
}

/** Totals are for all tools at once; the maxima are what one manifest may ask for. */
export const SandboxPolicy = z.strictObject({
  required: z
    .array(z.enum(CONTROLS))
    .default(["namespaces", "nested-namespaces", "grants", "seccomp", "timeout"]),
  maximum: z
    .strictObject({
      memory_limit_mb: z.int().min(4).default(2048),
      cpu_quota_percent: z.int().min(1).max(100).default(100),
      pids_limit: z.int().min(2).default(512),
      timeout_seconds: z.int().min(1).default(86_400),
      tmp_limit_mb: z.int().min(1).default(1024),
      /** Null for none. A tool whose manifest has no limit has this one. */
      io_limit_mb: z.int().min(1).nullable().default(null),
    })
    .prefault({}),
  total: z
    .strictObject({
      memory_limit_mb: z.int().min(4).default(2048),
      /** Of one CPU; 200 are two. */
      cpu_quota_percent: z.int().min(1).default(100),
      pids_limit: z.int().min(2).default(1024),
      io_limit_mb: z.int().min(1).nullable().default(null),
      /** Runs at the same time. */
      runs: z.int().min(1).max(1000).default(64),
    })
    .prefault({}),
  /** Sandboxes that are made before their tool is called again, of all tools together. Read when the daemon begins. */
  waiting: z.int().min(0).max(32).default(4),
  /** Addresses of links (docs/TOOLS.md): ADDRESS.0.0/16, which the machine must not use otherwise. */
  link_network: z
    .string()
    .regex(
      /^(?:10\.\d{1,2}|10\.1\d\d|10\.2[0-4]\d|10\.25[0-5]|172\.(?:1[6-9]|2\d|3[01])|192\.168|198\.1[89])\.0\.0\/16$/,
    )
    .default("10.213.0.0/16"),
  /** Where the kernel has AppArmor: complain tells its log of what is not granted, and lets it be. Read when the daemon begins. */
  apparmor: z.enum(["enforce", "complain", "off"]).default("enforce"),
  /** Read when the daemon begins to run tools. */
  monitor: z
    .strictObject({
      /** Of one run; refusals may be as many again. What is above is counted, not told. */
      records_per_second: z.int().min(10).max(1_000_000).default(10_000),
      /** Files of the host that no tool opens, granted or not, where the kernel has BPF LSM. */
      deny_files: z.array(z.string().startsWith("/")).max(1000).default([]),
      /** Tools start these programs, their own and its interpreter, and no others; with null any that they see. */
      exec_files: z.array(z.string().startsWith("/")).max(1000).nullable().default(null),
      /** Where counters are offered to Prometheus: `unix:/path`, `127.0.0.1:PORT`, `[::1]:PORT`. */
      metrics: z
        .string()
        .regex(/^(?:unix:\/.{1,100}|127(?:\.\d{1,3}){3}:\d{1,5}|\[::1\]:\d{1,5})$/)
        .nullable()
        .default(null),
    })
    .prefault({}),
})
export type SandboxPolicy = z.output<typeof SandboxPolicy>
