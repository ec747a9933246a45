/** The kernel's keyrings belong to threads: each test has its own, and no other test sees them. */
import { beforeEach, describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { addKey, readKey } from "../../../clawfs/sys/keyctl.ts"
import { dropKept, joinSessionKeyring, keepKey, keptKey } from "../../../keyring/keyring.ts"
import { copySecret } from "../../../keyring/secret.ts"
import { TreeKey, type KeyIdentity } from "../../../keyring/tree-key.ts"
import { counting } from "./independent.ts"

const IDENTITY: KeyIdentity = { uuid: counting(0xa0, 16), id: 7, generation: 3 }
const KEY = counting(0x40, 32)
const treeKey = (): TreeKey => new TreeKey(IDENTITY, copySecret(KEY))

function hasKeyrings(): boolean {
  try {
    joinSessionKeyring()
    return true
  } catch (thrown) {
    if (thrown instanceof Fault) return false
    throw thrown
  }
}

describe.skipIf(!hasKeyrings())("the session keyring", () => {
  beforeEach(() => joinSessionKeyring())

  test("keeps a key under its store, number and generation", () => {
    expect(keptKey(IDENTITY)).toBeUndefined()
    expect(keepKey(treeKey())).toBeUndefined()
    expect(keptKey(IDENTITY)?.expose()).toEqual(KEY)
    for (const other of [{ id: 8 }, { generation: 4 }, { uuid: counting(1, 16) }])
      expect(keptKey({ ...IDENTITY, ...other })).toBeUndefined()
  })

  test("gives up a key, and knows it no more", () => {
    keepKey(treeKey())
    dropKept(IDENTITY)
    expect(keptKey(IDENTITY)).toBeUndefined()
    dropKept(IDENTITY)
    keepKey(treeKey())
    expect(keptKey(IDENTITY)?.expose()).toEqual(KEY)
  })

  test("is another one after joining again: a new mount knows no keys of an old one", () => {
    keepKey(treeKey())
    joinSessionKeyring()
    expect(keptKey(IDENTITY)).toBeUndefined()
  })

  test("reads a key of another length as none", () => {
    addKey("clawfs:other", Buffer.alloc(5))
    expect(readKey("clawfs:other", Buffer.alloc(32))).toBe(false)
    expect(readKey("clawfs:other", Buffer.alloc(5))).toBe(true)
  })
})
