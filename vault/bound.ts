/**
 * What encrypted records are bound to, as bytes that can be read in one way only: a label and a NUL, then each field with
 * its length. A record is accepted in its own place alone: its vault, secret, version, root key.
 */

/** Numbers as 8 bytes, little-endian; texts as UTF-8. */
export function bound(label: string, ...fields: readonly (Uint8Array | number | string)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`clawfs/v1/vault ${label}\0`, "utf8")]
  for (const field of fields) {
    const bytes = bytesOf(field)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

function bytesOf(field: Uint8Array | number | string): Uint8Array {
  if (typeof field === "string") return Buffer.from(field, "utf8")
  if (typeof field !== "number") return field
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(field))
  return bytes
}
