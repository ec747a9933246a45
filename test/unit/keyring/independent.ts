/**
 * What docs/FORMAT.md §6 says about encryption, written a second time with node:crypto alone: the store must agree with
 * it byte for byte. Nothing here uses the keyring.
 */
import { createCipheriv, createHmac, hkdfSync, pbkdf2Sync } from "node:crypto"

const NUL = Buffer.alloc(1)

export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

/** HKDF-Expand(key, "clawfs/v1/" + purpose, 32): HKDF without its extract step. */
export function subkey(key: Buffer, purpose: string): Buffer {
  return createHmac("sha256", key)
    .update(`clawfs/v1/${purpose}`)
    .update(Buffer.from([1]))
    .digest()
}

export function mac(key: Buffer, ...parts: Buffer[]): Buffer {
  return createHmac("sha256", key).update(Buffer.concat(parts)).digest()
}

export function label(text: string): Buffer {
  return Buffer.concat([Buffer.from(`clawfs/v1/${text}`), NUL])
}

export interface Tree {
  readonly uuid: Buffer
  readonly id: number
  readonly generation: number
}

export function checkValue(key: Buffer, { uuid, id, generation }: Tree): Buffer {
  return mac(subkey(key, "check"), label("check"), uuid, u64(id), u64(generation))
}

/** nonce · ciphertext · tag */
export function gcm(key: Buffer, nonce: Buffer, aad: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 })
  cipher.setAAD(aad)
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

export function wrappedFileKey(
  tree: Buffer,
  of: Tree,
  nonce: Buffer,
  file: { id: Buffer; key: Buffer },
): Buffer {
  const aad = Buffer.concat([label("file key"), of.uuid, u64(of.id), u64(of.generation), file.id])
  return gcm(subkey(tree, "wrap"), nonce, aad, file.key)
}

/** What everything of one file is bound to. */
export function fileAad(purpose: string, of: Tree, fileId: Buffer, place: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([label(purpose), of.uuid, u64(of.id), fileId, place])
}

/** SIV: the first half of a MAC as the IV; the hash of a name from the rest. */
export function sealedName(
  fileKey: Buffer,
  purpose: "name" | "xattr name",
  of: Tree,
  fileId: Buffer,
  name: Buffer,
): { cell: Buffer; hash: number } {
  const padded = Buffer.concat([name, Buffer.alloc((32 - (name.length % 32)) % 32)])
  const tag = mac(subkey(fileKey, `${purpose} mac`), fileAad(purpose, of, fileId), padded)
  const cipher = createCipheriv("aes-256-ctr", subkey(fileKey, `${purpose} encryption`), tag.subarray(0, 16))
  const hash = (tag.readUInt32LE(16) % 2 ** 20) * 2 ** 32 + tag.readUInt32LE(20)
  return { cell: Buffer.concat([tag.subarray(0, 16), cipher.update(padded)]), hash }
}

export function keyFileWrappingKey(contents: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync("sha256", contents, salt, "clawfs/v1/key file", 32))
}

export function passphraseWrappingKey(passphrase: string, salt: Buffer, iterations: number): Buffer {
  return pbkdf2Sync(passphrase, salt, iterations, 32, "sha256")
}

export function slotAad(
  of: Tree,
  slot: { slot: number; kind: number; kdf: number; cost: number; memoryKiB: number; salt: Buffer },
): Buffer {
  const numbers = [of.id, of.generation, slot.slot, slot.kind, slot.kdf, slot.cost, slot.memoryKiB]
  return Buffer.concat([label("slot"), of.uuid, ...numbers.map(u64), slot.salt])
}

/** Bytes that count up: easy to see in a failure, and the same every time. */
export function counting(first: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (first + i) % 256))
}
