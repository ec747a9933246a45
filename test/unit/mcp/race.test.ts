/** A process swaps what a path leads through for a link out of the root, as fast as it can, while the tools are used. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { SECRET, confined, type Confined } from "./support.ts"

/** Exchanges a name and a link again and again, until its stdin ends; prints how often. Node has no call for it. */
const SWAPPER = `
const exchange = require("koffi").load("libc.so.6")
  .func("int renameat2(int, const char*, int, const char*, unsigned int)")
const HERE = -100
const EXCHANGE = 2
const [name, link] = process.argv.slice(1)
let swaps = 0
let goesOn = true
process.stdin.on("end", () => { goesOn = false }).resume()
const swap = () => {
  for (let i = 0; i < 100; i++) swaps += exchange(HERE, name, HERE, link, EXCHANGE) === 0 ? 1 : 0
  if (goesOn) setImmediate(swap)
  else process.stdout.write(String(swaps))
}
process.stdout.write("ready\\n", swap)
`

const SECONDS = 2

let place: Confined

beforeEach(() => {
  place = confined()
})

afterEach(() => place[Symbol.dispose]())

/** Runs `use` for some seconds while `name` is swapped for a link to `target`; returns what became of it, counted. */
async function whileSwapped(
  name: string,
  target: string,
  use: (round: number) => Promise<string>,
): Promise<ReadonlyMap<string, number>> {
  const link = join(place.base, "link")
  symlinkSync(target, link)
  return await whileExchanged(join(place.root, name), link, use)
}

/** The same for two paths, which need not be there all the time. */
async function whileExchanged(
  one: string,
  other: string,
  use: (round: number) => Promise<string>,
): Promise<ReadonlyMap<string, number>> {
  const child = spawn(process.execPath, ["-e", SWAPPER, one, other], {
    cwd: join(import.meta.dirname, "../../.."),
    stdio: ["pipe", "pipe", "inherit"],
  })
  const said: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => said.push(chunk))
  await once(child.stdout, "data")
  const outcomes = new Map<string, number>()
  const end = performance.now() + SECONDS * 1000
  for (let round = 0; performance.now() < end; round += 1) {
    const outcome = await use(round)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  child.stdin.end()
  await once(child, "close")
  expect(Number(/\d+$/.exec(Buffer.concat(said).toString())?.[0])).toBeGreaterThan(100)
  return outcomes
}

const isOneOf = (outcomes: ReadonlyMap<string, number>, allowed: readonly RegExp[]): string[] =>
  [...outcomes.keys()].filter((outcome) => !allowed.some((pattern) => pattern.test(outcome)))

const REFUSED = [/does not exist$/, /leads out of/, /is a symbolic link/]

test("a directory that becomes a link out of the root: nothing outside is read", async () => {
  mkdirSync(join(place.root, "dir"))
  writeFileSync(join(place.root, "dir", "secret"), "inside")
  const outcomes = await whileSwapped("dir", join(place.base, "outside"), () =>
    place.call("read", { path: "dir/secret" }),
  )
  expect(isOneOf(outcomes, [/^inside/, ...REFUSED])).toEqual([])
  expect([...outcomes.keys()].some((outcome) => outcome.startsWith("inside"))).toBe(true)
  expect([...outcomes.keys()].some((outcome) => outcome.includes("leads out of"))).toBe(true)
})

test("a directory that becomes a relative link out of the root, on a path with ..", async () => {
  mkdirSync(join(place.root, "dir", "sub"), { recursive: true })
  writeFileSync(join(place.root, "dir", "secret"), "inside")
  mkdirSync(join(place.base, "outside", "sub"))
  const outcomes = await whileSwapped("dir", "../outside", () =>
    place.call("read", { path: "dir/sub/../secret" }),
  )
  expect(isOneOf(outcomes, [/^inside/, ...REFUSED])).toEqual([])
  expect([...outcomes.keys()].join()).not.toContain(SECRET)
})

test("a directory that becomes a link out of the root: nothing outside is written, deleted or listed", async () => {
  mkdirSync(join(place.root, "dir"))
  writeFileSync(join(place.root, "dir", "secret"), "inside")
  const outside = join(place.base, "outside")
  const uses = [
    (round: number) => place.call("write", { path: `dir/new-${round}/file`, content: "x" }),
    () => place.call("write", { path: "dir/secret", content: "inside", overwrite: true }),
    () => place.call("edit", { path: "dir/secret", old_string: "inside", new_string: "inside!" }),
    () => place.call("list", { path: ".", depth: 3 }),
  ]
  const outcomes = await whileSwapped("dir", outside, (round) => {
    const use = uses[round % uses.length]
    return use === undefined ? Promise.resolve("") : use(round)
  })
  expect(readdirSync(outside)).toEqual(["secret"])
  expect(readFileSync(join(outside, "secret"), "utf8")).toBe(SECRET)
  const texts = [...outcomes.keys()]
  expect(texts.some((text) => text.startsWith("made dir/new-"))).toBe(true)
  expect(texts.some((text) => text.startsWith("replaced dir/secret"))).toBe(true)
  // Only the names inside are ever listed below dir, and a link has nothing below it.
  for (const text of texts.filter((each) => each.includes("link\t-\tdir")))
    expect(text).not.toMatch(/dir\/secret/)
})

test("a file that becomes a link out of the root is not written through", async () => {
  writeFileSync(join(place.root, "file"), "inside")
  const secret = join(place.base, "outside", "secret")
  const uses = [
    () => place.call("edit", { path: "file", old_string: "inside", new_string: "inside." }),
    () => place.call("write", { path: "file", content: "inside", overwrite: true }),
    () => place.call("memory_write", { content: "x", target: "../file", append: true }),
    () => place.call("read", { path: "file" }),
  ]
  const outcomes = await whileSwapped("file", secret, (round) => {
    const use = uses[round % uses.length]
    return use === undefined ? Promise.resolve("") : use()
  })
  expect(readFileSync(secret, "utf8")).toBe(SECRET)
  expect([...outcomes.keys()].join()).not.toContain(SECRET)
  expect([...outcomes.keys()].some((outcome) => outcome.startsWith("replaced"))).toBe(true)
})

test("a tree that is deleted while parts of it become links: nothing outside is deleted", async () => {
  const memories = join(place.root, "memories")
  const tree = join(memories, "tree")
  mkdirSync(memories)
  const outside = join(place.base, "outside")
  const outcomes = await whileExchanged(join(tree, "a"), join(tree, "b"), async (round) => {
    mkdirSync(join(tree, "a"), { recursive: true })
    for (let file = 0; file < round % 20; file += 1) writeFileSync(join(tree, "a", `file-${file}`), "")
    writeFileSync(join(tree, "a", "secret"), "inside")
    // From now on they are exchanged.
    symlinkSync(outside, join(tree, "b"))
    const outcome = await place.call("memory", { command: "delete", path: "/memories/tree" })
    renameSync(memories, `${memories}-${round}`)
    mkdirSync(memories)
    return outcome
  })
  expect(isOneOf(outcomes, [/^Successfully deleted/])).toEqual([])
  expect(readdirSync(outside)).toEqual(["secret"])
})
