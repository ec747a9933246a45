/** `make bench-search`: what search costs and how soon it is right, with the goals of issue 4's kind beside each figure. */
import { mkdirSync, writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { message, stopCommands } from "../command.ts"
import { busyPercent, describeMachine } from "../machine.ts"
import { claimWorkDir, ensureFusectl, Guard, removeWork, workDir } from "../mounts.ts"
import { source } from "../paths.ts"
import { freshness, latency } from "./freshness.ts"
import { grep } from "./grep.ts"
import { filled, indexing } from "./indexing.ts"
import { hasWords } from "./daemon.ts"
import { queries } from "./queries.ts"
import { printRow, type Row } from "./rows.ts"
import { vectors } from "./vectors.ts"

const usage = `usage: node build/bench/search/main.js [options]
  --only A,B       of index, query, fresh, latency, vectors, grep (all but index need what index leaves)
  --megabytes N    of prose and code (default 130: some 110,000 chunks)
  --grep-megabytes N  of the tree for grep (default 1000)
  --dir DIR        where to work (default /var/tmp)
  --json FILE      where to save (default bench/results/search-<date>.json)
`

const PARTS = ["index", "query", "fresh", "latency", "vectors", "grep"] as const
const NOT_INDEXED = "grep"
const INDEX_SECONDS = 3600

async function* measure(
  only: ReadonlySet<string>,
  work: string,
  guard: Guard,
  megabytes: number,
  grepMegabytes: number,
): AsyncGenerator<Row> {
  if ([...only].some((part) => part !== NOT_INDEXED)) {
    const store = await filled(join(work, "search"), guard, megabytes * 1e6)
    const [daemon] = store
    yield* indexing(store)
    if (only.has("query")) yield* queries(daemon)
    if (only.has("vectors")) yield* vectors(daemon.store, work)
    if (only.has("fresh")) yield* freshness(daemon)
    // It leaves an index that is being built.
    if (only.has("latency")) yield* latency(daemon)
    await daemon.unmount()
  }
  if (!only.has("grep")) return
  const [daemon, { bytes }] = await filled(join(work, "grep"), guard, grepMegabytes * 1e6, true)
  daemon.configure({ provider: "none" })
  await daemon.mount()
  await daemon.until(hasWords, INDEX_SECONDS)
  yield* grep(daemon, bytes / 1e6)
  await daemon.unmount()
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: PARTS.join(",") },
      megabytes: { type: "string", default: "130" },
      "grep-megabytes": { type: "string", default: "1000" },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const only = new Set(values.only.split(","))
  const stranger = [...only].find((part) => !PARTS.some((known) => known === part))
  if (stranger !== undefined) throw new Error(`there is no part "${stranger}", but ${PARTS.join(", ")}`)
  claimWorkDir(values.dir)
  const guard = new Guard()
  const work = workDir(values.dir)
  guard.add(() => removeWork(work))
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      stopCommands()
      guard.release()
      process.exit(130)
    })
  process.on("exit", () => guard.release())
  ensureFusectl(guard)
  const machine = await describeMachine()
  const busy = await busyPercent(1000)
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.revision}; busy before: ${busy.toFixed(0)} %\n`,
  )
  const rows: Row[] = []
  for await (const row of measure(
    only,
    work,
    guard,
    Number(values.megabytes),
    Number(values["grep-megabytes"]),
  )) {
    rows.push(row)
    printRow(row)
  }
  const date = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(":", "-")
  const file = values.json ?? source("results", `search-${date}.json`)
  mkdirSync(join(file, ".."), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ machine, busy, load: loadavg(), rows }, undefined, 2)}\n`)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`bench: ${message(error)}\n`)
  process.exitCode = 1
}
