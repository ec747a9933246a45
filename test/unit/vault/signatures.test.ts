/** Signatures against what the standards publish: RFC 8032, RFC 6979 (P-256), RFC 4231, RFC 7515, RFC 8037. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, verify } from "node:crypto"
import { describe, expect, test } from "vitest"
import {
  PKCS8,
  isPrivate,
  publicByNode,
  publicKeyOf,
  signWith,
  signedByNode,
  type Curve,
} from "../../../clawfs/sys/signatures.ts"
import { hmac } from "../../../keyring/primitives.ts"
import { compactJws, jwtHeader, readClaims } from "../../../vault/sign/jwt.ts"
import { newPrivateKey, privateKeyIn } from "../../../vault/sign/private-key.ts"

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex")
const fault = (kind: string): unknown => expect.objectContaining({ kind })

describe("Ed25519: RFC 8032, section 7.1", () => {
  test.each([
    [
      "test 1",
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
      "test 2",
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
      "test 3",
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
      "test SHA(abc)",
      "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
      "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
  ])("%s", (_name, secret, key, message, signature) => {
    expect(publicKeyOf("ed25519", hex(secret)).toString("hex")).toBe(key)
    for (const sign of [signWith, signedByNode])
      expect(sign("ed25519", hex(secret), hex(message)).toString("hex")).toBe(signature)
  })
})

describe("ECDSA P-256 with SHA-256: RFC 6979, A.2.5", () => {
  const secret = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
  const point = hex(`04
    60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299`)
  const key = createPublicKey(
    createPrivateKey({ key: Buffer.concat([PKCS8.p256, secret]), format: "der", type: "pkcs8" }),
  )
  const isOf = (message: string, signature: Buffer): boolean =>
    verify("sha256", Buffer.from(message), { key, dsaEncoding: "ieee-p1363" }, signature)

  test("the key's point", () => {
    expect(publicKeyOf("p256", secret)).toEqual(point)
    expect(publicByNode("p256", secret)).toEqual(point)
  })

  test.each([
    [
      "sample",
      `EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
       F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8`,
    ],
    [
      "test",
      `F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367
       019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083`,
    ],
  ])("verifies for %s, and so does ours, which is another each time", (message, published) => {
    expect(isOf(message, hex(published))).toBe(true)
    for (const sign of [signWith, signedByNode]) {
      const [a, b] = [1, 2].map(() => sign("p256", secret, Buffer.from(message)))
      expect(a).not.toEqual(b)
      expect(isOf(message, a ?? hex(""))).toBe(true)
      expect(isOf(`${message}.`, a ?? hex(""))).toBe(false)
    }
  })

  test("numbers that are no key are refused", () => {
    const order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    const last = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550")
    const one = Buffer.alloc(32)
    one[31] = 1
    for (const wrong of [Buffer.alloc(32), order, Buffer.alloc(32, 0xff), randomBytes(31)])
      expect(() => signWith("p256", wrong, one)).toThrow(fault("invalid"))
    for (const right of [one, last]) {
      expect(isPrivate("p256", right)).toBe(true)
      expect(publicKeyOf("p256", right)).toEqual(publicByNode("p256", right))
    }
  })
})

test.each<Curve>(["ed25519", "p256"])("%s: libcrypto and node:crypto agree on random keys", (curve) => {
  for (let i = 0; i < 50; i += 1) {
    const room = Buffer.alloc(80)
    const { secret } = privateKeyIn(newPrivateKey(curve, room), Buffer.alloc(0))
    expect(publicKeyOf(curve, secret)).toEqual(publicByNode(curve, secret))
    const key = createPublicKey(
      createPrivateKey({ key: Buffer.concat([PKCS8[curve], secret]), format: "der", type: "pkcs8" }),
    )
    const message = randomBytes(i * 7)
    expect(
      verify(
        curve === "p256" ? "sha256" : null,
        message,
        { key, dsaEncoding: "ieee-p1363" },
        signWith(curve, secret, message),
      ),
    ).toBe(true)
  }
})

describe("HMAC-SHA256: RFC 4231", () => {
  test.each([
    [
      1,
      "0b".repeat(20),
      "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ],
    [
      2,
      "4a656665",
      "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ],
    [3, "aa".repeat(20), "dd".repeat(50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"],
    [
      4,
      "0102030405060708090a0b0c0d0e0f10111213141516171819",
      "cd".repeat(50),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ],
    [
      6,
      "aa".repeat(131),
      Buffer.from("Test Using Larger Than Block-Size Key - Hash Key First").toString("hex"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ],
    [
      7,
      "aa".repeat(131),
      Buffer.from(
        "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
      ).toString("hex"),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ],
  ])("test case %i", (_number, key, data, mac) => {
    expect(hmac(hex(key), hex(data)).toString("hex")).toBe(mac)
  })
})

describe("JSON Web Signatures", () => {
  const payload = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'

  test("HS256: RFC 7515, A.1", () => {
    const key = Buffer.from(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
      "base64url",
    )
    const header = '{"typ":"JWT",\r\n "alg":"HS256"}'
    expect(compactJws("HS256", { header, payload }, key, Buffer.alloc(0))).toBe(
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    )
    expect(() => compactJws("HS256", { header, payload }, key.subarray(0, 31), key)).toThrow(fault("invalid"))
  })

  test("ES256: the key of RFC 7515, A.3; its signature and ours verify", () => {
    const jwk = {
      ...{ kty: "EC", crv: "P-256", x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU" },
      ...{ y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
    }
    const d = Buffer.from("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", "base64url")
    const key = createPublicKey({ key: jwk, format: "jwk" })
    const isRight = (token: string): boolean => {
      const [header = "", body = "", signature = ""] = token.split(".")
      const bytes = Buffer.from(signature, "base64url")
      return verify("sha256", Buffer.from(`${header}.${body}`), { key, dsaEncoding: "ieee-p1363" }, bytes)
    }
    expect(
      isRight(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      ),
    ).toBe(true)
    const value = Buffer.concat([PKCS8.p256, d])
    const token = compactJws("ES256", { header: '{"alg":"ES256"}', payload }, value, Buffer.alloc(0))
    expect(isRight(token)).toBe(true)
    expect(() => compactJws("EdDSA", { header: "{}", payload }, value, Buffer.alloc(0))).toThrow(
      fault("invalid"),
    )
  })

  test("EdDSA: RFC 8037, A.4", () => {
    const d = Buffer.from("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "base64url")
    const value = Buffer.concat([PKCS8.ed25519, d])
    const words = { header: '{"alg":"EdDSA"}', payload: "Example of Ed25519 signing" }
    expect(compactJws("EdDSA", words, value, Buffer.alloc(0))).toBe(
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    )
  })

  test("claims: RFC 7519; each name is signed once, other things are refused", () => {
    expect(readClaims(Buffer.from('{"aud":"a","exp":5,"aud":["b","c"]}'))).toEqual({
      ...{ text: '{"aud":["b","c"],"exp":5}', audience: ["b", "c"], expires: 5 },
    })
    for (const wrong of ["", "[]", "null", "7", "{", '{"exp":"soon"}', '{"aud":[1]}', '{"aud":{}}'])
      expect(() => readClaims(Buffer.from(wrong)), wrong).toThrow(fault("invalid"))
    expect(jwtHeader("ES256", "k1")).toBe('{"alg":"ES256","typ":"JWT","kid":"k1"}')
  })
})

describe("private keys", () => {
  const pairs = {
    ed25519: generateKeyPairSync("ed25519").privateKey,
    p256: generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey,
  }

  test.each<Curve>(["ed25519", "p256"])("of %s are read from each form", (curve) => {
    const key = pairs[curve]
    const { d = "" } = key.export({ format: "jwk" })
    const secret = Buffer.from(d, "base64url")
    const forms = [
      key.export({ format: "pem", type: "pkcs8" }),
      key.export({ format: "der", type: "pkcs8" }),
      ...(curve === "p256"
        ? [key.export({ format: "pem", type: "sec1" }), key.export({ format: "der", type: "sec1" })]
        : []),
    ].map((form) => Buffer.from(form))
    for (const form of [...forms, Buffer.from(String(forms[0]).replaceAll("\n", "\r\n"))]) {
      const found = privateKeyIn(Buffer.from(form), Buffer.alloc(form.length))
      expect([found.curve, Buffer.from(found.secret)]).toEqual([curve, secret])
      // However it is cut off, it is no key, and nothing is read outside.
      for (let length = 0; length < form.length; length += 1) {
        const part = Buffer.from(form.subarray(0, length))
        try {
          expect(privateKeyIn(part, Buffer.alloc(part.length)).secret).toEqual(secret)
        } catch (thrown) {
          expect(thrown).toEqual(fault("invalid"))
        }
      }
    }
  })

  test("of other kinds are refused", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey
    const x25519 = generateKeyPairSync("x25519").privateKey
    const encrypted = pairs.ed25519.export({
      ...{ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" },
    })
    const others = [rsa, p384, x25519].map((key) => key.export({ format: "pem", type: "pkcs8" }))
    for (const each of [
      ...others,
      p384.export({ format: "pem", type: "sec1" }),
      encrypted,
      "sk-test",
      "",
      "0",
    ]) {
      const value = Buffer.from(each)
      expect(() => privateKeyIn(value, Buffer.alloc(value.length))).toThrow(fault("invalid"))
    }
  })
})
