/**
 * Tools as JSON (docs/TOOLS.md): what an author writes (`tool.json`), what is installed
 * (`tools/definitions/tool-NAME.json`, after P1.4), and the list of all (`tools/registry.json`).
 */
import { z } from "./zod.ts"

/** After P1.4 §2: lower case, hyphens inside. */
export const TOOL_NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/
export const TOOL_VERSION = /^(?:0|[1-9]\d{0,5})(?:\.(?:0|[1-9]\d{0,5})){2}$/

const Name = z.string().regex(TOOL_NAME, "a tool's name is lower case letters, digits and hyphens, up to 64")
const Version = z.string().regex(TOOL_VERSION, "a version is X.Y.Z, three numbers")
const Hash = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a hash is "sha256:" and 64 hexadecimal digits')
const Text = z.string().max(400)
/** What names a file: no message about it goes over several lines, and the kernel takes no NUL. */
const FILE = /^[^\u0000-\u001f\u007f]*$/
const file = (least: number, most: number): z.ZodString =>
  z.string().min(least).max(most).regex(FILE, "no control characters can be in the name of a file")
/** Colon form, such as `filesystem:read:/clawfs/workspaces/x`; `clawfs/tools/capability.ts` knows what each means. */
const Capability = z.string().min(1).max(4200)
const Variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "no name of an environment variable")

/** What a tool may use at most. Above that `system/sandbox.json` may set lower maxima. */
const limits = {
  /** Units of 1024 × 1024 bytes, of all its processes and of what it keeps in /tmp. */
  memory_limit_mb: z.int().min(4).max(16_384).default(64),
  /** Of one CPU. */
  cpu_quota_percent: z.int().min(1).max(100).default(10),
  /** Processes and threads, the sandbox's own first process counted. */
  pids_limit: z.int().min(2).max(1024).default(16),
  timeout_seconds: z.int().min(1).max(86_400).default(300),
  /** What fits into /tmp and /dev/shm, each. */
  tmp_limit_mb: z.int().min(1).max(4096).default(16),
  /** What it reads from the disk of the machine's programs in a second, and again what it writes there; null for no limit. */
  io_limit_mb: z.int().min(1).max(1_048_576).nullable().default(null),
}

const identity = {
  tool_id: Name,
  version: Version,
  description: Text.default(""),
  kind: z.enum(["native", "script"]),
  /** Of a script: absolute path of the program that runs it; without one its `#!` line says. */
  interpreter: file(2, 255).optional(),
  capabilities: z.array(Capability).max(64).default([]),
  /** Set in the tool's environment, which has nothing of the caller's but its language and terminal. */
  environment: z
    .record(
      Variable,
      z
        .string()
        .max(4096)
        .regex(/^[^\u0000]*$/, "no NUL can be in a variable"),
    )
    .default({}),
  /** JSON Schema of its arguments, for agents; ClawFS keeps it and does not read it. */
  argument_schema: z.record(z.string(), z.unknown()).optional(),
  /** Secrets of the vault, each by the variable that tells the tool of it; `capabilities` has them too. */
  secrets: z
    .record(
      Variable,
      z.strictObject({
        name: z.string().min(1).max(255),
        /** env: the variable has the value · fd: it has the path of a pipe that gives the value once */
        as: z.enum(["env", "fd"]).default("env"),
      }),
    )
    .default({}),
  author: Text.default(""),
  license: Text.default(""),
}

/** `tool.json` in the directory that a tool is installed from. */
export const ToolManifest = z.strictObject({
  ...identity,
  ...limits,
  /** The tool's one file, relative to the directory. */
  entry: file(1, 1024),
  /** Of that file: when it is given and differs, nothing is installed. */
  hash: Hash.optional(),
})
export type ToolManifest = z.output<typeof ToolManifest>

/** A version that is installed. */
export const ToolDefinition = z.strictObject({
  ...identity,
  ...limits,
  /** As the mount point were `/clawfs`. */
  binary_path: z.string(),
  binary_hash: Hash,
  binary_bytes: z.int().nonnegative(),
  installed_at: z.string(),
})
export type ToolDefinition = z.output<typeof ToolDefinition>

const InstalledVersion = z.strictObject({ version: Version, binary_hash: Hash, definition_hash: Hash })
export type InstalledVersion = z.output<typeof InstalledVersion>

const RegistryEntry = z.strictObject({
  enabled: z.boolean(),
  /** The version that runs. */
  current: Version,
  /** In the order of their installation. */
  versions: z.array(InstalledVersion).min(1),
})
export type RegistryEntry = z.output<typeof RegistryEntry>

export const ToolRegistry = z.strictObject({
  format: z.literal(1),
  updated_at: z.string(),
  tools: z.record(Name, RegistryEntry),
})
export type ToolRegistry = z.output<typeof ToolRegistry>

/** The JSON Schema of `tool.json`, as `schema/tool-manifest.schema.json` publishes it. */
export function manifestJsonSchema(): object {
  return z.toJSONSchema(ToolManifest, { io: "input" })
}
