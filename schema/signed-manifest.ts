/** Signed manifests of trees (docs/FORMAT.md §7): JSON files. */
import { z } from "./zod.ts"

export const MANIFEST_FORMAT = "clawfs-signed-1"
/** specs: frozen documents · system: what the system brought · tools: `registry.json`, which has the hashes of the rest */
export const MANIFEST_KINDS = ["specs", "system", "tools"] as const
export type ManifestKind = (typeof MANIFEST_KINDS)[number]

const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/)

export const ManifestEntry = z.union([
  z.strictObject({ path: z.string().min(1).max(4096), sha256, bytes: z.int().nonnegative() }),
  /** A symbolic link. */
  z.strictObject({ path: z.string().min(1).max(4096), target: z.string().max(4096) }),
])
export type ManifestEntry = z.infer<typeof ManifestEntry>

/** What the signature is over, as canonical JSON. */
export const ManifestHead = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  kind: z.enum(MANIFEST_KINDS),
  directory: z.string().max(4096).startsWith("/"),
  status: z.literal("FROZEN"),
  signed_at: z.string(),
  /** The first 16 hexadecimal digits of the public key's SHA-256. */
  signed_by: z.string().regex(/^[0-9a-f]{16}$/),
  algorithm: z.literal("Ed25519"),
  /** The public key, base64. */
  key: z.base64(),
  /** Of the entries as canonical JSON. */
  entries_sha256: sha256,
})
export type ManifestHead = z.infer<typeof ManifestHead>

export const SignedManifest = z.strictObject({
  ...ManifestHead.shape,
  entries: z.array(ManifestEntry).max(200_000),
  /** base64 */
  signature: z.base64(),
})
export type SignedManifest = z.infer<typeof SignedManifest>
