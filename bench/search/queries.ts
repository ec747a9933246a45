/** Queries through the daemon's socket and by the command, on an index of real size. */
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { run } from "../command.ts"
import type { Daemon, IndexStatus } from "./daemon.ts"
import { median, quantile, type Row } from "../rows.ts"

const QUERIES = 300
const COMMANDS = 21
/** From so many chunks on the graph answers (MOST_EXACT of vector-search.ts). */
const GRAPH_FROM = 16_300
const GRAPH_SECONDS = 1800

/** Two to four words of one place in a file: what somebody remembers of it. */
function queriesFrom(directory: string): string[] {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const queries: string[] = []
  for (let i = 0; queries.length < QUERIES; i += 1) {
    const text = readFileSync(files[(i * 7919) % files.length] ?? "", "latin1")
    const words = text.slice(text.length >> 1, (text.length >> 1) + 2000).match(/\b[a-z]{4,14}\b/g) ?? []
    if (words.length > 20) queries.push(words.slice(3, 5 + (i % 3)).join(" "))
    if (i > 50 * QUERIES) throw new Error("the corpus has no words")
  }
  return queries
}

const hasGraph = ({ chunks, embedders }: IndexStatus): boolean =>
  embedders.some(({ isCurrent, graph }) => isCurrent && graph !== "exact" && graph.vectors >= chunks * 0.9)

/** The daemon must be mounted, its index complete. */
export async function* queries(daemon: Daemon): AsyncGenerator<Row> {
  const { chunks = 0 } = (await daemon.status()) ?? {}
  if (chunks > GRAPH_FROM) {
    const seconds = await daemon.until(hasGraph, GRAPH_SECONDS)
    const graph = (await daemon.status())?.embedders.find(({ isCurrent }) => isCurrent)?.graph
    const recall = graph === undefined || graph === "exact" ? NaN : graph.recall
    yield {
      name: "query.graph.recall",
      value: recall,
      unit: "",
      atLeast: 0.98,
      note: `there after ${seconds.toFixed(0)} s`,
    }
  }
  const list = queriesFrom(join(daemon.mountpoint, "workspaces", "corpus"))
  for (const query of list.slice(0, 20)) await daemon.search(query)
  for (const mode of ["hybrid", "words", "meaning"]) {
    const times: number[] = []
    let found = 0
    for (const query of list) {
      const start = performance.now()
      const hits = await daemon.search(query, { mode })
      times.push(performance.now() - start)
      found += hits.length > 0 ? 1 : 0
    }
    const note = `${list.length} queries, ${chunks} chunks, ${found} found something`
    const goals = mode === "hybrid" ? [{ atMost: 10 }, { atMost: 50 }] : [{}, {}]
    yield { name: `query.${mode}.p50`, value: median(times), unit: "ms", ...goals[0], note }
    yield { name: `query.${mode}.p95`, value: quantile(times, 0.95), unit: "ms", ...goals[1] }
  }
  const times: number[] = []
  for (const query of list.slice(0, COMMANDS)) {
    const { seconds } = await run(daemon.command("search", "--paths", query, daemon.mountpoint))
    times.push(seconds * 1000)
  }
  const bare: number[] = []
  for (let i = 0; i < COMMANDS; i += 1) bare.push((await run([process.execPath, "-e", "0"])).seconds * 1000)
  const note = `node -e 0 alone: ${median(bare).toFixed(0)} ms`
  yield { name: "query.command", value: median(times), unit: "ms", atMost: 120, note }
}
