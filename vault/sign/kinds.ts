/** What the vault signs, without a value of a secret ever leaving it. */
export const SIGN_KINDS = [
  "ed25519",
  "ecdsa-p256",
  "hmac-sha256",
  "jwt",
  "aws-sigv4",
  "ssh",
  "sshsig",
] as const
export type SignKind = (typeof SIGN_KINDS)[number]
