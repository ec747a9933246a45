/** A list of allowed system calls (P1.2, schema 1.0.0), as `clawfs seccomp` and the sandbox read it. */
import { z } from "./zod.ts"

const ArgumentFilter = z
  .strictObject({
    arg_index: z.int().min(0).max(5),
    operator: z.enum(["eq", "ne", "gt", "lt", "ge", "le", "masked_eq"]),
    value: z.int().min(0).max(0xffff_ffff),
    mask: z.int().min(0).max(0xffff_ffff).optional(),
  })
  // P1.2's converter takes 0 for a missing mask, which compares nothing.
  .refine(({ operator, mask }) => (operator === "masked_eq") === (mask !== undefined), {
    message: "masked_eq needs a mask, and nothing else has one",
  })

const Conditions = z.strictObject({
  description: z.string().min(1),
  /** Not enforceable: a filter can't look behind a pointer. `check` says so. */
  port_restriction: z.strictObject({ allowed_ports: z.array(z.int().min(1).max(65_535)).min(1) }).optional(),
  argument_filter: ArgumentFilter.optional(),
})

const Entry = z
  .object({
    name: z.string().regex(/^[a-z0-9_]{1,64}$/),
    permission: z.enum(["ALLOW", "DENY", "CONDITIONAL"]),
    category: z
      .enum(["memory", "file_io", "process", "network", "time", "signals", "misc", "tokio_runtime"])
      .optional(),
    conditions: Conditions.optional(),
    /** Ours: what a denied call gets instead of EPERM, so that programs fall back. */
    errno: z.enum(["EPERM", "ENOSYS"]).optional(),
    notes: z.string().optional(),
    verified_by_strace: z.boolean().optional(),
    tokio_required: z.boolean().optional(),
  })
  .refine(({ permission, conditions }) => permission !== "CONDITIONAL" || conditions !== undefined, {
    message: "CONDITIONAL needs conditions",
  })
export type SeccompEntry = z.output<typeof Entry>

export const SeccompList = z.object({
  schema_version: z.string().regex(/^\d+\.\d+\.\d+$/),
  whitelist_id: z.uuid(),
  created_at: z.iso.datetime({ offset: true }),
  created_by: z.string().min(1),
  updated_at: z.iso.datetime({ offset: true }).optional(),
  updated_by: z.string().optional(),
  signature: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  syscalls: z.array(Entry).min(1),
})
export type SeccompList = z.output<typeof SeccompList>
