/** `STORE/supervisor.json`: who serves the store and how it fares (docs/FORMAT.md). */
import { z } from "./zod.ts"

export const SupervisorState = z.object({
  pid: z.int(),
  /** Start time of that process (see `sys/process-identity.ts`). */
  started: z.string(),
  mountpoint: z.string(),
  state: z.enum(["starting", "serving", "restarting", "failed"]),
  restarts: z.int(),
  /** Why the last server ended, if it did. */
  lastEnd: z.string().optional(),
  since: z.string(),
})
export type SupervisorState = z.infer<typeof SupervisorState>
