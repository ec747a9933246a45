/** Messages on the control socket: one JSON object a line, at most 64 KiB (docs/PROTOCOL.md). */
import { z } from "zod"

export const PROTOCOL_VERSION = 1
export const MAX_LINE_BYTES = 64 * 1024

export const Request = z.strictObject({
  v: z.literal(PROTOCOL_VERSION),
  id: z.int().min(0),
  method: z.string().min(1).max(64),
  params: z.record(z.string(), z.unknown()).optional(),
})
export type Request = z.infer<typeof Request>

export const Response = z.union([
  z.strictObject({ v: z.literal(PROTOCOL_VERSION), id: z.int(), ok: z.literal(true), result: z.unknown() }),
  z.strictObject({
    v: z.literal(PROTOCOL_VERSION),
    /** -1 when the request could not be read. */
    id: z.int(),
    ok: z.literal(false),
    error: z.strictObject({ kind: z.string(), message: z.string() }),
  }),
])
export type Response = z.infer<typeof Response>
