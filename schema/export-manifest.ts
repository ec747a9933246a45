/** Beginning and end of an export's `manifest.json` (docs/FORMAT.md §9); between them is a line for each entry. */
import { z } from "./zod.ts"

export const EXPORT_FORMAT = 1

const Count = z.int().nonnegative()

export const ExportBeginning = z.strictObject({
  format: z.literal(EXPORT_FORMAT),
  /** Of the program that made it. */
  clawfs: z.string().max(64),
  made: z.iso.datetime(),
  /** What was exported, from the root of its filesystem; bytes that are no UTF-8 are replaced. */
  source: z.string().max(8192),
})
export type ExportBeginning = z.output<typeof ExportBeginning>

export const ExportEnd = z.strictObject({
  totals: z.strictObject({
    entries: Count,
    files: Count,
    /** Of the files, with their holes. */
    bytes: Count,
  }),
  /** Files that were changed while they were read: what the archive has of them is of no one moment. */
  changed: z.array(z.string().max(16_384)).max(100),
  secrets: z.strictObject({ bytes: Count, sha256: z.string().regex(/^[0-9a-f]{64}$/) }).nullable(),
})
export type ExportEnd = z.output<typeof ExportEnd>
