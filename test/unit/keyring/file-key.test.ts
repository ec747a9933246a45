import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { FileKey } from "../../../keyring/file-key.ts"
import { openOne, sealOne } from "../../../keyring/record-jobs.ts"
import { copySecret } from "../../../keyring/secret.ts"
import { counting, fileAad, gcm, sealedName, subkey } from "./independent.ts"

const TREE = { uuid: counting(0xa0, 16), id: 7, generation: 3 }
const FILE_ID = counting(0x10, 16)
const KEY = counting(0x40, 32)
const NONCE = counting(0x90, 12)
const PLACE = counting(0xc0, 40)

function fileKey(changed: { uuid?: Buffer; id?: number; fileId?: Buffer; key?: Buffer } = {}): FileKey {
  const { uuid = TREE.uuid, id = TREE.id, fileId = FILE_ID, key = KEY } = changed
  return new FileKey({ uuid, id, fileId }, copySecret(key))
}

/** Keys that differ from the right one in one thing each. */
const OTHERS = {
  store: fileKey({ uuid: counting(1, 16) }),
  "tree key's number": fileKey({ id: 8 }),
  file: fileKey({ fileId: counting(2, 16) }),
  key: fileKey({ key: counting(3, 32) }),
}

function isCorrupt(run: () => unknown): boolean {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof Fault && thrown.kind === "corrupt"
  }
  return false
}

describe("a record", () => {
  const plain = Buffer.from("contents of a file")
  const sealed = Buffer.from(plain)
  const tag = Buffer.alloc(16)
  sealOne(fileKey().recordJob(NONCE, PLACE, sealed, sealed, tag))

  test("is what the format says", () => {
    const expected = gcm(subkey(KEY, "contents"), NONCE, fileAad("record", TREE, FILE_ID, PLACE), plain)
    expect(Buffer.concat([NONCE, sealed, tag]).toString("hex")).toBe(expected.toString("hex"))
    expect(expected.toString("hex")).toBe(GOLDEN.record)
  })

  test("opens in its place alone", () => {
    const out = Buffer.alloc(plain.length)
    expect(openOne(fileKey().recordJob(NONCE, PLACE, sealed, out, tag))).toBe(true)
    expect(out.equals(plain)).toBe(true)
    expect(openOne(fileKey().recordJob(NONCE, counting(0xc1, 40), sealed, out, tag))).toBe(false)
    expect(openOne(fileKey().recordJob(counting(0x91, 12), PLACE, sealed, out, tag))).toBe(false)
    for (const other of Object.values(OTHERS))
      expect(openOne(other.recordJob(NONCE, PLACE, sealed, out, tag))).toBe(false)
    expect(out.equals(Buffer.alloc(plain.length))).toBe(true)
  })
})

describe("a name", () => {
  const name = Buffer.from("a secret name.txt")

  test.each(["name", "xattr name"] as const)("(%s) is what the format says", (kind) => {
    for (const each of [name, counting(1, 32), counting(1, 33), counting(1, 255), Buffer.from("x")]) {
      const got = fileKey().sealName(kind, each)
      expect(got).toEqual(sealedName(KEY, kind, TREE, FILE_ID, each))
      expect(fileKey().openName(kind, got.cell)).toEqual({ name: each, hash: got.hash })
    }
  })

  test("has the cell and the hash that old stores have", () => {
    const { cell, hash } = fileKey().sealName("name", name)
    expect({ cell: cell.toString("hex"), hash }).toEqual(GOLDEN.name)
  })

  test("looks different in another directory, store and tree, and as another kind", () => {
    const keys = [fileKey(), ...Object.values(OTHERS)]
    const cells = keys.flatMap((key) => [key.sealName("name", name), key.sealName("xattr name", name)])
    expect(new Set(cells.map(({ cell }) => cell.toString("hex"))).size).toBe(10)
    expect(new Set(cells.map(({ hash }) => hash)).size).toBe(10)
  })

  test("is refused when it is damaged or belongs elsewhere", () => {
    const { cell } = fileKey().sealName("name", name)
    for (let at = 0; at < cell.length; at += 1) {
      const damaged = Buffer.from(cell)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      expect(isCorrupt(() => fileKey().openName("name", damaged))).toBe(true)
    }
    for (const wrong of [cell.subarray(0, 16), cell.subarray(0, 40), Buffer.alloc(0)])
      expect(isCorrupt(() => fileKey().openName("name", wrong))).toBe(true)
    for (const other of Object.values(OTHERS))
      expect(isCorrupt(() => other.openName("name", cell))).toBe(true)
    expect(isCorrupt(() => fileKey().openName("xattr name", cell))).toBe(true)
  })

  test("shows its length in steps of 32 only", () => {
    const lengths = Array.from(
      { length: 255 },
      (_, i) => fileKey().sealName("name", counting(1, i + 1)).cell.length,
    )
    expect([...new Set(lengths)]).toEqual([48, 80, 112, 144, 176, 208, 240, 272])
  })
})

describe("a small value", () => {
  const plain = Buffer.from("value")

  test.each(["inline", "symlink", "xattr value"] as const)("(%s) is what the format says", (kind) => {
    const blob = fileKey().sealValue(kind, PLACE, plain)
    const nonce = blob.subarray(0, 12)
    expect(blob).toEqual(gcm(subkey(KEY, kind), nonce, fileAad(kind, TREE, FILE_ID, PLACE), plain))
    expect(fileKey().openValue(kind, PLACE, blob)).toEqual(plain)
    expect(fileKey().openValue(kind, PLACE, Buffer.from(GOLDEN[kind], "hex"))).toEqual(plain)
  })

  test("opens as what it is, where it belongs, and nowhere else", () => {
    const blob = fileKey().sealValue("inline", PLACE, plain)
    expect(isCorrupt(() => fileKey().openValue("symlink", PLACE, blob))).toBe(true)
    expect(isCorrupt(() => fileKey().openValue("inline", counting(0, 40), blob))).toBe(true)
    for (const other of Object.values(OTHERS))
      expect(isCorrupt(() => other.openValue("inline", PLACE, blob))).toBe(true)
  })
})

test("a key that was disposed of holds zeroes", () => {
  const bytes = copySecret(KEY)
  const key = new FileKey({ uuid: TREE.uuid, id: TREE.id, fileId: FILE_ID }, bytes)
  key.sealName("name", Buffer.from("x"))
  key[Symbol.dispose]()
  expect(bytes.equals(Buffer.alloc(32))).toBe(true)
})

/** Made once with the functions of independent.ts: stores of this version must stay readable. */
const GOLDEN = {
  record: "909192939495969798999a9b8baffffb23e2eb639ae5896b4fa2ca05824dc76904d5c76b54ac8d616b082fab68b6",
  name: {
    cell: "f0f92b3b968034825d939a7f31bfbc5415a3e7fa3196605435821c28dbdbee269918d19c637dcd101d80963a6f27dc39",
    hash: 968925350522870,
  },
  inline: "909192939495969798999a9beb662457254b07672227955b7d86ffe49c3778ae99",
  symlink: "909192939495969798999a9b198140506955b59cd730ec36050c16d3494b6bc009",
  "xattr value": "909192939495969798999a9bfe0e80a96fa1866fb4eab9b557ebe217a6a75b5dee",
} as const
