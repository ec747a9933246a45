/** What says of a migration's archived vectors which model made them: `vectors.json` (docs/MIGRATE.md). */
import { z } from "./zod.ts"

/** A file beside it. */
const file = z.string().regex(/^vectors-\d{1,5}\.(?:f32|sha256)$/)

export const archivedVectors = z.object({
  format: z.literal(1),
  sets: z
    .array(
      z.object({
        dimensions: z.int().min(1).max(16_000),
        rows: z.int().nonnegative(),
        /** null: nobody knows. */
        model: z.string().nullable(),
        /** Little-endian f32, vector after vector. */
        vectors: file,
        /** SHA-256 of each vector's text without blank space at its ends. */
        texts: file,
      }),
    )
    .max(1000),
})

export type ArchivedSet = z.output<typeof archivedVectors>["sets"][number]
