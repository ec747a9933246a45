import { randomBytes } from "node:crypto"
import { describe, expect, test } from "vitest"
import {
  BLOB_OVERHEAD,
  nodePrimitives,
  openBlob,
  primitives,
  randomNonce,
  sealBlob,
  type Primitives,
} from "../../../keyring/primitives.ts"
import { Libcrypto } from "../../../clawfs/sys/libcrypto.ts"

const KEY = Buffer.from("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "hex")
const NONCE = Buffer.from("cafebabefacedbaddecaf888", "hex")
const AAD = Buffer.from("feedfacedeadbeeffeedfacedeadbeefabaddad2", "hex")
const PLAIN = Buffer.from(
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
  "hex",
)
const SEALED =
  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
const TAG = "76fc6ece0f4e1768cddf8853bb2d551b"

/** Without libcrypto there is one implementation, and it is tested once. */
const IMPLEMENTATIONS: readonly [string, Primitives][] = [
  ["node:crypto", nodePrimitives],
  ...((): [string, Primitives][] => {
    const native = Libcrypto.load()
    return native === undefined ? [] : [["libcrypto", native]]
  })(),
]

describe.each(IMPLEMENTATIONS)("AES-256-GCM by %s", (_name, implementation) => {
  test("gives the bytes of test case 16 in McGrew and Viega, The Galois/Counter Mode of Operation", () => {
    const out = Buffer.alloc(PLAIN.length)
    const tag = Buffer.alloc(16)
    implementation.seal(KEY, NONCE, AAD, PLAIN, out, tag)
    expect(out.toString("hex")).toBe(SEALED)
    expect(tag.toString("hex")).toBe(TAG)
  })

  test("opens what it sealed, in place too, of every length", () => {
    for (const length of [0, 1, 15, 16, 17, 4096, 131_072]) {
      const plain = randomBytes(length)
      const bytes = Buffer.from(plain)
      const tag = Buffer.alloc(16)
      implementation.seal(KEY, NONCE, AAD, bytes, bytes, tag)
      expect(length > 15 && bytes.equals(plain)).toBe(false)
      expect(implementation.open(KEY, NONCE, AAD, bytes, bytes, tag)).toBe(true)
      expect(bytes.equals(plain)).toBe(true)
    }
  })

  test("rejects every flipped bit and leaves no plaintext", () => {
    const sealed = Buffer.from(SEALED, "hex")
    const tag = Buffer.from(TAG, "hex")
    const parts = [KEY, NONCE, AAD, sealed, tag].map((part) => Buffer.from(part))
    const [key = KEY, nonce = NONCE, aad = AAD, data = sealed, mark = tag] = parts
    for (const part of parts)
      for (let bit = 0; bit < part.length * 8; bit += 3) {
        part[bit >> 3] = (part[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const out = Buffer.alloc(PLAIN.length, 0xaa)
        expect(implementation.open(key, nonce, aad, data, out, mark)).toBe(false)
        expect(out.equals(Buffer.alloc(PLAIN.length))).toBe(true)
        part[bit >> 3] = (part[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      }
    expect(implementation.open(key, nonce, aad, data, Buffer.alloc(PLAIN.length), mark)).toBe(true)
  })
})

describe("blobs", () => {
  test("open only with their key and what they are bound to", () => {
    const blob = sealBlob(KEY, AAD, PLAIN)
    expect(blob.length).toBe(PLAIN.length + BLOB_OVERHEAD)
    expect(openBlob(KEY, AAD, blob)?.equals(PLAIN)).toBe(true)
    expect(openBlob(randomBytes(32), AAD, blob)).toBeUndefined()
    expect(openBlob(KEY, Buffer.alloc(1), blob)).toBeUndefined()
    for (const short of [0, 1, 27, blob.length - 1])
      expect(openBlob(KEY, AAD, blob.subarray(0, short))).toBeUndefined()
    // Node would take tags of 4, 8 and 12 to 15 bytes, which are guessed sooner.
    for (const tag of [0, 4, 8, 12, 13, 14, 15])
      expect(openBlob(KEY, AAD, blob.subarray(0, blob.length - 16 + tag))).toBeUndefined()
  })

  test("are made in the room that is given, if it is long enough, and nowhere else in it", () => {
    const length = PLAIN.length + BLOB_OVERHEAD
    for (const spare of [0, 1, 100]) {
      const room = Buffer.alloc(length + spare, 0xaa)
      const blob = sealBlob(KEY, AAD, PLAIN, room)
      expect([blob.buffer === room.buffer, blob.byteOffset]).toEqual([true, room.byteOffset])
      expect(openBlob(KEY, AAD, blob)?.equals(PLAIN)).toBe(true)
      expect(room.subarray(length).equals(Buffer.alloc(spare, 0xaa))).toBe(true)
    }
    const short = Buffer.alloc(length - 1, 0xaa)
    expect(openBlob(KEY, AAD, sealBlob(KEY, AAD, PLAIN, short))?.equals(PLAIN)).toBe(true)
    expect(short.equals(Buffer.alloc(length - 1, 0xaa))).toBe(true)
  })

  test("are never the same twice", () => {
    const blobs = new Set(Array.from({ length: 1000 }, () => sealBlob(KEY, AAD, PLAIN).toString("hex")))
    expect(blobs.size).toBe(1000)
  })

  test("nonces do not repeat when their pool is filled again", () => {
    const nonces = new Set(Array.from({ length: 5000 }, () => randomNonce().toString("hex")))
    expect(nonces.size).toBe(5000)
  })
})

test("after `forget` the context works on", () => {
  primitives().forget()
  expect(openBlob(KEY, AAD, sealBlob(KEY, AAD, PLAIN))?.equals(PLAIN)).toBe(true)
})
