/** Requests on the control socket: one JSON object a line, at most 64 KiB (docs/PROTOCOL.md). */
import { z } from "./zod.ts"
import { PROTOCOL_VERSION } from "./response.ts"

export const Request = z.strictObject({
  v: z.literal(PROTOCOL_VERSION),
  id: z.int().min(0),
  method: z.string().min(1).max(64),
  params: z.record(z.string(), z.unknown()).optional(),
})
export type Request = z.infer<typeof Request>
