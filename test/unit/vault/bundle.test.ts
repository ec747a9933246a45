/** Bundles of secrets: what another program needs to open one, and that nothing else than what was sealed comes out. */
import { createDecipheriv, randomBytes } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { canonicalJson } from "../../../clawfs/core/canonical-json.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Kdf } from "../../../keyring/kdf.ts"
import { argon2id, hasArgon2id } from "../../../clawfs/sys/libsodium.ts"
import type { BundledSecret, SecretsBundle } from "../../../schema/secrets-bundle.ts"
import { openBundle, sealBundle } from "../../../vault/bundle.ts"
import { skipIf } from "../../helpers/requirements.ts"

const PASSPHRASE = Buffer.from("correct horse battery staple")
const about = (name: string, bytes: number): BundledSecret => ({
  ...{ name, bytes, description: "", tags: ["a"], created: 1, changed: 2, expires: 0 },
  ...{ rotate_days: 90, keep: 5 },
})
const VALUES = new Map([
  ["openai-api-key", Buffer.from("sk-0123456789")],
  ["binary", Buffer.from([0, 10, 255, 0])],
])
const sealed = (): Buffer =>
  sealBundle(
    PASSPHRASE,
    [...VALUES].map(([name, value]) => about(name, value.length)),
    ({ name }, room) => void VALUES.get(name)?.copy(room),
    { kdf: Kdf.ARGON2ID, salt: randomBytes(16), cost: 1, memoryKiB: 64 },
  )

function opened(bundle: Buffer | SecretsBundle, passphrase = PASSPHRASE): Map<string, string> {
  const found = new Map<string, string>()
  const bytes = Buffer.isBuffer(bundle) ? bundle : Buffer.from(JSON.stringify(bundle))
  openBundle(bytes, passphrase, ({ name }, value) => void found.set(name, value.toString("hex")))
  return found
}

beforeEach((context) => skipIf(context, hasArgon2id() ? undefined : "no libsodium"))

describe("a bundle", () => {
  test("gives back what was put into it, and nothing of it is to be seen", () => {
    const bundle = sealed()
    expect(opened(bundle)).toEqual(new Map([...VALUES].map(([name, value]) => [name, value.toString("hex")])))
    for (const text of ["openai", "sk-0123456789"])
      for (const form of [text, Buffer.from(text).toString("base64").slice(0, -2)])
        expect(bundle.includes(form)).toBe(false)
  })

  test("can be opened as docs/FORMAT.md says, by argon2id and AES-256-GCM alone", () => {
    const { nonce, ciphertext, tag, ...head } = JSON.parse(sealed().toString()) as SecretsBundle
    const key = Buffer.alloc(32)
    const { passes, memory_kib: memoryKiB, salt } = head.kdf
    argon2id(key, PASSPHRASE, Buffer.from(salt, "base64"), { passes, memoryKiB })
    const cipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"))
    cipher.setAAD(Buffer.from(canonicalJson(head)))
    cipher.setAuthTag(Buffer.from(tag, "base64"))
    const plain = Buffer.concat([cipher.update(ciphertext, "base64"), cipher.final()])
    const end = plain.indexOf("\n")
    expect(JSON.parse(plain.toString("utf8", 0, end))).toEqual({
      secrets: [about("openai-api-key", 13), about("binary", 4)],
    })
    expect(plain.subarray(end + 1)).toEqual(Buffer.concat([...VALUES.values()]))
  })

  test("opens for its passphrase alone, and not when anything in it was changed", () => {
    const bundle = JSON.parse(sealed().toString()) as SecretsBundle
    const turned = (text: string): string => {
      const bytes = Buffer.from(text, "base64")
      bytes[0] = (bytes[0] ?? 0) ^ 1
      return bytes.toString("base64")
    }
    const denied = /does not open the bundle/
    expect(() => opened(bundle, Buffer.from("wrong"))).toThrow(denied)
    for (const part of ["nonce", "ciphertext", "tag"] as const)
      expect(() => opened({ ...bundle, [part]: turned(bundle[part]) })).toThrow(denied)
    expect(() => opened({ ...bundle, kdf: { ...bundle.kdf, salt: turned(bundle.kdf.salt) } })).toThrow(denied)
  })

  test.each([
    ["nothing", ""],
    ["other JSON", "[]"],
    ["a newer version", { format: 2 }],
    ["another cipher", { cipher: "none" }],
    ["more memory than any machine has", { kdf: { memory_kib: 2 ** 40 } }],
    ["more passes than anybody waits for", { kdf: { passes: 2 ** 31 } }],
    ["a short tag", { tag: "AAAA" }],
  ] as [string, string | Record<string, unknown>][])("of %s is none", (_what, change) => {
    const kdf = {
      name: "argon2id",
      passes: 3,
      memory_kib: 65_536,
      lanes: 1,
      salt: Buffer.alloc(16).toString("base64"),
    }
    const whole = {
      ...{ format: 1, kind: "clawfs-secrets", cipher: "AES-256-GCM" },
      ...{
        nonce: Buffer.alloc(12).toString("base64"),
        ciphertext: "AAAA",
        tag: Buffer.alloc(16).toString("base64"),
      },
    }
    const changed = typeof change === "string" ? {} : change
    const text = { ...whole, ...changed, kdf: { ...kdf, ...(changed["kdf"] as object | undefined) } }
    const bytes = Buffer.from(typeof change === "string" ? change : JSON.stringify(text))
    let thrown: unknown
    try {
      openBundle(bytes, PASSPHRASE, () => undefined)
    } catch (caught) {
      thrown = caught
    }
    expect(thrown).toMatchObject({ kind: "corrupt" })
    expect(thrown).toBeInstanceOf(Fault)
  })
})
