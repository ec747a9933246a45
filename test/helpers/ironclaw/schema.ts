/**
 * IronClaw's schema as its migrations V1 to V27 make it, by level: what a level adds, in an order that a server takes.
 * Written after the description of the tables (column names, types, defaults that matter), not copied.
 */

/** `VECTOR` stands for pgvector's type where there is one; otherwise such columns are left out. */
interface Step {
  readonly level: number
  readonly sql: string
}

const id = "id uuid PRIMARY KEY DEFAULT gen_random_uuid()"
const times = "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"

const STEPS: readonly Step[] = [
  {
    level: 1,
    sql: `CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))`,
  },
  {
    level: 1,
    sql: `CREATE TABLE memory_documents (${id}, user_id text NOT NULL, agent_id uuid, path text NOT NULL, content text NOT NULL, ${times}, metadata jsonb NOT NULL DEFAULT '{}', UNIQUE (user_id, agent_id, path))`,
  },
  {
    level: 1,
    sql: `CREATE TABLE memory_chunks (${id}, document_id uuid NOT NULL REFERENCES memory_documents (id) ON DELETE CASCADE, chunk_index int NOT NULL, content text NOT NULL, content_tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', content)) STORED, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (document_id, chunk_index))`,
  },
  {
    level: 1,
    sql: `CREATE TABLE heartbeat_state (${id}, user_id text NOT NULL, agent_id uuid, last_run timestamptz, next_run timestamptz, interval_seconds int NOT NULL DEFAULT 1800, enabled bool NOT NULL DEFAULT true, consecutive_failures int NOT NULL DEFAULT 0, last_checks jsonb NOT NULL DEFAULT '{}')`,
  },
  {
    level: 1,
    sql: `CREATE TABLE conversations (${id}, channel text NOT NULL, user_id text NOT NULL, thread_id text, started_at timestamptz NOT NULL DEFAULT now(), last_activity timestamptz NOT NULL DEFAULT now(), metadata jsonb NOT NULL DEFAULT '{}')`,
  },
  {
    level: 1,
    sql: `CREATE TABLE conversation_messages (${id}, conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, role text NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 1,
    sql: `CREATE TABLE agent_jobs (${id}, conversation_id uuid, title text NOT NULL, description text NOT NULL, status text NOT NULL, source text NOT NULL, estimated_cost numeric, actual_cost numeric, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 1,
    sql: `CREATE TABLE job_actions (${id}, job_id uuid NOT NULL REFERENCES agent_jobs (id) ON DELETE CASCADE, sequence_num int NOT NULL, tool_name text NOT NULL, input jsonb NOT NULL, output_raw text, output_sanitized jsonb, sanitization_warnings jsonb, cost numeric, duration_ms int, success bool NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (job_id, sequence_num))`,
  },
  {
    level: 1,
    sql: `CREATE TABLE llm_calls (${id}, job_id uuid, conversation_id uuid, provider text NOT NULL, model text NOT NULL, input_tokens int NOT NULL, output_tokens int NOT NULL, cost numeric NOT NULL, purpose text, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 1,
    sql: `CREATE TABLE estimation_snapshots (${id}, job_id uuid NOT NULL, category text NOT NULL, estimated_cost numeric NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 1,
    sql: `CREATE TABLE repair_attempts (${id}, target_type text NOT NULL, diagnosis text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 1,
    sql: `CREATE VIEW chunks_pending_embedding AS SELECT id AS chunk_id, content FROM memory_chunks`,
  },
  {
    level: 2,
    sql: `CREATE TABLE secrets (${id}, user_id text NOT NULL, name text NOT NULL, encrypted_value bytea NOT NULL, key_salt bytea NOT NULL, provider text, expires_at timestamptz, last_used_at timestamptz, usage_count bigint NOT NULL DEFAULT 0, ${times}, UNIQUE (user_id, name))`,
  },
  {
    level: 2,
    sql: `CREATE TABLE wasm_tools (${id}, user_id text NOT NULL, name text NOT NULL, version text NOT NULL DEFAULT '1.0.0', description text NOT NULL, wasm_binary bytea NOT NULL, binary_hash bytea NOT NULL, parameters_schema jsonb NOT NULL, source_url text, trust_level text NOT NULL DEFAULT 'user', status text NOT NULL DEFAULT 'active', ${times}, UNIQUE (user_id, name, version))`,
  },
  {
    level: 2,
    sql: `CREATE TABLE tool_capabilities (${id}, wasm_tool_id uuid NOT NULL UNIQUE REFERENCES wasm_tools (id) ON DELETE CASCADE, http_allowlist jsonb NOT NULL DEFAULT '[]', allowed_secrets text[] NOT NULL DEFAULT '{}', tool_aliases jsonb NOT NULL DEFAULT '{}', requests_per_minute int NOT NULL DEFAULT 60, workspace_read_prefixes text[] NOT NULL DEFAULT '{}', http_timeout_secs int NOT NULL DEFAULT 30, ${times})`,
  },
  {
    level: 2,
    sql: `CREATE TABLE dynamic_tools (${id}, name text NOT NULL UNIQUE, description text NOT NULL, parameters_schema jsonb NOT NULL, code text NOT NULL, sandbox_config jsonb NOT NULL, ${times})`,
  },
  {
    level: 2,
    sql: `CREATE TABLE leak_detection_patterns (${id}, name text NOT NULL UNIQUE, pattern text NOT NULL, severity text NOT NULL, action text NOT NULL, enabled bool NOT NULL DEFAULT true, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 2,
    sql: `CREATE TABLE leak_detection_events (${id}, pattern_id uuid, user_id text NOT NULL, source text NOT NULL, action_taken text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 2,
    sql: `CREATE TABLE secret_usage_log (${id}, secret_id uuid NOT NULL, user_id text NOT NULL, tool_name text, success bool NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 2,
    sql: `CREATE TABLE tool_rate_limit_state (${id}, user_id text NOT NULL, tool_name text NOT NULL, minute_count int NOT NULL DEFAULT 0)`,
  },
  {
    level: 3,
    sql: `CREATE TABLE tool_failures (${id}, tool_name text NOT NULL UNIQUE, error_message text, error_count int DEFAULT 1, first_failure timestamptz DEFAULT now())`,
  },
  {
    level: 4,
    sql: `ALTER TABLE agent_jobs ADD COLUMN project_dir text, ADD COLUMN user_id text NOT NULL DEFAULT 'default'`,
  },
  { level: 5, sql: `ALTER TABLE agent_jobs ADD COLUMN job_mode text NOT NULL DEFAULT 'worker'` },
  {
    level: 5,
    sql: `CREATE TABLE claude_code_events (id bigserial PRIMARY KEY, job_id uuid NOT NULL, event_type text NOT NULL, data jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  {
    level: 6,
    sql: `CREATE TABLE routines (${id}, name text NOT NULL, description text NOT NULL DEFAULT '', user_id text NOT NULL, enabled bool NOT NULL DEFAULT true, trigger_type text NOT NULL, trigger_config jsonb NOT NULL, action_type text NOT NULL, action_config jsonb NOT NULL, state jsonb NOT NULL DEFAULT '{}', next_fire_at timestamptz, notify_user text NOT NULL DEFAULT 'default', ${times}, UNIQUE (user_id, name))`,
  },
  {
    level: 6,
    sql: `CREATE TABLE routine_runs (${id}, routine_id uuid NOT NULL REFERENCES routines (id) ON DELETE CASCADE, trigger_type text NOT NULL, status text NOT NULL, started_at timestamptz NOT NULL DEFAULT now())`,
  },
  { level: 7, sql: `ALTER TABLE claude_code_events RENAME TO job_events` },
  {
    level: 8,
    sql: `CREATE TABLE settings (user_id text NOT NULL, key text NOT NULL, value jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, key))`,
  },
  {
    level: 10,
    sql: `CREATE TABLE wasm_channels (${id}, user_id text NOT NULL, name text NOT NULL, version text NOT NULL DEFAULT '1.0.0', description text NOT NULL, wasm_binary bytea NOT NULL, binary_hash bytea NOT NULL, capabilities_json text NOT NULL, status text NOT NULL DEFAULT 'active', ${times})`,
  },
  { level: 10, sql: `ALTER TABLE wasm_tools ADD COLUMN wit_version text NOT NULL DEFAULT '0.1.0'` },
  {
    level: 12,
    sql: `ALTER TABLE agent_jobs ADD COLUMN max_tokens bigint, ADD COLUMN total_tokens_used bigint`,
  },
  { level: 13, sql: `ALTER TABLE routines ALTER COLUMN notify_user DROP NOT NULL` },
  {
    level: 14,
    sql: `CREATE TABLE users (id text PRIMARY KEY, email text UNIQUE, display_name text NOT NULL, role text NOT NULL DEFAULT 'member', status text NOT NULL DEFAULT 'active', ${times}, metadata jsonb NOT NULL DEFAULT '{}')`,
  },
  {
    level: 14,
    sql: `CREATE TABLE api_tokens (${id}, user_id text NOT NULL REFERENCES users (id), name text NOT NULL, token_hash bytea NOT NULL, token_prefix text NOT NULL, revoked_at timestamptz, created_at timestamptz NOT NULL DEFAULT now())`,
  },
  { level: 15, sql: `ALTER TABLE conversations ADD COLUMN source_channel text` },
  {
    level: 16,
    sql: `CREATE TABLE memory_document_versions (${id}, document_id uuid NOT NULL REFERENCES memory_documents (id) ON DELETE CASCADE, version int NOT NULL, content text NOT NULL, content_hash text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), changed_by text, UNIQUE (document_id, version))`,
  },
  {
    level: 17,
    sql: `CREATE TABLE user_identities (${id}, user_id text NOT NULL REFERENCES users (id), provider text NOT NULL, provider_user_id text NOT NULL, raw_profile jsonb NOT NULL DEFAULT '{}')`,
  },
  { level: 18, sql: `ALTER TABLE wasm_tools ADD COLUMN scope text NOT NULL DEFAULT 'user'` },
  {
    level: 19,
    sql: `CREATE TABLE channel_identities (${id}, owner_id text NOT NULL, channel text NOT NULL, external_id text NOT NULL)`,
  },
  {
    level: 20,
    sql: `CREATE TABLE pairing_requests (${id}, channel text NOT NULL, code text NOT NULL, expires_at timestamptz NOT NULL)`,
  },
  { level: 22, sql: `ALTER TABLE agent_jobs ADD COLUMN restart_params text` },
  {
    level: 26,
    sql: `CREATE TABLE root_filesystem_entries (path text COLLATE "C" PRIMARY KEY, contents bytea NOT NULL, is_dir bool NOT NULL DEFAULT false, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`,
  },
]

export const NEWEST_V1 = 27

/** SQL that makes the schema of a level; with `vectors`, chunks have embeddings, of 1536 dimensions up to V8 and of any from V9. */
export function schemaOf(level: number, { vectors }: { readonly vectors: boolean }): string[] {
  const steps = STEPS.filter((step) => step.level <= level).map(({ sql }) => sql)
  const type = level < 9 ? "vector(1536)" : "vector"
  return [
    ...(vectors ? ["CREATE EXTENSION vector"] : []),
    ...steps,
    ...(vectors ? [`ALTER TABLE memory_chunks ADD COLUMN embedding ${type}`] : []),
    ...Array.from(
      { length: level },
      (_, at) =>
        `INSERT INTO refinery_schema_history VALUES (${at + 1}, 'step_${at + 1}', '2026-06-01T00:00:00Z', '${at * 7919}')`,
    ),
  ]
}
