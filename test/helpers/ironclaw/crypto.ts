/** Secrets as IronClaw encrypts them, by node:crypto alone: nothing of what is under test. */
import { createCipheriv, hkdfSync } from "node:crypto"
import { bytesOf } from "./determined.ts"

export const MASTER_KEY = "6b1f0c9d8e7a5b4c3d2e1f00112233445566778899aabbccddeeff0102030405"

export function encrypted(
  value: string,
  label: string,
  masterKey = MASTER_KEY,
): { value: Buffer; salt: Buffer } {
  const salt = bytesOf(`salt ${label}`, 32)
  const key = Buffer.from(hkdfSync("sha256", Buffer.from(masterKey), salt, "near-agent-secrets-v1", 32))
  const nonce = bytesOf(`nonce ${label}`, 12)
  const cipher = createCipheriv("aes-256-gcm", key, nonce)
  const body = Buffer.concat([cipher.update(value), cipher.final()])
  return { value: Buffer.concat([nonce, body, cipher.getAuthTag()]), salt }
}
