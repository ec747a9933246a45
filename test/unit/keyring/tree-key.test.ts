import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { KEY_BYTES, copySecret, randomSecret } from "../../../keyring/secret.ts"
import { FILE_KEY_DRAW, TreeKey } from "../../../keyring/tree-key.ts"
import { checkValue, counting, sealedName, wrappedFileKey } from "./independent.ts"

const TREE = { uuid: counting(0xa0, 16), id: 7, generation: 3 }
const KEY = counting(0x40, 32)
const FILE = { id: counting(0x10, 16), key: counting(0x70, 32) }
const NONCE = counting(0x90, 12)

function treeKey(changed: Partial<typeof TREE> & { key?: Buffer } = {}): TreeKey {
  const { key = KEY, ...rest } = changed
  return new TreeKey({ ...TREE, ...rest }, copySecret(key))
}

const drawn = (): Buffer => randomSecret(FILE_KEY_DRAW)

const OTHERS = {
  store: treeKey({ uuid: counting(1, 16) }),
  number: treeKey({ id: 8 }),
  generation: treeKey({ generation: 4 }),
  key: treeKey({ key: counting(3, 32) }),
}

function isCorrupt(run: () => unknown): boolean {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof Fault && thrown.kind === "corrupt"
  }
  return false
}

describe("the check value", () => {
  test("is what the format says", () => {
    expect(treeKey().checkValue()).toEqual(checkValue(KEY, TREE))
    expect(treeKey().checkValue().toString("hex")).toBe(
      "f80f1481b7448f54608a60bd8b293f06761e6ad59eddff2a0280bf51fcb0685d",
    )
  })

  test("fits this key alone", () => {
    expect(treeKey().isRight(treeKey().checkValue())).toBe(true)
    for (const other of Object.values(OTHERS)) expect(other.isRight(treeKey().checkValue())).toBe(false)
    expect(treeKey().isRight(Buffer.alloc(0))).toBe(false)
  })
})

describe("a file key", () => {
  const wrapped = { fileId: FILE.id, wrapped: wrappedFileKey(KEY, TREE, NONCE, FILE) }

  test("that was wrapped as the format says is unwrapped", () => {
    using file = treeKey().open(wrapped)
    const name = Buffer.from("x")
    expect(file.sealName("name", name)).toEqual(sealedName(FILE.key, "name", TREE, FILE.id, name))
  })

  test("is new each time, and opens with the tree's key alone", () => {
    const [one, two] = [treeKey().newFileKey(drawn()).wrapped, treeKey().newFileKey(drawn()).wrapped]
    expect(one.fileId.equals(two.fileId)).toBe(false)
    expect(one.wrapped.length).toBe(60)
    const name = Buffer.from("x")
    expect(treeKey().open(one).sealName("name", name)).not.toEqual(treeKey().open(two).sealName("name", name))
    for (const other of Object.values(OTHERS)) expect(isCorrupt(() => other.open(one))).toBe(true)
    expect(isCorrupt(() => treeKey().open({ fileId: one.fileId, wrapped: two.wrapped }))).toBe(true)
    expect(isCorrupt(() => treeKey().open({ fileId: one.fileId, wrapped: Buffer.alloc(3) }))).toBe(true)
  })

  test("stays the same when another tree key wraps it", () => {
    const next = TreeKey.random({ ...TREE, generation: 4 })
    const again = treeKey().rewrap(wrapped, next)
    const name = Buffer.from("x")
    expect(next.open(again).sealName("name", name)).toEqual(treeKey().open(wrapped).sealName("name", name))
    expect(isCorrupt(() => treeKey().open(again))).toBe(true)
    expect(isCorrupt(() => next.open(wrapped))).toBe(true)
  })
})

test("a tree key keeps its predecessor, which nothing else opens", () => {
  const next = TreeKey.random({ ...TREE, generation: 4 })
  const kept = next.wrapPrevious(treeKey())
  expect(next.openPrevious(kept).checkValue()).toEqual(treeKey().checkValue())
  expect(isCorrupt(() => TreeKey.random({ ...TREE, generation: 4 }).openPrevious(kept))).toBe(true)
  expect(isCorrupt(() => next.openPrevious(next.newFileKey(drawn()).wrapped.wrapped))).toBe(true)
})

test("a key that was disposed of holds zeroes", () => {
  const bytes = copySecret(KEY)
  new TreeKey(TREE, bytes)[Symbol.dispose]()
  expect(bytes.equals(Buffer.alloc(KEY_BYTES))).toBe(true)
})
