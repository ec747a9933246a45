/** What becomes of IronClaw's tables, releases 0.1 to 0.29 (V1 to V27). A table that is not here is archived as it is. */
import { encodeId, encodeName } from "../names.ts"
import type { Disposition } from "../source.ts"

/** Values of the expressions that a file is named by; NULL as undefined. */
export type Group = readonly (string | undefined)[]

interface Common {
  readonly table: string
  /** Columns without which the mapping makes no sense: then the table is archived. */
  readonly needs: readonly string[]
  /** For people. */
  readonly target: string
  readonly mode?: number
}

/** One JSON file a row. */
export interface RowFiles extends Common {
  readonly kind: "files"
  readonly path: (value: (column: string) => string | undefined) => string[]
  readonly modified?: string
}

/** A file of JSON lines for each group of rows. */
export interface LineFiles extends Common {
  readonly kind: "lines"
  /** SQL with `t` for the table: what a file is for. All NULL-able. */
  readonly group: readonly string[]
  readonly join?: string
  readonly joinNeeds?: readonly string[]
  readonly path: (group: Group) => string[]
  readonly order: string
}

export type Mapping = RowFiles | LineFiles

const NOBODY = "%00"
const idOf = (value: string | undefined): string => (value === undefined ? NOBODY : encodeId(value))
const agent = (...rest: string[]): string[] => ["agents", "default", ...rest]
const month = (column: string): string => `to_char(t.${column} AT TIME ZONE 'UTC', 'YYYY-MM')`
const MONTHLESS = "undated"

function files(
  table: string,
  needs: readonly string[],
  target: string,
  path: RowFiles["path"],
  more: { readonly modified?: string; readonly mode?: number } = {},
): RowFiles {
  return { kind: "files", table, needs, target, path, ...more }
}

/** All rows in one file. */
function whole(table: string, order: string, path: string[], mode?: number): LineFiles {
  const common = { kind: "lines" as const, table, needs: [order], group: [], path: () => path }
  return { ...common, order: `t.${order}`, target: path.join("/"), ...(mode === undefined ? {} : { mode }) }
}

function monthly(table: string, column: string, directory: string[]): LineFiles {
  return {
    ...{ kind: "lines", table, needs: ["id", column], group: [month(column)] },
    path: ([when]) => [...directory, `${when ?? MONTHLESS}.jsonl`],
    order: `t.${column}, t.id`,
    target: `${directory.join("/")}/<month>.jsonl`,
  }
}

const OF_JOB = "agents/default/jobs/<user>/<job>/"
const JOB_JOIN = (jobs: string): string => `LEFT JOIN ${jobs} j ON j.id = t.job_id`

function ofJob(table: string, name: string, order: string, needs: readonly string[]): LineFiles {
  return {
    ...{ kind: "lines", table, needs: ["job_id", ...needs], group: ["j.user_id", "t.job_id"], order },
    join: "agent_jobs",
    joinNeeds: ["id", "user_id"],
    path: ([user, job]) => agent("jobs", idOf(user), idOf(job), name),
    target: `${OF_JOB}${name}`,
  }
}

/** Joins by the name of the other table, as they need its name in SQL. */
export const JOINS: Readonly<Record<string, (sql: string) => string>> = {
  agent_jobs: JOB_JOIN,
  conversations: (sql) => `LEFT JOIN ${sql} c ON c.id = t.conversation_id`,
  routines: (sql) => `LEFT JOIN ${sql} r ON r.id = t.routine_id`,
}

/** In the order in which files are made. */
export const MAPPINGS: readonly Mapping[] = [
  files("users", ["id"], "system/users/<user>.json", (of) => ["system", "users", `${idOf(of("id"))}.json`], {
    modified: "updated_at",
  }),
  {
    kind: "lines",
    ...{ table: "user_identities", needs: ["id", "user_id"], group: ["t.user_id"] },
    path: ([user]) => ["system", "users", `${idOf(user)}.identities.jsonl`],
    order: "t.id",
    target: "system/users/<user>.identities.jsonl",
  },
  whole("channel_identities", "id", ["system", "users", "channel-identities.jsonl"]),
  whole("api_tokens", "id", ["system", "auth", "api-tokens.jsonl"], 0o600),
  files(
    "conversations",
    ["id", "user_id"],
    "agents/default/conversations/<user>/<id>/conversation.json",
    (of) => agent("conversations", idOf(of("user_id")), idOf(of("id")), "conversation.json"),
    { modified: "last_activity" },
  ),
  {
    kind: "lines",
    ...{ table: "conversation_messages", needs: ["id", "conversation_id", "created_at"] },
    ...{ group: ["c.user_id", "t.conversation_id"], join: "conversations", joinNeeds: ["id", "user_id"] },
    path: ([user, id]) => agent("conversations", idOf(user), idOf(id), "messages.jsonl"),
    order: "t.created_at, t.id",
    target: "agents/default/conversations/<user>/<id>/messages.jsonl",
  },
  files("agent_jobs", ["id"], `${OF_JOB}job.json`, (of) =>
    agent("jobs", idOf(of("user_id")), idOf(of("id")), "job.json"),
  ),
  ofJob("job_actions", "actions.jsonl", "t.sequence_num, t.id", ["id", "sequence_num"]),
  ofJob("job_events", "events.jsonl", "t.id", ["id"]),
  ofJob("estimation_snapshots", "estimates.jsonl", "t.id", ["id"]),
  monthly("llm_calls", "created_at", ["system", "usage", "llm_calls"]),
  {
    kind: "lines",
    ...{ table: "routine_runs", needs: ["id", "routine_id"], joinNeeds: ["id", "user_id", "name"] },
    ...{ group: ["r.user_id", "r.name", "t.routine_id"], join: "routines", order: "t.id" },
    path: ([user, name, id]) =>
      agent("routines", idOf(user), `${name === undefined ? idOf(id) : encodeId(name)}.runs.jsonl`),
    target: "agents/default/routines/<user>/<name>.runs.jsonl",
  },
  files("heartbeat_state", ["user_id"], "agents/<agent>/heartbeat/<user>.json", (of) => [
    "agents",
    encodeId(of("agent_id") ?? "default"),
    "heartbeat",
    `${idOf(of("user_id"))}.json`,
  ]),
  monthly("secret_usage_log", "created_at", ["system", "audit", "secret-usage"]),
  monthly("leak_detection_events", "created_at", ["system", "audit", "leaks"]),
  whole("leak_detection_patterns", "id", ["system", "policy", "leak-patterns.imported.jsonl"]),
  whole("tool_failures", "id", ["system", "history", "tool_failures.jsonl"]),
  whole("repair_attempts", "id", ["system", "history", "repair_attempts.jsonl"]),
  files(
    "dynamic_tools",
    ["id", "name"],
    "tools/imported/dynamic/<name>.json",
    (of) => ["tools", "imported", "dynamic", `${encodeName(of("name") ?? "").replaceAll("/", "%2F")}.json`],
    { mode: 0o600 },
  ),
]

/** Tables with code of their own, and those that the mapping covers, for the plan. */
export const OWN: Readonly<Record<string, readonly [Disposition, string]>> = {
  memory_documents: ["files", "workspaces/<user>/<path>"],
  memory_document_versions: ["files", "workspaces/<user>/.clawfs/versions/<path>/<n>"],
  memory_chunks: ["archive", "system/migrations/<run>/chunks.jsonl, vectors-<dimension>.f32"],
  settings: ["files", "system/settings/<user>/<key>.json"],
  routines: ["files", "agents/default/routines/<user>/<name>.json"],
  wasm_tools: ["files", "tools/imported/<user>/<name>/<version>/"],
  tool_capabilities: ["files", "tools/imported/<user>/<name>/<version>/capabilities.json"],
  wasm_channels: ["files", "tools/imported/channels/<user>/<name>/<version>/"],
  secrets: ["vault", "the vault"],
}

/** Known, and of no use after the move: kept as they are. */
export const ARCHIVED: ReadonlySet<string> = new Set([
  ...["tool_rate_limit_state", "pairing_requests", "refinery_schema_history"],
  ...["root_filesystem_entries", "root_filesystem_events", "root_filesystem_sequences"],
  ...["root_filesystem_index_specs", "root_filesystem_ordered_index_rows"],
])
