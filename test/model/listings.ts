/**
 * One of several processes that add, rename and remove names of their own in one directory, and list it all the time. A
 * listing that starts when a name is there must have it, and none may have a name twice or one that is gone.
 *
 *   node build/test-programs/test/model/listings.js DIRECTORY PROCESS SECONDS
 */
import { closeSync, openSync, readdirSync, renameSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { Random } from "./random.ts"
import { Recorder } from "./report.ts"

const [directory = "", self = "0", seconds = "5"] = process.argv.slice(2)
const random = new Random(Number(self) + 1)
const recorder = new Recorder()
const mine = new Set<string>()
let next = 0

function fresh(): string {
  next += 1
  return `${self}-${next}`
}

function add(): void {
  const name = fresh()
  closeSync(openSync(join(directory, name), "wx"))
  mine.add(name)
}

function remove(): void {
  const [name] = mine
  if (name === undefined) return
  unlinkSync(join(directory, name))
  mine.delete(name)
}

function move(): void {
  const [name] = mine
  if (name === undefined) return
  const to = fresh()
  renameSync(join(directory, name), join(directory, to))
  mine.delete(name)
  mine.add(to)
}

function list(): void {
  const names = readdirSync(directory)
  const own = names.filter((name) => name.startsWith(`${self}-`))
  const missing = [...mine].filter((name) => !own.includes(name))
  const surplus = own.filter((name) => !mine.has(name))
  if (new Set(names).size !== names.length) recorder.fail("a name is listed twice")
  if (missing.length > 0 || surplus.length > 0)
    recorder.fail(`missing ${missing.join(" ")}, surplus ${surplus.join(" ")}`)
}

const acts = { add, remove, move, list }

const end = performance.now() + Number(seconds) * 1000
while (performance.now() < end) {
  const kind = random.weighted({ add: mine.size < 200 ? 6 : 1, remove: 3, move: 2, list: 10 })
  recorder.timed(kind, acts[kind])
  recorder.succeeded(kind)
}
console.log(JSON.stringify(recorder.report()))
