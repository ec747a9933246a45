/** The index's copy of the names follows the store through its change feed, and every changed file is looked at. */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Follower } from "../../../../clawfs/search/feed/follower.ts"
import { Places } from "../../../../clawfs/search/feed/places.ts"
import { clone } from "../../../../clawfs/fs/clone.ts"
import { Removal } from "../../../../clawfs/fs/removal.ts"
import { createSnapshot, deleteSnapshot } from "../../../../clawfs/fs/snapshots.ts"
import { Database } from "../../../../clawfs/store/database.ts"
import { Store } from "../../../../clawfs/store/store.ts"
import { TestFileSystem, ok } from "../../support/filesystem.ts"
import { Random, runs, seed } from "../../support/random.ts"
import { temporary, type Temporary } from "../../support/temporary.ts"

/** Somebody who follows a store from outside: names, and of each file what it last read. */
class Index implements Disposable {
  readonly #db: Database
  readonly #store: Store
  readonly #follower: Follower
  readonly places: Places
  readonly contents = new Map<number, string>()
  touched = new Map<number, boolean>()
  #read = 0
  epoch = 0

  constructor(directory: string, path: string) {
    this.#db = new Database(path, { create: true })
    this.#store = Store.open(directory, { readOnly: true })
    this.places = new Places(this.#db)
    this.#follower = new Follower(this.#store, this.places, (ino, mayHaveChanged) =>
      this.touched.set(ino, mayHaveChanged || this.touched.get(ino) === true),
    )
  }

  /** Reads up to `limit` changes; false when there are none. */
  follow(limit = 1000): boolean {
    return this.#store.view(() => {
      this.touched = new Map()
      const { feed, counters } = this.#store
      if (counters.feedEpoch !== this.epoch) {
        this.#read = counters.feedLast
        this.epoch = counters.feedEpoch
        this.#follower.compareAll()
        this.#look()
        return true
      }
      const commits = feed.behind(this.#read, limit)
      this.#read = commits.at(-1)?.seq ?? this.#read
      this.#follower.follow(commits.flatMap(({ changes }) => changes))
      this.#look()
      return commits.length > 0
    })
  }

  #look(): void {
    for (const [ino, mayHaveChanged] of this.touched) {
      const inode = this.#store.inodes.get(ino)
      if (inode === undefined || this.places.paths(ino).length === 0) this.contents.delete(ino)
      else if (mayHaveChanged || !this.contents.has(ino)) {
        const bytes = Buffer.alloc(inode.size)
        this.#store.contents.read(inode, 0, inode.size, bytes, 0)
        this.contents.set(ino, createHash("sha1").update(bytes).digest("hex"))
      }
    }
  }

  /** Names, and what the files hold, by inode. */
  get all(): unknown {
    const rows = this.#db
      .query<[], [number, number, number, number, Buffer]>("SELECT * FROM place ORDER BY parent, cookie")
      .all()
    return [rows.map((row) => row.join(" ")), [...this.contents].sort(([a], [b]) => a - b)]
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
    this.#db[Symbol.dispose]()
  }
}

let fs: TestFileSystem
let place: Temporary
let index: Index
let made = 0

beforeEach(() => {
  fs = new TestFileSystem()
  place = temporary()
  index = another()
})

afterEach(() => {
  index[Symbol.dispose]()
  place[Symbol.dispose]()
  fs[Symbol.dispose]()
})

const another = (): Index => new Index(fs.directory, join(place.path, `${(made += 1)}.db`))
function settle(): void {
  fs.store.settle()
  while (index.follow());
}
const pathsOf = (path: string): string[] => index.places.paths(fs.at(path).ino).map(String)
function fresh(): unknown {
  using other = another()
  while (other.follow());
  return other.all
}

describe("a follower", () => {
  test("tells the paths of a file through renames of what is above it, and of links", () => {
    for (const path of ["a", "a/b", "c"]) ok(fs.mkdir(path))
    ok(fs.mknod("a/b/file"))
    settle()
    expect(pathsOf("a/b/file")).toEqual(["a/b/file"])
    ok(fs.link("a/b/file", "c/link"))
    fs.rename("a", "c/a")
    fs.store.settle()
    index.follow()
    expect(pathsOf("c/link")).toEqual(["c/a/b/file", "c/link"])
    expect([...index.touched.keys()]).toEqual([fs.at("c/link").ino])
  })

  test("hears of contents that change without a name", () => {
    ok(fs.mknod("file"))
    settle()
    const { ino } = fs.at("file")
    const before = index.contents.get(ino)
    fs.write(ino, 0, "text")
    settle()
    expect(index.contents.get(ino)).not.toBe(before)
  })

  test("leaves snapshots out, and follows clones", () => {
    ok(fs.mkdir("a"))
    ok(fs.mknod("a/file"))
    createSnapshot(fs.env, { name: "s", path: Buffer.from("/"), isWritable: true })
    clone(fs.env, Buffer.from("/.snapshots/s/a"), Buffer.from("/back"))
    settle()
    expect(pathsOf("back/file")).toEqual(["back/file"])
    expect(pathsOf(".snapshots/s/a/file")).toEqual([])
  })

  test("looks at a directory's files again when its attributes change", () => {
    ok(fs.mkdir("a"))
    ok(fs.mknod("a/file"))
    settle()
    const attribute = Buffer.from("user.clawfs.index")
    expect(fs.fs.setxattr(fs.request(fs.at("a").ino), attribute, Buffer.from("off"), 0, 0)).toBe(0)
    fs.store.settle()
    index.follow()
    expect([...index.touched.keys()]).toEqual([fs.at("a/file").ino])
  })
})

describe("the feed", () => {
  test("is trimmed, and begins anew where it grew too long or commits may have been lost", () => {
    ok(fs.mknod("file"))
    settle()
    const { epoch } = index
    fs.store.housekeep(() => expect(fs.store.feed.trim(fs.store.counters.feedLast)).toBe(false))
    fs.store.settle()
    expect(fs.store.feed.behind(0, 10)).toEqual([])
    fs.store.housekeep(() => fs.store.feed.renew())
    settle()
    expect(index.epoch).not.toBe(epoch)
    expect(index.all).toEqual(fresh())
  })

  test("a change that is taken back leaves no row", () => {
    fs.store.settle()
    const before = fs.store.counters.feedLast
    const failing = (): void => {
      fs.store.dentries.insert(fs.at("").ino, Buffer.from("x"), fs.at("").ino, 4)
      throw new Error("on purpose")
    }
    expect(() => fs.store.transact(failing)).toThrow("on purpose")
    fs.store.settle()
    expect(fs.store.counters.feedLast).toBe(before)
  })
})

describe("after random operations", () => {
  const NAMES = ["a", "b", "c", "d"] as const
  const anyPath = (random: Random): string => {
    const depth = 1 + random.below(3)
    return Array.from({ length: depth }, () => random.pick(NAMES)).join("/")
  }
  const isThere = (path: string): boolean => {
    const parts = path.split("/")
    return parts.every((_, i) => fs.has(parts.slice(0, i + 1).join("/")))
  }
  const isFree = (path: string): boolean => {
    const above = path.split("/").slice(0, -1).join("/")
    if (above !== "" && (!isThere(above) || (fs.at(above).mode & 0o170000) !== 0o040000)) return false
    return !fs.has(path)
  }
  const isDirectory = (path: string): boolean => (fs.at(path).mode & 0o170000) === 0o040000

  function step(random: Random): void {
    const [path, other] = [anyPath(random), anyPath(random)]
    const kind = random.below(12)
    if (isFree(path)) {
      if (kind < 4) ok(fs.mkdir(path))
      else if (kind < 8) ok(fs.mknod(path))
      else if (kind < 9) ok(fs.symlink(path, "x"))
      // Copies of copies would grow without end.
      else if (
        isThere(other) &&
        kind === 9 &&
        fs.store.counters.inodes < 500 &&
        !path.startsWith(`${other}/`)
      )
        clone(fs.env, Buffer.from(`/${other}`), Buffer.from(`/${path}`))
      else if (isThere(other) && kind === 10 && !isDirectory(other)) ok(fs.link(other, path))
      return
    }
    if (!isThere(path)) return
    if (kind < 4 && isThere(other)) fs.rename(path, other, random.below(3) === 0 ? 2 : 0)
    else if (kind < 5) fs.unlink(path)
    else if (kind < 6) fs.rmdir(path)
    else if (kind < 7 && isFree(other)) fs.rename(path, other)
    else if (!isDirectory(path) && (fs.at(path).mode & 0o170000) === 0o100000)
      fs.write(fs.at(path).ino, random.below(3000), Buffer.alloc(1 + random.below(30_000), random.below(256)))
  }

  test(`the names and contents that were followed are those of the store (seed ${seed})`, () => {
    const random = new Random(seed)
    const removal = new Removal(fs.env)
    for (let round = 0; round < runs(40); round += 1) {
      for (let i = random.below(60); i > 0; i -= 1) step(random)
      const name = `s${random.below(3)}`
      if (random.below(6) === 0 && fs.store.counters.inodes < 500 && !isThere(`.snapshots/${name}`))
        createSnapshot(fs.env, { name, path: Buffer.from("/"), isWritable: false })
      else if (random.below(6) === 0 && isThere(`.snapshots/${name}`)) {
        deleteSnapshot(fs.env, name)
        while (removal.slice(1000) > 0);
      }
      fs.store.settle()
      // Sometimes it falls behind, and sees changes late.
      if (random.below(3) === 0) index.follow(1 + random.below(20))
      else while (index.follow(1 + random.below(100)));
    }
    settle()
    expect(index.all).toEqual(fresh())
    expect(index.contents.size).toBeGreaterThan(3)
  })
})
