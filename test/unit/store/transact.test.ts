import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { INLINE_MAX } from "../../../clawfs/store/inline.ts"
import { META, Store, newInode } from "../../../clawfs/store/store.ts"
import { firstDifference } from "../support/compare.ts"
import { fillSegment, makeFile, readFile, removeFile, writeFile } from "../support/files.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { temporary, temporaryStore } from "../support/temporary.ts"

const BIG = Buffer.alloc(INLINE_MAX + 1000, "big")
const NAME = Buffer.from("name")
const XATTR = Buffer.from("user.name")

/** Everything that a store can be asked about one file, for comparison before and after. */
function picture(store: Store, ino: number): unknown {
  const inode = store.inodes.get(ino)
  if (inode === undefined) return undefined
  return {
    ...inode,
    // In memory only, and only a bound.
    extentsEnd: 0,
    isSole: false,
    isWhole: false,
    contents: readFile(store, inode).toString("base64"),
    xattr: store.xattrs.get(inode, XATTR)?.toString(),
    names: store.dentries.list(store.root().ino, 0, 100),
    counters: [store.counters.inodes, store.counters.bytes, store.counters.reply],
    space: store.space().usedBytes,
  }
}

/** Makes the next commits fail at their last step, as a full disk would. */
function failCommits(directory: string): Disposable {
  using db = new Database(join(directory, META))
  db.execute("CREATE TRIGGER fail BEFORE UPDATE ON state BEGIN SELECT RAISE(ABORT, 'no commit today'); END")
  return {
    [Symbol.dispose]() {
      using again = new Database(join(directory, META))
      again.execute("DROP TRIGGER fail")
    },
  }
}

/** A change of everything that a transaction can change. */
function changeAll(store: Store, ino: number): void {
  const inode = store.inodes.get(ino)
  if (inode === undefined) throw new Error("no inode")
  store.contents.write(inode, 0, BIG)
  store.contents.write(inode, 40_000, Buffer.from("tail"))
  inode.mode = 0o100777
  inode.nlink = 5
  store.inodes.save(inode)
  store.xattrs.put(inode, XATTR, Buffer.from("new"))
  store.dentries.insert(store.root().ino, NAME, inode.ino, inode.type)
  const other = store.counters.allocateIno()
  store.symlinks.insert(newInode(other, 0o120777, 0, 0, 0), Buffer.from("target"))
}

describe("a transaction that throws in the middle", () => {
  test("leaves memory as it was, without the store being opened again", () => {
    using place = temporaryStore()
    const { ino } = makeFile(place.store)
    const inode = place.store.inodes.get(ino)
    if (inode !== undefined) writeFile(place.store, inode, 0, Buffer.from("inline"))
    const before = picture(place.store, ino)
    const failing = (): void =>
      place.store.transact(() => {
        changeAll(place.store, ino)
        throw new Error("in the middle")
      })
    expect(failing).toThrow("in the middle")
    expect(picture(place.store, ino)).toEqual(before)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("leaves the disk as it was", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    writeFile(place.store, inode, 0, BIG)
    const before = picture(place.store, inode.ino)
    const failing = (): void =>
      place.store.transact(() => {
        changeAll(place.store, inode.ino)
        throw new Error("in the middle")
      })
    expect(failing).toThrow("in the middle")
    expect(picture(place.reopen(), inode.ino)).toEqual(before)
  })

  test("is over: the next one works, and numbers go on without a collision", () => {
    using place = temporaryStore()
    const failing = (): void =>
      place.store.transact(() => {
        place.store.counters.allocateIno()
        throw new Error("x")
      })
    expect(failing).toThrow("x")
    const inode = makeFile(place.store)
    writeFile(place.store, inode, 0, BIG)
    expect(firstDifference(readFile(place.store, inode), BIG)).toBe(-1)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("keeps inodes that wait for their burial: they go with the next one", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    writeFile(place.store, inode, 0, BIG)
    place.store.release(inode.ino)
    const failing = (): void =>
      place.store.transact(() => {
        throw new Error("x")
      })
    expect(failing).toThrow("x")
    expect(place.store.hasWork).toBe(true)
    expect(place.store.inodes.get(inode.ino)?.size).toBe(BIG.length)
    place.store.transact(() => undefined)
    expect(place.store.hasWork).toBe(false)
    expect(place.store.inodes.get(inode.ino)).toBeUndefined()
    expect(place.store.counters.bytes).toBe(0)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("has not been executed: its request is not in the record", () => {
    using place = temporaryStore()
    const request = { uniqueLow: 7, uniqueHigh: 1 }
    const failing = (): void =>
      place.store.transact(
        () => undefined,
        request,
        () => {
          throw new Error("x")
        },
      )
    expect(failing).toThrow("x")
    expect(place.store.replyOf(request)).toBeUndefined()
  })
})

describe("a commit that fails", () => {
  test("is undone like a change that throws", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    const before = picture(place.store, inode.ino)
    {
      using _ = failCommits(place.directory)
      expect(() => writeFile(place.store, inode, 0, BIG)).toThrow("no commit today")
    }
    expect(picture(place.store, inode.ino)).toEqual(before)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("gives no segment up for deletion: what it holds is still in use", () => {
    using place = temporaryStore()
    const { ino } = makeFile(place.store)
    const first = place.store.inodes.get(ino)
    if (first !== undefined) writeFile(place.store, first, 0, BIG)
    const store = fillSegment(place)
    writeFile(store, makeFile(store), 0, BIG)
    const inode = store.inodes.get(ino)
    if (inode === undefined) throw new Error("no inode")
    {
      using _ = failCommits(place.directory)
      expect(() => removeFile(store, inode)).toThrow("no commit today")
    }
    const again = store.inodes.get(ino)
    expect(again && firstDifference(readFile(store, again), BIG)).toBe(-1)
    // Whatever is named here is unlinked by the sync worker.
    expect(store.takeDeadSegments()).toEqual([])
  })
})

describe("a committed transaction", () => {
  test("gives its result back and is told to the hook after the commit", () => {
    using place = temporary()
    const directory = join(place.path, "store")
    using created = Store.create(directory, { mode: 0o755, uid: 0, gid: 0 })
    created[Symbol.dispose]()
    const seen: number[] = []
    using store = Store.open(directory, {
      onMoment: (moment) => {
        expect(moment).toBe("committed")
        using db = new Database(join(directory, META), { readonly: true })
        seen.push(db.query<[], [number]>("SELECT inodes FROM state").get()?.[0] ?? -1)
      },
    })
    makeFile(store)
    expect(store.transact(() => "result")).toBe("result")
    expect(seen).toEqual([2, 2])
  })

  test("remembers its request and the inode it made, across a restart, and no other request", () => {
    using place = temporaryStore()
    const request = { uniqueLow: 0xffff_fffe, uniqueHigh: 0x1234 }
    place.store.transact(
      () => 4711,
      request,
      (made) => made,
    )
    const check = (store: Store): void => {
      expect(store.replyOf(request)).toBe(4711)
      // The kernel sets the highest bit when it asks again.
      expect(store.replyOf({ ...request, uniqueHigh: 0x8000_1234 | 0 })).toBe(4711)
      expect(store.replyOf({ ...request, uniqueHigh: 0x8000_1234 })).toBe(4711)
      expect(store.replyOf({ ...request, uniqueLow: 1 })).toBeUndefined()
      expect(store.replyOf({ ...request, uniqueHigh: 0x1235 })).toBeUndefined()
    }
    check(place.store)
    place.store.transact(() => undefined)
    check(place.reopen())
  })

  test("that made nothing is remembered with inode 0", () => {
    using place = temporaryStore()
    place.store.transact(() => undefined, { uniqueLow: 9, uniqueHigh: 0 })
    expect(place.store.replyOf({ uniqueLow: 9, uniqueHigh: 0 })).toBe(0)
  })

  test("of an earlier mount is forgotten on request: numbers start again with every mount", () => {
    using place = temporaryStore()
    expect(place.store.replyOf({ uniqueLow: 0, uniqueHigh: 0 })).toBeUndefined()
    place.store.transact(() => undefined, { uniqueLow: 9, uniqueHigh: 0 })
    place.store.clearReply()
    expect(place.store.replyOf({ uniqueLow: 9, uniqueHigh: 0 })).toBeUndefined()
    expect(place.store.replyOf({ uniqueLow: 0, uniqueHigh: 0 })).toBeUndefined()
  })
})

describe("released inodes", () => {
  test("take all their rows along", () => {
    using place = temporaryStore()
    const { store } = place
    const inode = makeFile(store)
    store.transact(() => {
      store.contents.write(inode, 0, BIG)
      store.contents.write(inode, 40_000, Buffer.from("tail"))
      store.xattrs.put(inode, XATTR, Buffer.from("value"))
      inode.setFlag(0x0100_0000, true)
      store.inodes.save(inode)
    })
    expect(store.counters.bytes).toBeGreaterThan(BIG.length)
    removeFile(store, inode)
    expect(brokenInvariants(place.directory)).toEqual([])
    expect([store.counters.inodes, store.counters.bytes]).toEqual([1, 0])
  })

  test("wait for the next commit, and ask for one when they are many", () => {
    using place = temporaryStore()
    const { store } = place
    for (let i = 0; i < 512; i += 1) {
      expect(store.hasWork).toBe(i > 0)
      // A number that names no inode: nothing is committed in between.
      store.release(store.counters.allocateIno())
    }
    expect(store.hasManyReleased).toBe(true)
    store.settle()
    expect([store.hasWork, store.hasManyReleased]).toEqual([false, false])
  })

  test("that are released twice are buried once", () => {
    using place = temporaryStore()
    const inode = makeFile(place.store)
    place.store.release(inode.ino)
    place.store.release(inode.ino)
    place.store.transact(() => undefined)
    expect(place.store.counters.inodes).toBe(1)
  })
})

test("a read-only store refuses to be changed", () => {
  using place = temporaryStore()
  place.store[Symbol.dispose]()
  using store = Store.open(place.directory, { readOnly: true })
  expect(() => store.transact(() => undefined)).toThrow(Fault)
  expect(store.root().isDirectory).toBe(true)
})
