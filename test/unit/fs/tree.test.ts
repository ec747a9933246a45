import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { createTree, type Owners } from "../../../clawfs/fs/tree.ts"
import { Store } from "../../../clawfs/store/store.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { temporary } from "../support/temporary.ts"

/** "name mode uid:gid", and the root as "/". */
function treeOf(owners: Owners): string[] {
  using place = temporary()
  const directory = join(place.path, "store")
  createTree(directory, owners)
  expect(brokenInvariants(directory)).toEqual([])
  using store = Store.open(directory)
  const root = store.root()
  const entries = store.dentries
    .list(root.ino, 2, 100)
    .map(({ name, ino }) => [name.toString(), ino] as const)
  expect(root.nlink).toBe(2 + entries.length)
  return [["/", root.ino] as const, ...entries]
    .map(([name, ino]) => {
      const inode = store.inodes.get(ino)
      if (inode === undefined) throw new Error("no inode")
      expect([inode.parent, inode.isDirectory]).toEqual([root.ino, true])
      return `${name} ${(inode.mode & 0o7777).toString(8).padStart(4, "0")} ${inode.uid}:${inode.gid}`
    })
    .sort()
}

describe("a new store", () => {
  test("of the machine has the six directories with the owners and modes of the specification", () => {
    expect(treeOf({ kind: "system", agentsGid: 901, usersGid: 902, toolsUid: 903 })).toEqual([
      "/ 0755 0:0",
      "agents 0750 0:901",
      // The specification says 0444, with which nobody could enter it (shared/design.md §5).
      "specs 0555 0:0",
      "system 0555 0:0",
      "tools 0755 903:901",
      "vault 0700 0:0",
      "workspaces 0750 0:902",
    ])
  })

  test("of a user belongs to that user alone, with the same modes", () => {
    expect(treeOf({ kind: "user", uid: 1000, gid: 1001 })).toEqual([
      "/ 0755 1000:1001",
      "agents 0750 1000:1001",
      "specs 0555 1000:1001",
      "system 0555 1000:1001",
      "tools 0755 1000:1001",
      "vault 0700 1000:1001",
      "workspaces 0750 1000:1001",
    ])
  })
})

describe("no tree is made", () => {
  const own: Owners = { kind: "user", uid: 0, gid: 0 }
  const refusal = (directory: string): unknown => {
    try {
      createTree(directory, own)
    } catch (thrown) {
      return thrown instanceof Fault ? [thrown.kind, thrown.message] : thrown
    }
    return "made"
  }

  test("in a directory with entries, which stays as it was", () => {
    using place = temporary()
    mkdirSync(join(place.path, "mine"))
    expect(refusal(place.path)).toEqual(["not-empty", `${place.path} is not empty`])
    expect(existsSync(join(place.path, "meta.db"))).toBe(false)
  })

  test("below a file", () => {
    using place = temporary()
    writeFileSync(join(place.path, "file"), "")
    const directory = join(place.path, "file", "store")
    expect(refusal(directory)).toEqual(["not-found", `the directory above ${directory} does not exist`])
  })
})
