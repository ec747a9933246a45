/** What the standards publish for the primitives, as the keyring and the vault call them. AES-256-GCM: primitives.test.ts. */
import { expect, test } from "vitest"
import { Kdf, derive } from "../../../keyring/kdf.ts"
import { expand, expandInto, hmac } from "../../../keyring/primitives.ts"

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
