/** Files that share their contents: what one does, the other does not notice. */
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import type { Inode } from "../../../clawfs/store/inode.ts"
import { META, type Store } from "../../../clawfs/store/store.ts"
import { makeFile, readFile, removeFile, writeFile } from "../support/files.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"
import { temporaryStore, type TemporaryStore } from "../support/temporary.ts"

const LARGE = Buffer.alloc(300_000, "large ")
const SMALL = Buffer.from("small contents")
const TAIL = Buffer.concat([LARGE, SMALL])

/** Gives `copy`, an empty file, the contents of `source`, as a snapshot would; returns both as a new server sees them. */
function share(
  place: TemporaryStore,
  source: Inode,
  copy: Inode,
): { store: Store; source: Inode; copy: Inode } {
  place.store.commit()
  place.store[Symbol.dispose]()
  {
    using db = new Database(join(place.directory, META))
    db.execute(`
      UPDATE inode SET (size, alloc, inline_offset, inline_length, part_sum, body) =
        (SELECT size, alloc, inline_offset, inline_length, part_sum, max(body, (body = 0) * ino) FROM inode WHERE ino = ${source.ino})
        WHERE ino = ${copy.ino};
      INSERT INTO shared SELECT body, 2 FROM inode WHERE ino = ${copy.ino} ON CONFLICT (body) DO UPDATE SET refs = refs + 1;
    `)
    fillSums(db)
  }
  const store = place.reopen()
  const of = (ino: number): Inode => {
    const inode = store.inodes.get(ino)
    if (inode === undefined) throw new Error(`no inode ${ino}`)
    return inode
  }
  return { store, source: of(source.ino), copy: of(copy.ino) }
}

describe.each([
  ["inline", SMALL],
  ["in the log", LARGE],
  ["in both", TAIL],
])("contents that are %s", (_, bytes) => {
  const made = (place: TemporaryStore): ReturnType<typeof share> => {
    const file = makeFile(place.store)
    // In pieces, so that the end may stay inline.
    writeFile(place.store, file, 0, bytes.subarray(0, LARGE.length))
    if (bytes.length > LARGE.length) writeFile(place.store, file, LARGE.length, bytes.subarray(LARGE.length))
    return share(place, file, makeFile(place.store))
  }

  test("are read through both files, and count once", () => {
    using place = temporaryStore()
    const { store, source, copy } = made(place)
    expect(readFile(store, source)).toEqual(bytes)
    expect(readFile(store, copy)).toEqual(bytes)
    expect(store.space().usedBytes).toBe(bytes.length)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("stay as they are in one file when the other is written to", () => {
    using place = temporaryStore()
    const { store, source, copy } = made(place)
    writeFile(store, source, 5, Buffer.from("CHANGED"))
    store.commit()
    expect(readFile(store, copy)).toEqual(bytes)
    expect(readFile(store, source).subarray(0, 14).toString()).toBe(
      `${bytes.subarray(0, 5).toString()}CHANGED${bytes.subarray(12, 14).toString()}`,
    )
    expect(store.space().usedBytes).toBe(2 * bytes.length)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("stay when one of the files goes, and go with the other", () => {
    using place = temporaryStore()
    const { store, source, copy } = made(place)
    removeFile(store, source)
    store.commit()
    expect(brokenInvariants(place.directory)).toEqual([])
    expect(readFile(store, copy)).toEqual(bytes)
    removeFile(store, copy)
    store.commit()
    expect(store.space().usedBytes).toBe(0)
    expect(brokenInvariants(place.directory)).toEqual([])
  })

  test("stay when the other file is emptied, which copies nothing", () => {
    using place = temporaryStore()
    const { store, source, copy } = made(place)
    store.transact(() => {
      store.contents.resize(source, 0)
      store.inodes.save(source)
    })
    store.commit()
    expect(readFile(store, copy)).toEqual(bytes)
    writeFile(store, source, 0, Buffer.from("new"))
    expect(readFile(store, source).toString()).toBe("new")
    expect(readFile(store, copy)).toEqual(bytes)
    store.commit()
    expect(brokenInvariants(place.directory)).toEqual([])
  })
})

test("whatever is done to files that share their contents, each is as if it were alone", () => {
  using place = temporaryStore()
  const random = new Random(seed)
  const models = new Map<number, Buffer>()
  let { store } = place
  const first = makeFile(store)
  models.set(first.ino, Buffer.alloc(0))
  const pick = (): Inode => {
    const inos = [...models.keys()]
    const inode = store.inodes.get(inos[random.below(inos.length)] ?? 0)
    if (inode === undefined) throw new Error("a file is gone")
    return inode
  }
  for (let step = 0; step < runs(300); step += 1) {
    const inode = pick()
    const model = models.get(inode.ino) ?? Buffer.alloc(0)
    const kind = random.below(10)
    if (kind < 2 && models.size < 6) {
      const copy = makeFile(store)
      ;({ store } = share(place, inode, copy))
      models.set(copy.ino, model)
    } else if (kind === 2 && models.size > 1) {
      removeFile(store, inode)
      models.delete(inode.ino)
    } else if (kind === 3) {
      const size = random.below(model.length + 10_000)
      store.transact(() => {
        store.contents.resize(inode, size)
        store.inodes.save(inode)
      })
      models.set(
        inode.ino,
        Buffer.concat([model.subarray(0, size), Buffer.alloc(Math.max(0, size - model.length))]),
      )
    } else {
      const offset = random.below(model.length + 1)
      const data = Buffer.alloc(1 + random.below(kind < 7 ? 200 : 200_000), step % 251)
      writeFile(store, inode, offset, data)
      const grown = Buffer.alloc(Math.max(model.length, offset + data.length))
      model.copy(grown)
      data.copy(grown, offset)
      models.set(inode.ino, grown)
    }
    store.commit()
    if (step % 20 === 0) expect(brokenInvariants(place.directory)).toEqual([])
  }
  for (const [ino, model] of models) {
    const inode = store.inodes.get(ino)
    expect(inode === undefined ? -1 : readFile(store, inode).compare(model)).toBe(0)
  }
  expect(brokenInvariants(place.directory)).toEqual([])
})
