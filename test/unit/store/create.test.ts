import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META, SEGMENTS, Store } from "../../../clawfs/store/store.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const ROOT = { mode: 0o750, uid: 12, gid: 34 }
const at = (place: Temporary, ...names: string[]): string => join(place.path, ...names)

function refusal(run: () => Store): Fault {
  try {
    run()[Symbol.dispose]()
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
  throw new Error("not refused")
}

describe("a new store", () => {
  test("has a root with the mode and owner that were asked for, and nothing else", () => {
    using place = temporary()
    using store = Store.create(at(place, "s"), ROOT)
    const root = store.root()
    expect([root.ino, root.mode, root.uid, root.gid, root.nlink, root.parent]).toEqual([
      1, 0o040750, 12, 34, 2, 1,
    ])
    expect(store.dentries.isEmpty(root.ino)).toBe(true)
    expect([store.counters.inodes, store.counters.bytes]).toEqual([1, 0])
    expect(brokenInvariants(at(place, "s"))).toEqual([])
  })

  test("is made in a missing or an empty directory, parents included", () => {
    using place = temporary()
    mkdirSync(at(place, "empty"))
    for (const path of [at(place, "empty"), at(place, "deep", "er")]) {
      using store = Store.create(path, ROOT)
      expect(
        readdirSync(store.directory)
          .filter((name) => !name.startsWith(`${META}-`))
          .sort(),
      ).toEqual([META, SEGMENTS])
    }
  })

  test("can be entered by its owner alone", () => {
    using place = temporary()
    using store = Store.create(at(place, "s"), ROOT)
    expect(statSync(store.directory).mode & 0o777).toBe(0o700)
    expect(statSync(at(place, "s", SEGMENTS)).mode & 0o777).toBe(0o700)
    expect(statSync(at(place, "s", META)).mode & 0o777).toBe(0o600)
  })

  test("can be entered by its owner alone, also where an empty directory was open to others", () => {
    using place = temporary()
    mkdirSync(at(place, "s"))
    chmodSync(at(place, "s"), 0o755)
    using store = Store.create(at(place, "s"), ROOT)
    for (const [name, mode] of [
      [".", 0o700],
      [SEGMENTS, 0o700],
      [META, 0o600],
      [`${META}-wal`, 0o600],
    ] as const)
      expect(statSync(join(store.directory, name)).mode & 0o777, name).toBe(mode)
  })

  test("is unlike any other: id and hash seeds are its own", () => {
    using place = temporary()
    using a = Store.create(at(place, "a"), ROOT)
    using b = Store.create(at(place, "b"), ROOT)
    expect(a.uuid).toHaveLength(16)
    expect(a.uuid.equals(b.uuid)).toBe(false)
  })

  test("leaves no write-ahead log when it is closed", () => {
    using place = temporary()
    Store.create(at(place, "s"), ROOT)[Symbol.dispose]()
    expect(readdirSync(at(place, "s")).sort()).toEqual([META, SEGMENTS])
  })
})

describe("no store is made", () => {
  test("in a directory with entries", () => {
    using place = temporary()
    writeFileSync(at(place, "file"), "mine")
    const fault = refusal(() => Store.create(place.path, ROOT))
    expect([fault.kind, fault.message]).toEqual(["not-empty", `${place.path} is not empty`])
    expect(readdirSync(place.path)).toEqual(["file"])
  })

  test("in place of a file", () => {
    using place = temporary()
    writeFileSync(at(place, "file"), "mine")
    const fault = refusal(() => Store.create(at(place, "file"), ROOT))
    expect([fault.kind, fault.message]).toEqual(["invalid", `${at(place, "file")} is not a directory`])
  })

  test("over another store", () => {
    using place = temporary()
    Store.create(at(place, "s"), ROOT)[Symbol.dispose]()
    const fault = refusal(() => Store.create(at(place, "s"), ROOT))
    expect([fault.kind, fault.message]).toEqual(["exists", `${at(place, "s")} already holds a ClawFS store`])
    using store = Store.open(at(place, "s"))
    expect(store.root().uid).toBe(12)
  })

  test("half: a failure leaves nothing behind, and an empty directory empty", () => {
    using place = temporary()
    mkdirSync(at(place, "empty"))
    const spy = vi.spyOn(Database.prototype, "checkpoint").mockImplementation(() => {
      throw new Fault("no-space", "full")
    })
    for (const name of ["empty", "missing"]) {
      expect(refusal(() => Store.create(at(place, name), ROOT)).kind).toBe("no-space")
    }
    spy.mockRestore()
    expect(readdirSync(at(place, "empty"))).toEqual([])
    expect(existsSync(at(place, "missing"))).toBe(false)
  })
})

describe("a directory that is opened", () => {
  test("must exist", () => {
    using place = temporary()
    const fault = refusal(() => Store.open(at(place, "missing")))
    expect([fault.kind, fault.message]).toEqual(["not-found", `there is no store at ${at(place, "missing")}`])
    expect(fault.hint).toBe(`make one: clawfs init ${at(place, "missing")}`)
  })

  test("must hold a store: the message says what is missing", () => {
    using place = temporary()
    expect(refusal(() => Store.open(place.path)).message).toContain(`(no ${META} in it)`)
    Store.create(at(place, "s"), ROOT)[Symbol.dispose]()
    rmSync(at(place, "s", SEGMENTS), { recursive: true })
    const fault = refusal(() => Store.open(at(place, "s")))
    expect([fault.kind, fault.message.includes(`(no ${SEGMENTS} in it)`)]).toEqual(["invalid", true])
  })

  test("whose database lost its one row about the store is damaged", () => {
    using place = temporary()
    Store.create(at(place, "s"), ROOT)[Symbol.dispose]()
    {
      using db = new Database(at(place, "s", META))
      db.execute("DELETE FROM store")
    }
    const fault = refusal(() => Store.open(at(place, "s")))
    expect([fault.kind, fault.message]).toEqual(["corrupt", `${at(place, "s")}/${META} has no store record`])
  })

  test("read-only is not changed in any way, even without write permission", () => {
    using place = temporary()
    Store.create(at(place, "s"), ROOT)[Symbol.dispose]()
    const before = statSync(at(place, "s", META)).mtimeMs
    chmodSync(at(place, "s", META), 0o400)
    {
      using store = Store.open(at(place, "s"), { readOnly: true })
      expect(store.root().gid).toBe(34)
    }
    expect(statSync(at(place, "s", META)).mtimeMs).toBe(before)
  })
})
