/** Damages of one bit that a walk over a table does not show, and that lead searches astray or keep SQLite from writing. */
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Database } from "../../clawfs/store/database.ts"
import { META } from "../../clawfs/store/store.ts"
import { memoryDirectory } from "../crash/memory-directory.ts"
import { putUp, type Image } from "./image.ts"
import { judge, type Bench } from "./judge.ts"
import { smallStore } from "./samples.ts"
import { look } from "./sight.ts"

/** sqlite.org/fileformat.html, 1.6: the header of a leaf, behind which two bytes a cell say where it is. */
const LEAF_HEADER = 8
const CELLS_AT = 3
const BITS = 8

let place = ""
let image: Image
let bench: Bench
let pageBytes = 0
const roots = new Map<string, number>()

beforeAll(() => {
  place = mkdtempSync(join(memoryDirectory, "clawfs-misled-"))
  image = smallStore()
  const directory = join(place, "store")
  putUp(image, directory)
  {
    using db = new Database(join(directory, META), { readonly: true })
    pageBytes = Number(db.pragma("page_size"))
    for (const [name, root] of db
      .query<[], [string, number]>("SELECT name, rootpage FROM sqlite_master")
      .all())
      roots.set(name, (root - 1) * pageBytes)
  }
  const right = look(directory)
  putUp(image, directory)
  bench = { directory, right: look(directory, right) }
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

const meta = (): Buffer => image.get(META) ?? Buffer.alloc(0)

/** What a promise is broken by when that bit is another one. */
function problemsOf(at: number, bit: number): string[] {
  const bytes = Buffer.from(meta())
  bytes.writeUInt8((bytes[at] ?? 0) ^ bit, at)
  return judge(new Map([...image, [META, bytes]]), bench).problems.map(
    (problem) => `byte ${at} ^ ${bit}: ${problem}`,
  )
}

test.each(["dentry", "extent", "inode", "shared"])("where a row of table %s begins", (table) => {
  const page = roots.get(table) ?? 0
  const cells = meta().readUInt16BE(page + CELLS_AT)
  expect(cells).toBeGreaterThan(0)
  const problems = Array.from({ length: 2 * cells * BITS }, (_, n) =>
    problemsOf(page + LEAF_HEADER + Math.floor(n / BITS), 1 << (n % BITS)),
  )
  expect(problems.flat()).toEqual([])
})

test("the database's header", () => {
  // Its format for writers and readers, page layout, version and mark.
  const bytes = [18, 19, 20, 21, 22, 23, 47, 60, 61, 62, 63, 68, 69, 70, 71]
  expect(
    bytes.flatMap((at) => Array.from({ length: BITS }, (_, bit) => problemsOf(at, 1 << bit)).flat()),
  ).toEqual([])
})

test("the key of a table's only row", () => {
  // The cell: bytes of the payload, then the key.
  const page = roots.get("state") ?? 0
  const cell = page + meta().readUInt16BE(page + LEAF_HEADER)
  expect(meta()[cell + 1]).toBe(1)
  expect(Array.from({ length: BITS }, (_, bit) => problemsOf(cell + 1, 1 << bit)).flat()).toEqual([])
})
