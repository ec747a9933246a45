/** How soon a saved file is found, and what programs notice of the indexing. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { numbers, run, sleep } from "../command.ts"
import { compiled } from "../paths.ts"
import type { Daemon } from "./daemon.ts"
import { median, quantile, type Row } from "../rows.ts"

const FILES_A_SECOND = 100
const SECONDS = 20
/** Every so manieth file is looked for. */
const SAMPLE = 50
/** More often, looking would be the load that is measured. */
const LOOK_MS = 40
const GIVE_UP_MS = 10_000
const LATENCY_SECONDS = 10

/** Letters alone, so that it is one word, and no word of any other file. */
const rareWord = (i: number): string =>
  `zq${[...String(i)].map((digit) => String.fromCharCode(97 + Number(digit))).join("")}vux`

async function foundAfter(
  daemon: Daemon,
  word: string,
  mode: string,
  file: string,
  savedMs: number,
): Promise<number> {
  for (;;) {
    const hits = await daemon.search(word, { mode, limit: 3 })
    if (hits.some(({ path, score }) => path.endsWith(file) && score > 0.5)) return performance.now() - savedMs
    if (performance.now() - savedMs > GIVE_UP_MS) return Infinity
    await sleep(LOOK_MS)
  }
}

/** While 100 files a second are written. The daemon must be mounted, its index complete. */
export async function* freshness(daemon: Daemon): AsyncGenerator<Row> {
  const directory = join(daemon.mountpoint, "workspaces", "fresh")
  mkdirSync(directory)
  const found: Record<"words" | "meaning", Promise<number>[]> = { words: [], meaning: [] }
  const started = performance.now()
  for (let i = 0; i < FILES_A_SECOND * SECONDS; i += 1) {
    const word = rareWord(i)
    writeFileSync(
      join(directory, `n${i}.md`),
      `# Note ${i}\n\nThis is about ${word} and the habits of ${word} in general.\n`,
    )
    const savedMs = performance.now()
    if (i % SAMPLE === 0)
      for (const mode of ["words", "meaning"] as const)
        found[mode].push(foundAfter(daemon, word, mode, `n${i}.md`, savedMs))
    const aheadMs = started + ((i + 1) * 1000) / FILES_A_SECOND - performance.now()
    if (aheadMs > 0) await sleep(aheadMs)
  }
  const rate = (FILES_A_SECOND * SECONDS * 1000) / (performance.now() - started)
  for (const [mode, goal] of [
    ["words", 1000],
    ["meaning", 2000],
  ] as const) {
    const times = await Promise.all(found[mode])
    const note = `${rate.toFixed(0)} files a second were written; p50 ${median(times).toFixed(0)} ms`
    yield { name: `fresh.${mode}.p95`, value: quantile(times, 0.95), unit: "ms", atMost: goal, note }
  }
}

/** Latency of small files while nothing is indexed, and while all of the index is made anew. */
export async function* latency(daemon: Daemon): AsyncGenerator<Row> {
  const directory = join(daemon.mountpoint, "workspaces", "latency")
  mkdirSync(directory)
  const measure = async (): Promise<Map<string, number>> => {
    const { stdout } = await run([
      process.execPath,
      compiled("search", "latency-client.js"),
      directory,
      String(LATENCY_SECONDS),
    ])
    return numbers(stdout)
  }
  await measure()
  const idle = await measure()
  await run(daemon.command("index", "rebuild", daemon.mountpoint))
  await sleep(1000)
  const busy = await measure()
  for (const name of ["p50", "p99"]) {
    const [before = NaN, during = NaN] = [idle.get(name), busy.get(name)]
    const note = `${before.toFixed(0)} us idle, ${during.toFixed(0)} us while indexing`
    yield {
      name: `latency.${name}`,
      value: during / before,
      unit: "x",
      ...(name === "p99" ? { atMost: 1.5 } : {}),
      note,
    }
  }
}
