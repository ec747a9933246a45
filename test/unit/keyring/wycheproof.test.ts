/**
 * Project Wycheproof's vectors, run from a folder that CLAWFS_TEST_WYCHEPROOF names (github.com/C2SP/wycheproof, testvectors_v1):
 * AES-GCM and HMAC as the vault uses them, HKDF, PBKDF2, Ed25519 and ECDSA P-256. Without the folder, a file of the same form with
 * vectors of the standards shows that the loader finds what is wrong.
 */
import { createPublicKey, hkdfSync, verify } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Kdf, derive } from "../../../keyring/kdf.ts"
import { hmac, nodePrimitives, primitives } from "../../../keyring/primitives.ts"
import { publicKeyOf, signWith } from "../../../clawfs/sys/signatures.ts"

const folder = process.env["CLAWFS_TEST_WYCHEPROOF"]
const hex = (text = ""): Buffer => Buffer.from(text, "hex")

type Case = Readonly<Record<string, string>> & {
  readonly tcId: number
  readonly result: "valid" | "invalid" | "acceptable"
}
interface Group {
  readonly tests: readonly Case[]
  readonly [field: string]: unknown
}
/** What a vector should be; undefined: not for us. */
type Check = (test: Case, group: Group) => boolean | undefined

function gcm({ key, iv, aad, msg, ct, tag }: Case, { keySize, ivSize, tagSize }: Group): boolean | undefined {
  if (keySize !== 256 || ivSize !== 96 || tagSize !== 128) return undefined
  return [primitives(), nodePrimitives].every((each) => {
    const out = Buffer.alloc(hex(ct).length)
    return each.open(hex(key), hex(iv), hex(aad), hex(ct), out, hex(tag)) && out.equals(hex(msg))
  })
}

function ed25519({ msg, sig }: Case, { publicKey }: Group): boolean {
  const { pk } = publicKey as { pk: string }
  const spki = Buffer.concat([hex("302a300506032b6570032100"), hex(pk)])
  return verify(null, hex(msg), createPublicKey({ key: spki, format: "der", type: "spki" }), hex(sig))
}

function ecdsa({ msg, sig }: Case, { publicKeyDer }: Group): boolean {
  const key = createPublicKey({ key: hex(publicKeyDer as string), format: "der", type: "spki" })
  return verify("sha256", hex(msg), { key, dsaEncoding: "ieee-p1363" }, hex(sig))
}

const FILES: Readonly<Record<string, Check>> = {
  "aes_gcm_test.json": gcm,
  "hmac_sha256_test.json": ({ key, msg, tag }, { tagSize }) =>
    hmac(hex(key), hex(msg))
      .subarray(0, Number(tagSize) / 8)
      .equals(hex(tag)),
  "hkdf_sha256_test.json": ({ ikm, salt, info, okm, size }) =>
    Number(size) <= 255 * 32 &&
    Buffer.from(hkdfSync("sha256", hex(ikm), hex(salt), hex(info), Number(size))).equals(hex(okm)),
  "pbkdf2_hmacsha256_test.json": ({ password, salt, iterationCount, dkLen, dk }) =>
    Number(dkLen) < 32
      ? undefined
      : derive(hex(password), {
          kdf: Kdf.PBKDF2,
          salt: hex(salt),
          cost: Number(iterationCount),
          memoryKiB: 0,
        })
          .subarray(0, 32)
          .equals(hex(dk).subarray(0, 32)),
  "ed25519_test.json": ed25519,
  "ecdsa_secp256r1_sha256_p1363_test.json": ecdsa,
}

/** Numbers of the vectors of a file that were not as they say, and how many were looked at. */
function run(path: string, check: Check): { readonly wrong: number[]; readonly count: number } {
  const { testGroups } = JSON.parse(readFileSync(path, "utf8")) as { testGroups: readonly Group[] }
  const wrong: number[] = []
  let count = 0
  for (const group of testGroups)
    for (const each of group.tests) {
      const found = check(each, group)
      if (found === undefined || each.result === "acceptable") continue
      count += 1
      if (found !== (each.result === "valid")) wrong.push(each.tcId)
    }
  return { wrong, count }
}

describe.skipIf(folder === undefined)("Wycheproof", () => {
  test.each(Object.entries(FILES))("%s", (name, check) => {
    const path = [folder ?? "", join(folder ?? "", "testvectors_v1")]
      .map((each) => join(each, name))
      .find(existsSync)
    if (path === undefined) throw new Error(`${name} is not in ${folder ?? ""}`)
    const { wrong, count } = run(path, check)
    process.stderr.write(`${name}: ${count} vectors\n`)
    expect(wrong).toEqual([])
    expect(count).toBeGreaterThan(20)
  })
})

test("the loader tells right vectors from wrong ones", () => {
  const directory = mkdtempSync(join(tmpdir(), "clawfs-wycheproof-"))
  const seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
  const point = publicKeyOf("p256", seed)
  const msg = "616263"
  const spki = Buffer.concat([hex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), point])
  const groups: Readonly<Record<string, { group: object; test: object; broken: object }>> = {
    // Test case 14 of McGrew and Viega.
    "aes_gcm_test.json": {
      group: { keySize: 256, ivSize: 96, tagSize: 128 },
      test: {
        ...{ key: "00".repeat(32), iv: "00".repeat(12), aad: "", msg: "00".repeat(16) },
        ...{ ct: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919" },
      },
      broken: { tag: "d0d1c8a799996bf0265b98b5d48ab918" },
    },
    "hmac_sha256_test.json": {
      group: { tagSize: 256 },
      test: {
        ...{ key: "4a656665", msg: "7768617420646f2079612077616e7420666f72206e6f7468696e673f" },
        tag: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      },
      broken: { msg: "00" },
    },
    "hkdf_sha256_test.json": {
      group: {},
      test: {
        ...{
          ikm: "0b".repeat(22),
          salt: "000102030405060708090a0b0c",
          info: "f0f1f2f3f4f5f6f7f8f9",
          size: 42,
        },
        okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
      },
      broken: { info: "f0" },
    },
    "pbkdf2_hmacsha256_test.json": {
      group: {},
      test: {
        ...{ password: "706173737764", salt: "73616c74", iterationCount: 1, dkLen: 32 },
        dk: "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc",
      },
      broken: { iterationCount: 2 },
    },
    "ed25519_test.json": {
      group: { publicKey: { pk: publicKeyOf("ed25519", seed).toString("hex") } },
      test: { msg, sig: signWith("ed25519", seed, hex(msg)).toString("hex") },
      broken: { msg: "616264" },
    },
    "ecdsa_secp256r1_sha256_p1363_test.json": {
      group: { publicKeyDer: spki.toString("hex") },
      test: { msg, sig: signWith("p256", seed, hex(msg)).toString("hex") },
      broken: { msg: "616264" },
    },
  }
  try {
    expect(Object.keys(groups)).toEqual(Object.keys(FILES))
    for (const [name, { group, test: right, broken }] of Object.entries(groups)) {
      const tests = [
        { tcId: 1, result: "valid", ...right },
        { tcId: 2, result: "invalid", ...right, ...broken },
        { tcId: 3, result: "invalid", ...right },
        { tcId: 4, result: "valid", ...right, ...broken },
      ]
      const path = join(directory, name)
      writeFileSync(path, JSON.stringify({ testGroups: [{ ...group, tests }] }))
      expect(run(path, FILES[name] ?? (() => undefined)), name).toEqual({ wrong: [3, 4], count: 4 })
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})
