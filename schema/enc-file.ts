/** `secrets/<id>.enc` of ClawOS P1.4 §3.5: a value under a key that PBKDF2 makes of a master key. Nothing else is authenticated. */
import { z } from "./zod.ts"

export const EncFile = z.looseObject({
  secret_id: z.string().min(1).max(255),
  /** Without the tag. */
  encrypted_value: z.base64(),
  iv: z.base64().length(16),
  auth_tag: z.base64().length(24),
  algorithm: z.literal("AES-256-GCM"),
  kdf: z
    .looseObject({
      algorithm: z.string(),
      iterations: z.int().min(1).max(10_000_000),
      salt: z.base64().max(1024),
    })
    .optional(),
  version: z.int().positive().optional(),
})
export type EncFile = z.output<typeof EncFile>
