/**
 * Very many files: what each operation costs as their number grows.
 *
 *   node build/test-programs/test/model/many.js flat|tree COUNT DIRECTORY
 *
 * flat: all in one directory; tree: a hundred to a directory, directories three deep. Prints a line per power of ten,
 * and the names found by one last listing.
 */
import { join } from "node:path"
import * as sys from "../helpers/sys.ts"
import { Random } from "./random.ts"

const [shape = "flat", count = "1000000", directory = ""] = process.argv.slice(2)
const total = Number(count)
const random = new Random(7)
const sample = 2000
const made = new Set<string>()

/** Creates the directories above a name of the tree. */
function pathOf(i: number): string {
  if (shape === "flat") return join(directory, `file-${i}`)
  const parts = [
    `a${Math.floor(i / 1_000_000)}`,
    `b${Math.floor(i / 10_000) % 100}`,
    `c${Math.floor(i / 100) % 100}`,
  ]
  return join(directory, ...parts, `file-${i}`)
}

function makeAbove(path: string): void {
  const above = path.slice(0, path.lastIndexOf("/"))
  if (above === directory || made.has(above)) return
  makeAbove(above)
  made.add(above)
  check(sys.mkdir(above), above)
}

function check(result: number, what: string): void {
  if (result < 0) throw new Error(`${what}: ${sys.errnoName(result)}`)
}

function create(i: number): void {
  const path = pathOf(i)
  if (shape === "tree") makeAbove(path)
  const fd = sys.open(path, sys.O.CREAT | sys.O.EXCL | sys.O.WRONLY)
  check(fd, path)
  sys.close(fd)
}

/** Microseconds per operation. */
function cost(count: number, act: (i: number) => void): string {
  const start = performance.now()
  for (let i = 0; i < count; i++) act(i)
  return (((performance.now() - start) * 1000) / count).toFixed(1)
}

function measure(existing: number): void {
  const costs = {
    // the kernel knows the newest names; these are spread over all
    stat: cost(sample, () =>
      check(typeof sys.lstat(pathOf(random.below(existing))) === "number" ? -2 : 0, "stat"),
    ),
    missing: cost(sample, (i) => void sys.lstat(`${pathOf(random.below(existing))}.none-${i}`)),
    "rename there and back": cost(sample / 2, () => {
      const path = pathOf(random.below(existing))
      check(sys.rename(path, `${path}.new`), "rename")
      check(sys.rename(`${path}.new`, path), "rename")
    }),
  }
  const text = Object.entries(costs).map(([what, each]) => `${what} ${each} us`)
  process.stdout.write(`${existing} files: ${text.join(", ")}\n`)
}

function listed(path: string): number {
  const entries = sys.readDirectory(path, 262_144)
  if (typeof entries === "number") throw new Error(`readdir: ${sys.errnoName(entries)}`)
  const names = entries.filter(({ name }) => name !== "." && name !== "..")
  if (shape === "flat") return new Set(names.map(({ name }) => name)).size
  return names.reduce((sum, { name, type }) => sum + (type === 4 ? listed(join(path, name)) : 1), 0)
}

let next = 0
for (let goal = 1000; next < total; goal *= 10) {
  const batch = Math.min(goal, total) - next
  process.stdout.write(`${batch} created: ${cost(batch, () => create(next++))} us each\n`)
  measure(next)
}
const start = performance.now()
const found = listed(directory)
process.stdout.write(`listed ${found} in ${Math.round(performance.now() - start)} ms\n`)
if (found !== total) throw new Error(`listed ${found} of ${total}`)
const removed = Math.min(total, 20_000)
process.stdout.write(`unlink: ${cost(removed, (i) => check(sys.unlink(pathOf(i)), "unlink"))} us each\n`)
