/** The indexer's second thread: what it makes of files, and what becomes of them when it dies. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, expect, test } from "vitest"
import { hashOf, packedOf } from "../../../clawfs/search/index/prepare.ts"
import { unpackText } from "../../../clawfs/search/index/chunk-text.ts"
import { Preparer, type Prepared } from "../../../clawfs/search/indexer/preparer.ts"
import { program } from "../../helpers/programs.ts"

const directory = mkdtempSync(join(tmpdir(), "clawfs-preparer-"))
afterAll(() => rmSync(directory, { recursive: true }))

const real = pathToFileURL(program("clawfs/search/indexer/preparer-main.ts"))

function textOf(prepared: Prepared): string[] {
  if ("state" in prepared) throw new Error(prepared.reason)
  return prepared.chunks.map((chunk) => unpackText(packedOf(prepared, chunk)))
}

test("texts come back in chunks, each with its hash, whatever their size and order", async () => {
  await using preparer = new Preparer({ program: real })
  const texts = Array.from({ length: 200 }, (_, i) => `# Note ${i}\n\n${`word${i} `.repeat(1 + i * 40)}\n`)
  const results = await Promise.all(
    texts.map((text, i) =>
      preparer.prepare(`${i}.md`, Buffer.byteLength(text), Uint8Array.from(Buffer.from(text))),
    ),
  )
  for (const [i, result] of results.entries()) {
    expect(textOf(result).join("").replaceAll(/\s/g, "")).toContain(
      `word${i}`.repeat(1 + i * 40).slice(-2000),
    )
    if ("state" in result) throw new Error(result.reason)
    const hashes = result.chunks.map((chunk) => hashOf(result, chunk).toString("hex"))
    expect(hashes.every((hash) => /^[0-9a-f]{32}$/.test(hash))).toBe(true)
    expect(result.grams.length).toBeGreaterThan(0)
    expect(result.title).toBe(`Note ${i}`)
  }
})

test("a file of which only the start was read is not whole", async () => {
  await using preparer = new Preparer({ program: real })
  const bytes = Uint8Array.from(Buffer.from("the start of a longer text\n"))
  expect(await preparer.prepare("a.txt", bytes.length, bytes)).toMatchObject({ isWhole: true })
  expect(await preparer.prepare("a.txt", 50_000_000, bytes)).toMatchObject({ isWhole: false })
  expect(await preparer.prepare("a.bin", 4, Uint8Array.of(0, 1, 2, 3))).toMatchObject({ state: "binary" })
})

/** Ends in one of two ways at a file that says so. */
const MORTAL = `
import { parentPort } from "node:worker_threads"
parentPort.on("message", ({ id, name }) => {
  if (name === "exit") process.exit(1)
  if (name === "throw") throw new Error("out of order")
  parentPort.postMessage({ id, result: { state: "ignored", reason: name } })
})
`

test.each(["exit", "throw"])(
  "when the thread ends by %s, its file is refused and all others are prepared",
  async (how) => {
    const file = join(directory, "mortal.mjs")
    writeFileSync(file, MORTAL)
    await using preparer = new Preparer({ program: pathToFileURL(file) })
    const names = Array.from({ length: 300 }, (_, i) => (i === 17 || i === 250 ? how : `n${i}`))
    const results = await Promise.all(names.map((name) => preparer.prepare(name, 1, Uint8Array.of(65))))
    for (const [i, result] of results.entries())
      expect(result).toMatchObject({ state: i === 17 || i === 250 ? "crashed" : "ignored" })
  },
)
