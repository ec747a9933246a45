/** A small dump of IronClaw 0.29 whose every row is known, with vectors and a tool that is a script. */
import { blake3 } from "@noble/hashes/blake3.js"
import { encrypted } from "./crypto.ts"
import { uuidOf } from "./determined.ts"

export const DIMENSIONS = 128
export const MODEL = "tiny"
export const SECRET = "sk-of-the-weather-service"
/** The note whose text and model agree, the one that was changed since it was embedded, and one of an agent of long ago. */
export const NOTES = {
  "notes/apples.md": "A note about apples, their harvest, and the cellar that they are kept in.\n",
  "notes/rivers.md": "A note about rivers and the boats that go on them, as it is now.\n",
  "MEMORY.md": "# Memory\n\nThe harvest begins in September.\n",
}
/** Greets whoever is named, from a sandbox that shows no workspace. */
export const SCRIPT = '#!/bin/sh\necho "hello $1"\ntest -e /clawfs/workspaces || echo "no workspaces"\n'

/** The vector that points into one dimension alone. */
export function pointing(at: number): number[] {
  return Array.from({ length: DIMENSIONS }, (_, place) => (place === at ? 1 : 0))
}

const field = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t")
const bytea = (bytes: Uint8Array): string => `\\\\x${Buffer.from(bytes).toString("hex")}`

function table(name: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const names = columns.map((column) => column.split(" ")[0])
  return [
    `CREATE TABLE public.${name} (${columns.join(", ")});`,
    `COPY public.${name} (${names.join(", ")}) FROM stdin;`,
    ...rows.map((row) => row.join("\t")),
    "\\.",
    `ALTER TABLE ONLY public.${name} ADD CONSTRAINT ${name}_pkey PRIMARY KEY (id);`,
    "",
  ].join("\n")
}

export function handMadeDump(): string {
  const notes = Object.entries(NOTES)
  const wasm = Buffer.from("0061736d01000000", "hex")
  const sealed = encrypted(SECRET, "weather")
  const chunk = (path: string, text: string, at: number): string[] => [
    ...[uuidOf(`chunk ${path}`), uuidOf(path), "0", field(text), JSON.stringify(pointing(at))],
  ]
  return [
    "--\n-- PostgreSQL database dump\n--\n",
    "SET standard_conforming_strings = on;",
    "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;",
    table(
      "memory_documents",
      ["id uuid", "user_id text", "agent_id uuid", "path text", "content text", "metadata jsonb"],
      notes.map(([path, text]) => [uuidOf(path), "alice", "\\N", path, field(text), "{}"]),
    ),
    table(
      "memory_chunks",
      ["id uuid", "document_id uuid", "chunk_index integer", "content text", "embedding public.vector"],
      [
        chunk("notes/apples.md", NOTES["notes/apples.md"], 7),
        chunk("notes/rivers.md", "As it was before.", 8),
      ],
    ),
    table(
      "settings",
      ["id integer", "user_id text", "key text", "value jsonb"],
      [["1", "default", "embeddings.model", `"${MODEL}"`]],
    ),
    table(
      "secrets",
      ["id uuid", "user_id text", "name text", "encrypted_value bytea", "key_salt bytea"],
      [[uuidOf("weather"), "alice", "weather_key", bytea(sealed.value), bytea(sealed.salt)]],
    ),
    table(
      "wasm_tools",
      [
        "id uuid",
        "user_id text",
        "name text",
        "version text",
        "status text",
        "wasm_binary bytea",
        "binary_hash bytea",
      ],
      [[uuidOf("tool"), "alice", "notes", "1.0.0", "active", bytea(wasm), bytea(blake3(wasm))]],
    ),
    table(
      "dynamic_tools",
      ["id uuid", "name text", "description text", "code text"],
      [
        [uuidOf("script"), "Say_Hello", "greets", field(SCRIPT)],
        [uuidOf("other"), "no script", "of another kind", "print(1)"],
      ],
    ),
    "--\n-- PostgreSQL database dump complete\n--\n",
  ].join("\n")
}
