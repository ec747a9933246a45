import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { agree, agreeByNode, publicOf } from "../../../clawfs/sys/x25519.ts"
import { SecretMemory, type SecretMemoryKind } from "../../../clawfs/sys/secret-memory.ts"
import { HeldRoot } from "../../../keyring/held-root.ts"
import { ProtectorKind, type ProtectorPlace, type ProtectorRecord } from "../../../keyring/protector.ts"
import { SecretOpener, makeFixed, sealFor, type PersonSecret } from "../../../keyring/secret-protector.ts"
import { SecretStack } from "../../../keyring/secret-stack.ts"
import { TpmOpener, makeTpmFixed, readTpmFixed, sealToTpm } from "../../../keyring/tpm-protector.ts"
import { Tpm } from "../../../keyring/tpm.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { Swtpm, requireSwtpm } from "../../helpers/swtpm.ts"

const hex = (text: string): Buffer => Buffer.from(text, "hex")

describe("X25519", () => {
  test("gives the bytes of RFC 7748, section 6.1", () => {
    const alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    const bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    expect(publicOf(alice)).toEqual(hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))
    expect(publicOf(bob)).toEqual(hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
    const shared = Buffer.alloc(32)
    expect(agree(alice, publicOf(bob), shared)).toBe(true)
    expect(shared).toEqual(hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"))
  })

  test("both ways agree, with node:crypto and with libcrypto", () => {
    for (let i = 0; i < 20; i += 1) {
      const [a, b] = [randomBytes(32), randomBytes(32)]
      const results = [Buffer.alloc(32), Buffer.alloc(32), Buffer.alloc(32), Buffer.alloc(32)] as const
      expect(publicOf(a)).toEqual(publicOf(a, null))
      expect(agree(a, publicOf(b), results[0])).toBe(true)
      expect(agree(b, publicOf(a), results[1])).toBe(true)
      expect(agreeByNode(a, publicOf(b), results[2])).toBe(true)
      expect(agree(b, publicOf(a, null), results[3], null)).toBe(true)
      expect(new Set(results.map((each) => each.toString("hex"))).size).toBe(1)
    }
    const { publicKey, privateKey } = generateKeyPairSync("x25519")
    const raw = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32)
    expect(publicOf(raw)).toEqual(publicKey.export({ format: "der", type: "spki" }).subarray(-32))
    expect(createPublicKey(privateKey).asymmetricKeyType).toBe("x25519")
  })

  test("refuses points of small order", () => {
    for (const peer of [Buffer.alloc(32), Buffer.from([1, ...Buffer.alloc(31)])]) {
      expect(agree(randomBytes(32), peer, Buffer.alloc(32))).toBe(false)
      expect(agreeByNode(randomBytes(32), peer, Buffer.alloc(32))).toBe(false)
    }
  })
})

const place: ProtectorPlace = { vault: randomBytes(16), number: 2, epoch: 1 }
const people: readonly PersonSecret[] = [
  { kind: ProtectorKind.PASSPHRASE, secret: Buffer.from("correct horse"), kdf: "pbkdf2" },
  { kind: ProtectorKind.RECOVERY, secret: randomBytes(32) },
  { kind: ProtectorKind.KEY_FILE, secret: randomBytes(64) },
]

describe.each(people.map((person) => [person.kind, person] as const))(
  "protector of kind %i",
  (_kind, person) => {
    const root = randomBytes(32)
    const fixed = makeFixed(person, place)
    const record: ProtectorRecord = {
      kind: person.kind,
      fixed,
      sealed: sealFor(person.kind, fixed, place, root),
    }
    const open = (changed: ProtectorRecord, at = place, by = person): Buffer | undefined => {
      const into = Buffer.alloc(32)
      return new SecretOpener(by).open(changed, at, into) ? into : undefined
    }

    test("gives the root key to its secret alone", () => {
      expect(open(record)).toEqual(root)
      const secret = Buffer.concat([person.secret, Buffer.from("x")])
      expect(open(record, place, { ...person, secret })).toBeUndefined()
    })

    test("protects the next root key without the secret", () => {
      const next = { ...place, epoch: 2 }
      const other = randomBytes(32)
      const again = { ...record, sealed: sealFor(person.kind, fixed, next, other) }
      expect(open(again, next)).toEqual(other)
      expect(() => open(again, place)).toThrow(expect.objectContaining({ kind: "corrupt" }))
    })

    test("does not open in another place, or with any bit flipped", () => {
      expect(open(record, { ...place, vault: randomBytes(16) })).toBeUndefined()
      expect(open(record, { ...place, number: 3 })).toBeUndefined()
      // A passphrase takes its time at each try.
      const step = person.kind === ProtectorKind.PASSPHRASE ? 397 : 1
      for (const field of ["fixed", "sealed"] as const)
        for (let bit = 0; bit < record[field].length * 8; bit += step) {
          // The cost: a flip makes it years.
          if (field === "fixed" && bit < 96) continue
          const bytes = Buffer.from(record[field])
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          let opened: Buffer | undefined
          try {
            opened = open({ ...record, [field]: bytes })
          } catch (thrown) {
            expect(thrown).toMatchObject({ kind: "corrupt" })
          }
          expect(opened, `${field}, bit ${bit}`).toBeUndefined()
        }
      for (const field of ["fixed", "sealed"] as const)
        expect(() => open({ ...record, [field]: record[field].subarray(1) })).toThrow(
          expect.objectContaining({ kind: "corrupt" }),
        )
    })
  },
)

test("the TPM as a protector: its PIN, its registers, the counter's value", async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  using tpm = new Tpm(swtpm.tcti)
  const counter = tpm.newCounter()
  const base = tpm.read(counter) - 1n
  const root = randomBytes(32)
  const pin = Buffer.from("2468")
  const fixed = makeTpmFixed([0, 7, 23], true)
  expect(readTpmFixed(fixed)).toMatchObject({ hasPin: true, pcrs: [0, 7, 23] })
  const sealed = sealToTpm(tpm, fixed, root, { name: counter.name, value: base + 1n }, pin)
  const record = { kind: ProtectorKind.TPM, fixed, sealed }
  const into = Buffer.alloc(32)
  expect(() => new TpmOpener(tpm, counter, base).open(record, place, into)).toThrow(/PIN/)
  expect(new TpmOpener(tpm, counter, base, pin).open(record, place, into)).toBe(true)
  expect(into).toEqual(root)
  expect(() => sealToTpm(tpm, fixed, root, { name: counter.name, value: base + 1n })).toThrow(/PIN/)
  for (const damaged of [sealed.subarray(1), sealed.subarray(0, -1), Buffer.concat([sealed, sealed])])
    expect(() =>
      new TpmOpener(tpm, counter, base, pin).open({ ...record, sealed: damaged }, place, into),
    ).toThrow()
})

describe("secret memory", () => {
  test.each<SecretMemoryKind>(["secret", "locked", "plain"])(
    "%s: is zero, can be used, is given back",
    (kind) => {
      const memory = SecretMemory.allocate(8192, kind)
      expect(memory.kind).toBe(kind)
      expect(memory.bytes.every((byte) => byte === 0)).toBe(true)
      randomBytes(8192).copy(memory.bytes)
      const maps = readFileSync("/proc/self/maps", "utf8")
      expect(maps.includes("secretmem")).toBe(kind === "secret")
      memory[Symbol.dispose]()
      memory[Symbol.dispose]()
      expect(readFileSync("/proc/self/maps", "utf8")).not.toContain("secretmem")
    },
  )

  test("is borrowed and wiped, in the order of calls, also when one fails", () => {
    using stack = new SecretStack(4096)
    let seen: Buffer | undefined
    const result = stack.borrow(32, (outer) => {
      outer.fill(7)
      expect(() =>
        stack.borrow(32, (inner) => {
          inner.fill(9)
          seen = inner
          throw new Error("no")
        }),
      ).toThrow("no")
      expect(outer.every((byte) => byte === 7)).toBe(true)
      return 5
    })
    expect(result).toBe(5)
    expect(seen?.every((byte) => byte === 0)).toBe(true)
    expect(() => stack.borrow(4097, () => 0)).toThrow(expect.objectContaining({ kind: "no-space" }))
    expect(() => stack.borrow(1, () => Promise.resolve(1))).toThrow(/synchronous/)
  })
})

describe.each([true, false])("a held root key, in the kernel: %s", (inKernel) => {
  test("is used, derives keys, and is gone when disposed", () => {
    const root = randomBytes(32)
    const held = new HeldRoot(root, { idleSeconds: 0, number: inKernel ? 1 : 2, inKernel })
    expect(held.place).toBe(inKernel ? "kernel keyring" : "memory")
    expect(held.use((bytes) => Buffer.from(bytes))).toEqual(root)
    const [a, b] = ["a", "b"].map((label) => held.derive(label, (key) => Buffer.from(key)))
    expect(a).not.toEqual(b)
    expect(held.derive("a", (key) => Buffer.from(key))).toEqual(a)
    held[Symbol.dispose]()
    expect(held.isHeld()).toBe(false)
    expect(() => held.use(() => 0)).toThrow(expect.objectContaining({ kind: "locked" }))
  })

  test("is forgotten when it is not used, and kept when it is", async () => {
    using held = new HeldRoot(randomBytes(32), { idleSeconds: 2, number: inKernel ? 3 : 4, inKernel })
    for (let i = 0; i < 12; i += 1) {
      await sleep(300)
      held.use(() => 0)
      held.touch()
    }
    await expect.poll(() => held.isHeld(), { interval: 100 }).toBe(false)
    expect(() => held.use(() => 0)).toThrow(expect.objectContaining({ kind: "locked" }))
  })
})
