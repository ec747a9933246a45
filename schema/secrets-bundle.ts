/** A bundle of secrets, `secrets.json.enc` (docs/FORMAT.md §10): what stands around the ciphertext, and the list in it. */
import { z } from "./zod.ts"

export const BUNDLE_KIND = "clawfs-secrets"

const Base64 = z.base64()
const Time = z.int().nonnegative()

/** What the ciphertext is bound to. The costs are bounded: a bundle is input, and must not keep a machine busy. */
export const BundleHead = z.strictObject({
  format: z.literal(1),
  kind: z.literal(BUNDLE_KIND),
  cipher: z.literal("AES-256-GCM"),
  kdf: z.strictObject({
    name: z.literal("argon2id"),
    passes: z.int().min(1).max(16),
    memory_kib: z
      .int()
      .min(8)
      .max(1024 * 1024),
    lanes: z.literal(1),
    salt: Base64.length(24),
  }),
})
export type BundleHead = z.output<typeof BundleHead>

export const SecretsBundle = BundleHead.extend({
  nonce: Base64.length(16),
  ciphertext: Base64,
  tag: Base64.length(24),
})
export type SecretsBundle = z.output<typeof SecretsBundle>

/** Times are milliseconds since 1970; `expires` 0: never. */
export const BundledSecret = z.strictObject({
  name: z.string().max(128),
  bytes: z
    .int()
    .min(1)
    .max(64 * 1024),
  description: z.string().max(1024),
  tags: z.array(z.string().max(64)).max(32),
  created: Time,
  changed: Time,
  expires: Time,
  rotate_days: z.int().nonnegative().max(36_500),
  keep: z.int().nonnegative().max(100),
})
export type BundledSecret = z.output<typeof BundledSecret>

export const BundleList = z.strictObject({ secrets: z.array(BundledSecret).max(100_000) })
