import { expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { JournalKey } from "../../../keyring/journal-key.ts"
import { copySecret } from "../../../keyring/secret.ts"
import { TreeKey } from "../../../keyring/tree-key.ts"
import { counting, gcm, label, subkey, u64 } from "./independent.ts"

const TREE = { uuid: counting(0xa0, 16), id: 7, generation: 3 }
const KEY = counting(0x40, 32)
const PLACE = counting(0x20, 28)
const PLAIN = counting(0x60, 64)

const treeKey = (): TreeKey => new TreeKey(TREE, copySecret(KEY))

function isCorrupt(run: () => unknown): boolean {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof Fault && thrown.kind === "corrupt"
  }
  return false
}

test("an entry of the journal is sealed as the format says, each with a number of its own", () => {
  using key = JournalKey.fresh(treeKey())
  const derived = subkey(KEY, `journal ${key.salt.toString("hex")}`)
  const aad = Buffer.concat([label("journal entry"), TREE.uuid, u64(TREE.id), u64(TREE.generation), PLACE])
  for (const counter of [0, 1, 2]) {
    const nonce = Buffer.concat([Buffer.alloc(4), u64(counter)])
    const head = Buffer.alloc(8)
    head.writeUInt32LE(TREE.id, 0)
    head.writeUInt32LE(TREE.generation, 4)
    const sealed = gcm(derived, nonce, aad, PLAIN).subarray(nonce.length)
    expect(key.seal(PLACE, Buffer.from(PLAIN))).toEqual(Buffer.concat([head, key.salt, u64(counter), sealed]))
  }
})

test("an entry opens with the key of its tree and salt, at its place, and not with a byte changed", () => {
  using key = JournalKey.fresh(treeKey())
  const plain = Buffer.from(PLAIN)
  const entry = key.seal(PLACE, plain)
  expect(plain).toEqual(Buffer.alloc(PLAIN.length))
  using again = JournalKey.of(treeKey(), entry)
  expect(again.has(entry)).toBe(true)
  expect(again.open(PLACE, entry)).toEqual(PLAIN)
  expect(isCorrupt(() => again.open(counting(0x21, 28), entry))).toBe(true)
  expect(JournalKey.fresh(treeKey()).has(entry)).toBe(false)
  for (let at = 0; at < entry.length; at += 1) {
    const changed = Buffer.from(entry)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    const isNamed = at < 8
    if (isNamed) expect(JournalKey.of(treeKey(), changed).has(changed), `byte ${at}`).toBe(false)
    else
      expect(
        isCorrupt(() => JournalKey.of(treeKey(), changed).open(PLACE, changed)),
        `byte ${at}`,
      ).toBe(true)
  }
  expect(isCorrupt(() => again.open(PLACE, entry.subarray(0, 40)))).toBe(true)
})
