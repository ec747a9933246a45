/** What the standards publish for the primitives, as the keyring and the vault call them. AES-256-GCM: primitives.test.ts. */
import { expect, test } from "vitest"
import { Kdf, derive } from "../../../keyring/kdf.ts"
import { expand, expandInto, hmac, nodePrimitives, primitives } from "../../../keyring/primitives.ts"

const hex = (text: string): Buffer => Buffer.from(text, "hex")

test("HMAC-SHA256: RFC 4231, test case 2", () => {
  expect(hmac(Buffer.from("Jefe"), Buffer.from("what do ya want "), Buffer.from("for nothing?"))).toEqual(
    hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
  )
})

test("HKDF-SHA256: RFC 5869, test case 1; its first block is what expand gives", () => {
  const pseudorandom = hmac(hex("000102030405060708090a0b0c"), Buffer.alloc(22, 0x0b))
  expect(pseudorandom).toEqual(hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"))
  const info = hex("f0f1f2f3f4f5f6f7f8f9").toString("latin1")
  const block = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
  expect(expand(pseudorandom, info)).toEqual(block)
  const into = Buffer.alloc(32)
  expandInto(into, pseudorandom, info)
  expect(into).toEqual(block)
})

test("PBKDF2-HMAC-SHA256: RFC 7914, section 11", () => {
  const derivation = { kdf: Kdf.PBKDF2, salt: Buffer.from("salt"), cost: 1, memoryKiB: 0 }
  expect(derive(Buffer.from("passwd"), derivation)).toEqual(
    hex("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
  )
})

test.each([
  [
    2,
    Buffer.from(Array.from({ length: 80 }, (_, i) => i)),
    Buffer.from(Array.from({ length: 80 }, (_, i) => 0x60 + i)),
    Buffer.from(Array.from({ length: 80 }, (_, i) => 0xb0 + i)),
    "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
  ],
  [
    3,
    Buffer.alloc(22, 0x0b),
    Buffer.alloc(0),
    Buffer.alloc(0),
    "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
  ],
])("HKDF-SHA256: RFC 5869, test case %i", (_number, input, salt, info, pseudorandom, block) => {
  const key = hmac(salt, input)
  expect(key).toEqual(hex(pseudorandom))
  expect(expand(key, info.toString("latin1"))).toEqual(hex(block))
})

test("PBKDF2-HMAC-SHA256: RFC 7914, section 11, 80,000 iterations", () => {
  const derivation = { kdf: Kdf.PBKDF2, salt: Buffer.from("NaCl"), cost: 80_000, memoryKiB: 0 }
  expect(derive(Buffer.from("Password"), derivation)).toEqual(
    hex("4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
  )
})

const KEY = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
test.each([
  [13, "00".repeat(32), "00".repeat(12), "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
  [
    ...[14, "00".repeat(32), "00".repeat(12), "00".repeat(16)],
    ...["cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"],
  ],
  [
    ...[15, KEY, "cafebabefacedbaddecaf888"],
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
    "b094dac5d93471bdec1a502270e3cc6c",
  ],
] as [number, string, string, string, string, string][])(
  "AES-256-GCM: McGrew and Viega, test case %i",
  (_number, key, nonce, plain, sealed, tag) => {
    for (const each of [primitives(), nodePrimitives]) {
      const [out, mark, none] = [Buffer.alloc(hex(plain).length), Buffer.alloc(16), Buffer.alloc(0)]
      each.seal(hex(key), hex(nonce), none, hex(plain), out, mark)
      expect([out.toString("hex"), mark.toString("hex")]).toEqual([sealed, tag])
      expect(each.open(hex(key), hex(nonce), none, hex(sealed), out, hex(tag))).toBe(true)
      expect(out).toEqual(hex(plain))
    }
  },
)
