/**
 * Answers on the control socket (docs/PROTOCOL.md). Read without a validator, which would take as long to load as the whole
 * of a small command takes to run.
 */
export const PROTOCOL_VERSION = 1
export const MAX_LINE_BYTES = 64 * 1024

export type Response =
  | { readonly v: number; readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly v: number; readonly id: number; readonly ok: false; readonly error: ResponseError }

export interface ResponseError {
  /** A `FaultKind` of the daemon's version. */
  readonly kind: string
  readonly message: string
  /** What to do about it. */
  readonly hint?: string | undefined
}

type Fields = Readonly<Record<string, unknown>>

/** The answer that `value` is; undefined for anything else. `id` is -1 when the request could not be read. */
export function readResponse(value: unknown): Response | undefined {
  if (!isObject(value)) return undefined
  const { v, id, ok, result, error } = value
  if (v !== PROTOCOL_VERSION || typeof id !== "number") return undefined
  if (ok === true) return "result" in value ? { v, id, ok, result } : undefined
  const told = ok === false && isObject(error) ? errorOf(error) : undefined
  return told === undefined ? undefined : { v, id, ok: false, error: told }
}

function errorOf({ kind, message, hint }: Fields): ResponseError | undefined {
  if (typeof kind !== "string" || typeof message !== "string") return undefined
  return { kind, message, ...(typeof hint === "string" ? { hint } : {}) }
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
