import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { rekeying, rewrap } from "../../../clawfs/store/tree-encryption.ts"
import { encrypt, rekey, unlock, type Secret } from "../support/encryption.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

let fs: TestFileSystem
let secret: Secret

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("tree"))
  secret = encrypt(fs.store, fs.at("tree").ino)
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

describe("a re-keyed tree", () => {
  /** Does up to `slices` slices of three file keys each. */
  function work(slices: number): void {
    let at: number | undefined = 0
    for (let i = 0; i < slices && at !== undefined; i += 1) at = rewrap(fs.store, secret.id, at, 3)
    fs.store.commit()
  }

  test("opens with the new secret alone, at any point of the work, which goes on after a kill", () => {
    for (let i = 0; i < 5; i += 1) ok(fs.mknod(`tree/file${i}`))
    expect(fs.write(fs.at("tree/file1").ino, 0, "x-small")).toBe("OK")
    const old = secret
    secret = rekey(fs.store, old)
    for (const slices of [0, 1, 1, 50]) {
      work(slices)
      fs.restart()
      expect(() => unlock(fs.store, old)).toThrow("does not open the tree")
      unlock(fs.store, secret)
      expect(fs.read(fs.at("tree/file1").ino)).toBe("x-small")
      ok(fs.mknod(`tree/made-${slices}-${fs.names(fs.at("tree").ino).length}`))
    }
    expect(rekeying(fs.store)).toEqual([])
    expect(fs.names(fs.at("tree").ino)).toHaveLength(9)
  })
})
