/**
 * `agents/AGENT/identity.json` (P1.4 §5.3, with the optional members of P3.4): who an agent is, what it has learned and done.
 * Members that are not named here are kept, and are under the checksum too.
 */
import { z } from "./zod.ts"

/** As a directory below `agents` is named (P1.4 §2). */
export const AGENT_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?$/

const AgentId = z.string().regex(AGENT_NAME)
const Time = z.iso.datetime({ offset: true })
const Count = z.int().nonnegative()
const Amount = z.number().nonnegative()
const Label = z.string().max(1024)

const State = z.looseObject({
  current_phase: Label.nullable(),
  current_task: Label.nullable(),
  last_checkpoint: Time.nullable(),
  status: z.enum(["idle", "in_progress", "blocked", "error"]),
  subtasks: z.array(z.unknown()).optional(),
  context: z.unknown().optional(),
})

const Memory = z.looseObject({
  learned_patterns: z.array(
    z.looseObject({
      pattern_id: Label,
      description: z.string(),
      confidence: Amount,
      learned_at: Time,
      usage_count: Count,
    }),
  ),
  heuristics: z.array(
    z.looseObject({ heuristic_id: Label, rule: z.string(), accuracy: Amount, last_validated: Time }),
  ),
  knowledge_graph: z.looseObject({ nodes: z.array(z.unknown()), edges: z.array(z.unknown()) }).optional(),
})

const History = z.looseObject({
  completed_tasks: z.array(z.unknown()),
  failed_tasks: z.array(z.unknown()),
  total_executions: Count,
  success_rate: Amount,
  task_breakdown: z.unknown().optional(),
  recent_errors: z.array(z.unknown()).optional(),
})

const Performance = z.looseObject({
  avg_execution_time_ms: Amount,
  peak_memory_mb: Amount,
  last_benchmark: Time.nullable(),
  benchmark_results: z.unknown().optional(),
  optimization_history: z.array(z.unknown()).optional(),
})

export const Identity = z.looseObject({
  agent_id: AgentId,
  version: z.string().min(1).max(64),
  created_at: Time,
  updated_at: Time,
  state: State,
  memory: Memory,
  history: History,
  performance: Performance,
  preferences: z
    .looseObject({ retry_policy: z.unknown(), resource_limits: z.unknown() })
    .partial()
    .optional(),
  /** SHA-256 of the canonical JSON (RFC 8785) of all the other members. */
  checksum: z.string().regex(/^sha256:[0-9a-f]{64}$/),
})
export type Identity = z.output<typeof Identity>

/** The JSON Schema of `identity.json`, as `schema/identity.schema.json` publishes it. */
export function identityJsonSchema(): object {
  return z.toJSONSchema(Identity, { io: "input" })
}
