/** What an identity file says, and its checksum. Nothing here touches a file. */
import { createHash } from "node:crypto"
import { Identity } from "../../schema/identity.ts"
import { canonicalJson } from "../core/canonical-json.ts"
import { Fault } from "../core/fault.ts"

/** A larger file is none. */
export const MOST_IDENTITY_BYTES = 16 * 1024 * 1024

type Fields = Readonly<Record<string, unknown>>

/** Everything but the checksum. What is missing of the four parts begins empty. */
export type IdentityDraft = Pick<Identity, "agent_id" | "version" | "created_at" | "updated_at"> &
  Partial<Record<"state" | "memory" | "history" | "performance", Fields>> &
  Fields

const EMPTY = {
  state: { current_phase: null, current_task: null, last_checkpoint: null, status: "idle" },
  memory: { learned_patterns: [], heuristics: [] },
  history: { completed_tasks: [], failed_tasks: [], total_executions: 0, success_rate: 0 },
  performance: { avg_execution_time_ms: 0, peak_memory_mb: 0, last_benchmark: null },
}

/** `sha256:` and the SHA-256 of the canonical JSON (RFC 8785, UTF-8, no newline) without the member `checksum`. */
export function checksumOf(identity: Readonly<Record<string, unknown>>): string {
  const others = Object.fromEntries(Object.entries(identity).filter(([name]) => name !== "checksum"))
  return `sha256:${createHash("sha256").update(canonicalJson(others)).digest("hex")}`
}

/** A whole identity. Throws `Fault("invalid")` for one that does not fit the schema. */
export function completed(draft: IdentityDraft): Identity {
  const parts = Object.fromEntries(
    Object.entries(EMPTY).map(([part, empty]) => [
      part,
      { ...empty, ...(draft[part] as object | undefined) },
    ]),
  )
  const identity = { ...draft, ...parts }
  const result = Identity.safeParse({ ...identity, checksum: checksumOf(identity) })
  if (result.success) return result.data
  throw new Fault("invalid", `the identity ${problemIn(result.error.issues)}`)
}

/** The file's text: the same for the same identity, whatever the order of its members. */
export function textOf(identity: Identity): string {
  return `${JSON.stringify(JSON.parse(canonicalJson(identity)), undefined, 2)}\n`
}

/** The identity in a file's bytes, its checksum compared; otherwise a sentence's end that says what is wrong. */
export function identityIn(bytes: Buffer): Identity | string {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    return "is no JSON"
  }
  const result = Identity.safeParse(value)
  if (!result.success) return problemIn(result.error.issues)
  try {
    // Of what is in the file: whatever the schema does not know counts too.
    const found = checksumOf(value as Readonly<Record<string, unknown>>)
    return found === result.data.checksum ? result.data : "does not match its checksum"
  } catch (thrown) {
    if (thrown instanceof Fault) return `has no canonical form: ${thrown.message}`
    throw thrown
  }
}

function problemIn(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): string {
  const [first] = issues
  const place = first?.path.map(String).join(".") ?? ""
  return `does not fit the schema: ${place === "" ? "" : `${place}: `}${first?.message ?? ""}`
}
