/** The other sources: IronClaw 1.x, the schema of the older documents, IronClaw's own directory. */
import { createCipheriv, hkdfSync } from "node:crypto"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type pg from "pg"
import { MASTER_KEY } from "./crypto.ts"
import { bytesOf } from "./determined.ts"
import { insert } from "./load.ts"

const part = (text: string): Buffer => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(Buffer.byteLength(text)))
  return Buffer.concat([length, Buffer.from(text)])
}

/** A secret's record as 1.x writes it, bound to its place. */
function record(value: string, scope: readonly string[]): string {
  const salt = bytesOf(`salt ${value}`, 32)
  const key = Buffer.from(hkdfSync("sha256", MASTER_KEY, salt, "near-agent-secrets-v1", 32))
  const nonce = bytesOf(`nonce ${value}`, 12)
  const bound = Buffer.concat([Buffer.from("reborn/v1/fs_secret_record"), ...scope.map(part)])
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(bound)
  const blob = Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()])
  return JSON.stringify({
    handle: scope.at(-1),
    encrypted_value: [...blob],
    key_salt: [...salt],
    expires_at: null,
  })
}

const MEMORY = "/memory/tenants/default/users/bob/agents/_none/projects/_none"
const OWN = "/tenants/default/users/bob"

export const REBORN_SECRET = "sk-reborn-value-1"
export const REBORN_ENTRIES: readonly (readonly [
  path: string,
  content: string | null,
  kind: string | null,
])[] = [
  ["/memory", null, null],
  [`${MEMORY}/MEMORY.md`, "remembered", "memory_document"],
  [`${MEMORY}/MEMORY.md.meta`, "{}", null],
  [`${MEMORY}/MEMORY.md.chunks/0`, "remembered", "memory_chunk"],
  [`${MEMORY}/../../../escape.md`, "no further", "memory_document"],
  [
    "/memory/tenants/acme/users/eve/agents/helper/projects/site/notes/a.md",
    "of a project",
    "memory_document",
  ],
  [
    `${OWN}/secrets/secrets/api_key.json`,
    record(REBORN_SECRET, ["default", "bob", "", "", "api_key"]),
    "secret_record",
  ],
  [
    `${OWN}/secrets/agents/helper/secrets/other.json`,
    record("sk-2", ["default", "bob", "helper", "", "other"]),
    "secret_record",
  ],
  [`${OWN}/credential-accounts/x.json`, '{"sealed": true}', null],
  [`${OWN}/threads/t1/messages/1.json`, '{"role": "user", "content": "hi"}', null],
  ["/system/settings/llm.json", '{"api_key": "plain-reborn-key", "n": 1.0}', null],
]

/** As migrations V26 to V34 leave it; of V26 without what came later. */
export async function loadReborn(client: pg.Client, level: number): Promise<void> {
  const later =
    level >= 28 ? ", content_type text, kind text, indexed jsonb, version bigint NOT NULL DEFAULT 1" : ""
  await client.query(`CREATE TABLE IF NOT EXISTS root_filesystem_entries (path text COLLATE "C" PRIMARY KEY CHECK (path LIKE '/%'),
    contents bytea NOT NULL, is_dir bool NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT '2026-08-01T00:00:00Z'${later})`)
  if (level >= 30)
    await client.query(
      "CREATE TABLE root_filesystem_events (id bigserial PRIMARY KEY, path text, payload bytea)",
    )
  if (level >= 32)
    await client.query(
      "CREATE TABLE root_filesystem_sequences (name text PRIMARY KEY, value bigint NOT NULL)",
    )
  const columns = ["path", "contents", "is_dir", ...(level >= 28 ? ["kind"] : [])]
  const rows = REBORN_ENTRIES.map(([path, content, kind]) => [
    ...[path, Buffer.from(content ?? ""), content === null],
    ...(level >= 28 ? [kind] : []),
  ])
  await insert(client, { table: "root_filesystem_entries", columns, rows })
}

export async function loadP14(client: pg.Client): Promise<void> {
  await client.query(`CREATE TABLE documents (id serial PRIMARY KEY, workspace_id text NOT NULL, content text NOT NULL,
    metadata jsonb, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
    CREATE TABLE vectors (id serial PRIMARY KEY, document_id int REFERENCES documents (id), embedding float4[]);
    CREATE TABLE metadata (key text PRIMARY KEY, value jsonb);
    CREATE TABLE agent_identities (agent_id text PRIMARY KEY, version text, state jsonb, memory jsonb, checksum text);
    INSERT INTO documents (workspace_id, content, metadata) VALUES ('site', 'one', '{"path": "docs/one.md"}'), ('site', 'two', '{}'),
      ('../x', 'three', '{"path": "../../y"}');
    INSERT INTO vectors (document_id, embedding) VALUES (1, '{0.1,0.2}');
    INSERT INTO metadata VALUES ('schema_version', '3');
    INSERT INTO agent_identities VALUES ('alpha', '1', '{"status": "idle"}', '{}', 'sha256:00')`)
}

export function makeHome(home: string): void {
  const files: Readonly<Record<string, string>> = {
    "tools/notes.wasm": "\0asm",
    "tools/notes.capabilities.json": '{"http": {"allowlist": []}}',
    "skills/write/SKILL.md": "# write",
    "projects/p/readme.md": "a project",
    "mcp-servers.json": '{"servers": [{"headers": {"Authorization": "Bearer plain-home-1"}}]}',
    "session.json": '{"session_token": "plain-home-2"}',
    ".env": `DATABASE_URL="postgres://u:plain-home-3@h/d"\n# remark\nSECRETS_MASTER_KEY="${MASTER_KEY}"\nEMPTY=\n`,
    "logs/today.log": "left behind",
    history: "ls",
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(home, name, ".."), { recursive: true })
    writeFileSync(join(home, name), text, { mode: 0o600 })
  }
  symlinkSync("/etc/passwd", join(home, "skills", "link"))
}
