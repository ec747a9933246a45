import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { ROOT_NODE, type NodeId } from "../../../clawfs/core/brand.ts"
import { Counters } from "../../../clawfs/store/counters.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { Inode, InodeFlag, S_IFDIR, S_IFLNK, S_IFREG } from "../../../clawfs/store/inode.ts"
import { Inodes } from "../../../clawfs/store/inodes.ts"
import { Trees } from "../../../clawfs/store/trees.ts"
import { META } from "../../../clawfs/store/store.ts"
import { fc } from "../support/fast-check.ts"
import { temporaryStore } from "../support/temporary.ts"

const TREE = 4711

interface Tables extends Disposable {
  readonly db: Database
  readonly counters: Counters
  inodes: Inodes
  /** Another cache over the same rows: what a new server would read. */
  fresh(): Inodes
}

function tables(): Tables {
  const place = temporaryStore()
  const db = new Database(join(place.directory, META))
  const counters = new Counters(db)
  const trees = new Trees(db)
  const limits = { limitBytes: 0, limitInodes: 0, usedBytes: 0, usedInodes: 1 }
  trees.save({ id: TREE, parent: 0, flags: 0, key: 0, ...limits })
  trees.flush()
  return {
    db,
    counters,
    inodes: new Inodes(db, counters, trees),
    fresh: () => new Inodes(db, new Counters(db), new Trees(db)),
    [Symbol.dispose]() {
      db[Symbol.dispose]()
      place[Symbol.dispose]()
    },
  }
}

const LATER_FIELDS = [
  "size",
  "alloc",
  "flags",
  "parent",
  "inlineOffset",
  "inlineLength",
  ...["atime", "atimeNanos", "mtime", "mtimeNanos", "ctime", "ctimeNanos", "btime", "btimeNanos"],
  "tree",
  "body",
  "partSum",
] as const

/** Every field has a value of its own, so that no two can be mixed up. */
function distinct(ino: number, by: number): Inode {
  const inode = new Inode(ino as NodeId, S_IFREG | 0o640, 3 + by, 1000 + by, 2000 + by, 0xffff_ffff)
  LATER_FIELDS.forEach((field, i) => Object.assign(inode, { [field]: (i + 1) * 1_000_003 + by }))
  inode.tree = TREE
  inode.mtime = -5 - by
  inode.size = 2 ** 53 - 2 - by
  return inode
}

const plain = (inode: Inode | undefined): unknown =>
  inode && { ...inode, extentsEnd: 0, isSole: false, isWhole: false }

describe("an inode", () => {
  test("is read back with every field, after its birth and after a change", () => {
    using t = tables()
    const inode = distinct(77, 0)
    t.inodes.insert(inode)
    t.inodes.flush()
    expect(plain(t.fresh().get(77))).toEqual(plain(inode))
    const changed = distinct(77, 1)
    LATER_FIELDS.forEach((field) => Object.assign(inode, { [field]: changed[field as keyof Inode] }))
    Object.assign(inode, { mode: 0o104711, nlink: 9, uid: 1, gid: 2 })
    t.inodes.save(inode)
    t.inodes.flush()
    expect(plain(t.fresh().get(77))).toEqual(plain(inode))
  })

  test("of any size and time is read back exactly", () => {
    using t = tables()
    let ino = 100
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.maxSafeInteger(),
        fc.nat({ max: 999_999_999 }),
        (size, mtime, mtimeNanos) => {
          const inode = Object.assign(new Inode(ino as NodeId, S_IFREG, 1, 0xffff_fffe, 0, 0), {
            size,
            mtime,
            mtimeNanos,
          })
          t.inodes.insert(inode)
          t.inodes.flush()
          expect(plain(t.fresh().get(ino))).toEqual(plain(inode))
          ino += 1
        },
      ),
      { numRuns: 50 },
    )
  })

  test("is one object for everybody who asks", () => {
    using t = tables()
    expect(t.inodes.get(ROOT_NODE)).toBe(t.inodes.get(ROOT_NODE))
  })

  test("that does not exist is undefined, each time it is asked for", () => {
    using t = tables()
    expect([t.inodes.get(4711), t.inodes.get(4711)]).toEqual([undefined, undefined])
  })

  test("has no row before it is flushed, and never one if it was deleted before", () => {
    using t = tables()
    const inode = distinct(77, 0)
    t.inodes.insert(inode)
    expect(t.fresh().get(77)).toBeUndefined()
    t.inodes.save(inode)
    t.inodes.delete(inode)
    t.inodes.flush()
    expect([t.fresh().get(77), t.inodes.get(77)]).toEqual([undefined, undefined])
  })

  test("that was changed and deleted stays deleted", () => {
    using t = tables()
    const inode = distinct(77, 0)
    t.inodes.insert(inode)
    t.inodes.flush()
    t.inodes.save(inode)
    t.inodes.delete(inode)
    t.inodes.flush()
    expect(t.fresh().get(77)).toBeUndefined()
  })

  test("is counted from birth to deletion", () => {
    using t = tables()
    const before = t.counters.inodes
    const inode = distinct(77, 0)
    t.inodes.insert(inode)
    expect(t.counters.inodes).toBe(before + 1)
    t.inodes.delete(inode)
    expect(t.counters.inodes).toBe(before)
  })

  test("without a name is an orphan once it is flushed", () => {
    using t = tables()
    const inode = distinct(77, 0)
    inode.nlink = 0
    t.inodes.insert(inode)
    expect(t.inodes.orphans()).toEqual([])
    t.inodes.flush()
    expect(t.inodes.orphans()).toEqual([77])
  })
})

describe("the cache", () => {
  const fill = (inodes: Inodes, count: number): void => {
    for (let ino = 100; ino < 100 + count; ino += 1)
      inodes.insert(new Inode(ino as NodeId, S_IFREG, 1, 0, 0, 0))
  }

  test("gives up its oldest half when it is full, but never the root", () => {
    using t = tables()
    const root = t.inodes.get(ROOT_NODE)
    t.db.begin()
    fill(t.inodes, 20_001)
    t.inodes.flush()
    const [oldest, newest] = [t.inodes.get(100), t.inodes.get(20_100)]
    t.inodes.trim()
    expect(t.inodes.get(20_100)).toBe(newest)
    expect(t.inodes.get(100)).not.toBe(oldest)
    expect(plain(t.inodes.get(100))).toEqual(plain(oldest))
    expect(t.inodes.get(ROOT_NODE)).toBe(root)
    t.db.rollback()
  })

  test("keeps everything while something is not flushed: it would be read back old", () => {
    using t = tables()
    t.db.begin()
    fill(t.inodes, 20_001)
    const oldest = t.inodes.get(100)
    t.inodes.trim()
    expect(t.inodes.get(100)).toBe(oldest)
    t.db.rollback()
  })

  test("is empty after a rollback: objects may hold what was never committed", () => {
    using t = tables()
    const root = t.inodes.get(ROOT_NODE)
    if (root === undefined) throw new Error("no root")
    const { mode } = root
    root.mode = 0
    t.inodes.save(root)
    t.inodes.clear()
    t.inodes.flush()
    expect(t.inodes.get(ROOT_NODE)).not.toBe(root)
    expect(t.inodes.get(ROOT_NODE)?.mode).toBe(mode)
  })
})

describe("what stat shows of an inode", () => {
  test("are blocks of 4 KiB, counted in sectors", () => {
    const inode = distinct(77, 0)
    const blocks = (alloc: number): number => {
      inode.alloc = alloc
      return inode.blocks
    }
    expect([0, 1, 4096, 4097, 2 ** 40].map(blocks)).toEqual([0, 8, 8, 16, 2 ** 31])
  })

  test("is its type, by mode and by the number that listings have", () => {
    const of = (mode: number): unknown[] => {
      const { isDirectory, isRegular, isSymlink, type } = new Inode(1 as NodeId, mode, 1, 0, 0, 0)
      return [isDirectory, isRegular, isSymlink, type]
    }
    expect(of(S_IFDIR | 0o7777)).toEqual([true, false, false, 4])
    expect(of(S_IFREG)).toEqual([false, true, false, 8])
    expect(of(S_IFLNK)).toEqual([false, false, true, 10])
    expect(of(0o140000)).toEqual([false, false, false, 12])
  })

  test("flags are set and cleared one by one", () => {
    const inode = distinct(77, 0)
    inode.flags = 0
    inode.setFlag(InodeFlag.APPEND | InodeFlag.HAS_XATTR, true)
    inode.setFlag(InodeFlag.APPEND, false)
    expect([inode.has(InodeFlag.APPEND), inode.has(InodeFlag.HAS_XATTR)]).toEqual([false, true])
  })
})

describe("counters", () => {
  test("are read back as they were saved, and not before", () => {
    using t = tables()
    t.counters.bytes = 2 ** 52
    t.counters.inodes = 7
    t.counters.batch = 9
    t.counters.reply = { uniqueLow: 0xffff_ffff, uniqueHigh: 0x7fff_ffff, value: 2 ** 51 }
    const [ino, sequence] = [t.counters.allocateIno(), t.counters.nextSequence()]
    expect(new Counters(t.db).bytes).toBe(0)
    t.counters.save()
    const again = new Counters(t.db)
    expect({ ...again }).toEqual({ ...t.counters })
    expect([again.allocateIno(), again.nextSequence()]).toEqual([ino + 1, sequence + 1])
  })

  test("are as the last commit left them after a rollback", () => {
    using t = tables()
    const ino = t.counters.allocateIno()
    t.counters.bytes = 5
    t.counters.load()
    expect([t.counters.bytes, t.counters.allocateIno()]).toEqual([0, ino])
  })

  test("never give out the number of the root, nor one twice", () => {
    using t = tables()
    const numbers = Array.from({ length: 100 }, () => t.counters.allocateIno())
    expect(Math.min(...numbers)).toBeGreaterThan(ROOT_NODE)
    expect(new Set(numbers).size).toBe(100)
  })
})
