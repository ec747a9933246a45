import { argon2id, hasArgon2id } from "../../../clawfs/sys/libsodium.ts"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Kdf, derive } from "../../../keyring/kdf.ts"
import { sourceOf } from "../../../keyring/key-file.ts"
import { copySecret } from "../../../keyring/secret.ts"
import {
  SourceKind,
  makeSlot,
  openAnySlot,
  openSlot,
  type KeySlot,
  type KeySource,
} from "../../../keyring/slots.ts"
import { TreeKey } from "../../../keyring/tree-key.ts"
import { counting, gcm, keyFileWrappingKey, passphraseWrappingKey, slotAad } from "./independent.ts"

const TREE = { uuid: counting(0xa0, 16), id: 7, generation: 3 }
const KEY = counting(0x40, 32)
const treeKey = (): TreeKey => new TreeKey(TREE, copySecret(KEY))
const CHECK = treeKey().checkValue()

const keyFile = (first = 1): KeySource => sourceOf(SourceKind.KEY_FILE, copySecret(counting(first, 40)))
const passphrase = (text = "correct horse", kdf: "pbkdf2" | "argon2id" = "pbkdf2"): KeySource =>
  sourceOf(SourceKind.PASSPHRASE, copySecret(Buffer.from(text)), kdf)

describe("a slot", () => {
  test("of a key file is what the format says", () => {
    const slot = makeSlot(treeKey(), 2, keyFile())
    expect({ kind: slot.kind, kdf: slot.kdf, slot: slot.slot }).toEqual({ kind: 1, kdf: 1, slot: 2 })
    const key = keyFileWrappingKey(counting(1, 40), slot.salt)
    expect(slot.wrapped).toEqual(gcm(key, slot.wrapped.subarray(0, 12), slotAad(TREE, slot), KEY))
  })

  test("of a passphrase is what the format says", () => {
    const slot = makeSlot(treeKey(), 1, passphrase())
    expect({ kind: slot.kind, kdf: slot.kdf, cost: slot.cost }).toEqual({ kind: 2, kdf: 2, cost: 600_000 })
    const key = passphraseWrappingKey("correct horse", slot.salt, 600_000)
    expect(slot.wrapped).toEqual(gcm(key, slot.wrapped.subarray(0, 12), slotAad(TREE, slot), KEY))
  })

  test.skipIf(!hasArgon2id())("of a passphrase can be derived by argon2id", () => {
    const slot = makeSlot(treeKey(), 1, passphrase("correct horse", "argon2id"))
    expect({ kdf: slot.kdf, cost: slot.cost, memoryKiB: slot.memoryKiB }).toEqual({
      kdf: Kdf.ARGON2ID,
      cost: 3,
      memoryKiB: 262_144,
    })
    expect(openSlot(TREE, slot, passphrase(), CHECK)?.isRight(CHECK)).toBe(true)
  })

  test("opens for its secret alone, as what it is and where it is", () => {
    const slot = makeSlot(treeKey(), 1, keyFile())
    expect(openSlot(TREE, slot, keyFile(), CHECK)?.expose()).toEqual(KEY)
    expect(openSlot(TREE, slot, keyFile(2), CHECK)).toBeUndefined()
    const changes: Partial<KeySlot>[] = [
      { slot: 2 },
      { kind: SourceKind.PASSPHRASE },
      { kdf: Kdf.PBKDF2, cost: 1 },
      { cost: 5 },
      { salt: counting(1, 16) },
      { wrapped: counting(1, 60) },
      { wrapped: counting(1, 5) },
    ]
    for (const change of changes)
      expect(openSlot(TREE, { ...slot, ...change }, keyFile(), CHECK)).toBeUndefined()
    for (const other of [{ id: 8 }, { generation: 4 }, { uuid: counting(1, 16) }])
      expect(openSlot({ ...TREE, ...other }, slot, keyFile(), CHECK)).toBeUndefined()
    expect(openSlot(TREE, slot, keyFile(), counting(0, 32))).toBeUndefined()
  })

  test("is found among others", () => {
    const slots = [makeSlot(treeKey(), 1, keyFile(1)), makeSlot(treeKey(), 2, keyFile(2))]
    expect(openAnySlot(TREE, slots, keyFile(2), CHECK).slot.slot).toBe(2)
    expect(() => openAnySlot(TREE, slots, keyFile(3), CHECK)).toThrow("this key file does not open the tree")
  })

  test("that asks for hours of work is refused at once", () => {
    const slot = makeSlot(treeKey(), 1, keyFile())
    const secret = Buffer.from("x")
    expect(() => derive(secret, { ...slot, kdf: Kdf.PBKDF2, cost: 2 ** 40 })).toThrow(Fault)
    expect(() => derive(secret, { ...slot, kdf: Kdf.ARGON2ID, cost: 1, memoryKiB: 2 ** 40 })).toThrow(Fault)
    expect(() => derive(secret, { ...slot, kdf: 9 as Kdf })).toThrow("not known")
  })
})

test.skipIf(!hasArgon2id())("argon2id gives the same as other implementations", () => {
  const out = Buffer.alloc(32)
  argon2id(out, Buffer.from("password"), Buffer.from("somesaltsomesalt"), { passes: 2, memoryKiB: 65_536 })
  // argon2id_hash_raw(2, 65536, 1, …) of the reference implementation, Debian's libargon2.so.1
  expect(out.toString("hex")).toBe("fc33b78139231d34b71626bd6245c1d72efa190ad605c3d8166a72adcedfa2c2")
})
