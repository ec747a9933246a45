/**
 * What a call of a tool comes to, for programs (`clawfs tool run --json`, docs/TOOLS.md): the codes of P1.7 and P1.8, and what
 * claw_proc_spawn and claw_proc_wait tell. And how it is asked for by a file.
 */
import { z } from "./zod.ts"
import type { RunReason } from "./run-record.ts"

export const TOOL_ANSWER_FORMAT = 1

/** P1.8; ETIMEOUT is spelt so there. Nothing here makes EPANIC. */
export const CODES = {
  SUCCESS: 0,
  EAGAIN: 1,
  EIO: 2,
  ENOENT: 3,
  EPERM: 4,
  EPROTO: 5,
  ETIMEOUT: 6,
  EINTERNAL: 7,
  EPANIC: 8,
} as const
export type CodeName = keyof typeof CODES

/** What the runner says of a call. */
export interface ToolOutcome {
  readonly format: typeof TOOL_ANSWER_FORMAT
  /** Of the call: 0 when the tool has run to its end, whatever its exit status. */
  readonly code: number
  readonly error: CodeName
  /** One sentence; empty when there is nothing to say. */
  readonly message: string
  readonly hint?: string
  /** `system/runs/RUN.json`; null when no run has begun. */
  readonly run_id: string | null
  readonly reason: RunReason | null
  /** Of the sandbox's first process, on the host; 0 when there was none. */
  readonly pid: number
  /** As a shell has it: 128 and the signal's number for a program that was killed. */
  readonly exit_code: number
  /** 0 unless it was killed by one. */
  readonly signal: number
  readonly runtime_ns: number
}

/** What a tool has written: as text where it is UTF-8. */
export interface Output {
  readonly encoding: "utf8" | "base64"
  readonly data: string
  /** There was more. */
  readonly truncated: boolean
}

export interface ToolAnswer extends ToolOutcome {
  readonly stdout: Output
  readonly stderr: Output
}

/** Of each stream; what is above is read and dropped. */
export const MOST_OUTPUT = 1024 * 1024

const word = z.string().max(4096)
const FLAGS = { DETACHED: 1, NEW_PID_NS: 2, NEW_NET_NS: 4 } as const

/** After claw_proc_spawn's arguments; a sandbox has the namespaces that flags can ask for anyhow. */
export const ToolRequest = z.strictObject({
  /** As if the mount point were `/clawfs`: the tool's own file. */
  executable: word.optional(),
  /** Behind the program's own name. */
  argv: z.array(word).max(64).default([]),
  /** "NAME=value"; a tool gets language and terminal, no others. */
  envp: z.array(word).max(64).default([]),
  working_dir: word.default("/"),
  flags: z
    .int()
    .min(0)
    .max(FLAGS.NEW_PID_NS | FLAGS.NEW_NET_NS | FLAGS.DETACHED)
    .refine((flags) => (flags & FLAGS.DETACHED) === 0, "a tool can't be detached from its request")
    .default(0),
  stdin: z.string().default(""),
})
export type ToolRequest = z.output<typeof ToolRequest>
