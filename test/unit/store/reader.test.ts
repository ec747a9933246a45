/** A store that is opened read-only beside the server that writes: the indexer's and the searcher's. */
import { readdirSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { afterEach, expect, test, vi } from "vitest"
import { StoredContent } from "../../../clawfs/search/indexer/content.ts"
import { present } from "../../../clawfs/core/assert.ts"
import { SEGMENTS, Store } from "../../../clawfs/store/store.ts"
import { Trees } from "../../../clawfs/store/trees.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

const LENGTH = 100_000

function made(fs: TestFileSystem, name: string): number {
  const { ino } = ok(fs.mknod(name))
  expect(fs.write(ino, 0, Buffer.alloc(LENGTH, name))).toBe("OK")
  fs.store.settle()
  return ino
}

test("a commit that comes while it is opened is not taken for damage", () => {
  using fs = new TestFileSystem()
  made(fs, "a")
  const reload = Object.getOwnPropertyDescriptor(Trees.prototype, "reload")?.value as (this: Trees) => void
  let isFirst = true
  vi.spyOn(Trees.prototype, "reload").mockImplementation(function (this: Trees) {
    if (isFirst) {
      isFirst = false
      made(fs, "b")
    }
    reload.call(this)
  })
  using reader = Store.open(fs.directory, { readOnly: true })
  expect(isFirst).toBe(false)
  // What has come meanwhile is there afterwards.
  expect(reader.inodes.get(fs.at("b").ino)?.size).toBe(LENGTH)
})

test("it has no segment open once it has closed them, and reads on", () => {
  using fs = new TestFileSystem()
  const ino = made(fs, "a")
  const segments = join(fs.directory, SEGMENTS)
  const open = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(segments + "/")
      } catch (cause) {
        // The listing's own.
        if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false
        throw cause
      }
    }).length
  const byServer = open()
  using reader = Store.open(fs.directory, { readOnly: true })
  const read = (): string => {
    using content = new StoredContent(reader, present(reader.inodes.get(ino), "the file"))
    return Buffer.from(content.read(0, LENGTH)).toString("latin1")
  }
  for (let round = 0; round < 2; round += 1) {
    expect(read()).toBe("a".repeat(LENGTH))
    expect(open()).toBe(byServer + 1)
    reader.closeSegments()
    expect(open()).toBe(byServer)
  }
})
