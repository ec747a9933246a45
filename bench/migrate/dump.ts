/** A store of IronClaw 0.29 as pg_dump writes it, of any size, the same at every call. */
import { createCipheriv, createHash, hkdfSync } from "node:crypto"
import { blake3 } from "@noble/hashes/blake3.js"

export const MASTER_KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

export interface Size {
  readonly documents: number
  readonly chunks: number
  /** Of the chunks' vectors; 0: none. */
  readonly dimensions: number
  readonly messages: number
  readonly tools: number
  readonly secrets: number
}

const DOCUMENT_BYTES = 35 * 1024
const CHUNK_BYTES = 3000
const TOOL_BYTES = 100_000
const CONVERSATIONS = 50
const TIME = "2026-01-02 03:04:05.678+00"
const WORDS = "agent budget supplier harbour winter ledger signal orchard river copper lantern".split(" ")

const hashOf = (label: string): Buffer => createHash("sha256").update(label).digest()

function uuidOf(label: string): string {
  const hex = hashOf(label).toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function textOf(label: string, bytes: number): string {
  let text = ""
  for (let at = 0; text.length < bytes; at += 1)
    for (const byte of hashOf(`${label} ${at}`)) text += `${WORDS[byte % WORDS.length] ?? ""} `
  return text.slice(0, bytes)
}

function vectorOf(label: string, dimensions: number): string {
  const numbers: string[] = []
  for (let at = 0; numbers.length < dimensions; at += 1)
    for (const byte of hashOf(`${label} ${at}`)) numbers.push((byte / 255 - 0.5).toFixed(6))
  return `[${numbers.slice(0, dimensions).join(",")}]`
}

function secretOf(at: number): string[] {
  const salt = hashOf(`salt ${at}`)
  const key = Buffer.from(hkdfSync("sha256", Buffer.from(MASTER_KEY), salt, "near-agent-secrets-v1", 32))
  const nonce = hashOf(`nonce ${at}`).subarray(0, 12)
  const cipher = createCipheriv("aes-256-gcm", key, nonce)
  const sealed = Buffer.concat([nonce, cipher.update(`value ${at}`), cipher.final(), cipher.getAuthTag()])
  return [uuidOf(`secret ${at}`), "alice", `key_${at}`, bytea(sealed), bytea(salt)]
}

function toolOf(at: number): string[] {
  const bytes = Buffer.concat(
    Array.from({ length: TOOL_BYTES / 32 }, (_, piece) => hashOf(`tool ${at} ${piece}`)),
  )
  return [
    uuidOf(`tool ${at}`),
    "alice",
    `tool_${at}`,
    "1.0.0",
    "",
    bytea(bytes),
    bytea(Buffer.from(blake3(bytes))),
  ]
}

/** With the backslash that COPY wants doubled. */
const bytea = (bytes: Buffer): string => `\\\\x${bytes.toString("hex")}`

function* table(
  name: string,
  columns: string,
  count: number,
  row: (at: number) => string[],
): Generator<string> {
  const names = columns.split(", ").map((column) => column.split(" ")[0])
  yield `CREATE TABLE public.${name} (${columns});\nCOPY public.${name} (${names.join(", ")}) FROM stdin;\n`
  for (let at = 0; at < count; at += 1) yield `${row(at).join("\t")}\n`
  yield `\\.\nALTER TABLE ONLY public.${name} ADD CONSTRAINT ${name}_pkey PRIMARY KEY (id);\n`
}

export function* dumpOf({
  documents,
  chunks,
  dimensions,
  messages,
  tools,
  secrets,
}: Size): Generator<string> {
  yield "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
  const embedding = dimensions > 0 ? ", embedding public.vector" : ""
  if (dimensions > 0) yield "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;\n"
  yield* table(
    "memory_documents",
    "id uuid, user_id text, agent_id uuid, path text, content text, created_at timestamp with time zone, updated_at timestamp with time zone, metadata jsonb",
    documents,
    (at) => [
      ...[uuidOf(`document ${at}`), "alice", "\\N", `notes/d${at % 20}/note-${at}.md`],
      ...[textOf(`document ${at}`, DOCUMENT_BYTES), TIME, TIME, "{}"],
    ],
  )
  yield* table(
    "memory_chunks",
    `id uuid, document_id uuid, chunk_index integer, content text, created_at timestamp with time zone${embedding}`,
    chunks,
    (at) => [
      ...[uuidOf(`chunk ${at}`), uuidOf(`document ${at % documents}`), String(Math.floor(at / documents))],
      ...[textOf(`chunk ${at}`, CHUNK_BYTES), TIME],
      ...(dimensions > 0 ? [vectorOf(`vector ${at}`, dimensions)] : []),
    ],
  )
  yield* table("conversations", "id uuid, user_id text, metadata jsonb", CONVERSATIONS, (at) => [
    ...[uuidOf(`conversation ${at}`), "alice", "{}"],
  ])
  yield* table(
    "conversation_messages",
    "id uuid, conversation_id uuid, role text, content text, created_at timestamp with time zone",
    messages,
    (at) => [
      ...[uuidOf(`message ${at}`), uuidOf(`conversation ${at % CONVERSATIONS}`)],
      ...[at % 2 === 0 ? "user" : "assistant", textOf(`message ${at}`, 500), TIME],
    ],
  )
  yield "CREATE INDEX of_conversation ON public.conversation_messages USING btree (conversation_id);\n"
  yield* table(
    "secrets",
    "id uuid, user_id text, name text, encrypted_value bytea, key_salt bytea",
    secrets,
    secretOf,
  )
  yield* table(
    "wasm_tools",
    "id uuid, user_id text, name text, version text, description text, wasm_binary bytea, binary_hash bytea",
    tools,
    toolOf,
  )
  yield "--\n-- PostgreSQL database dump complete\n--\n"
}
