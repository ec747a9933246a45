/** `make bench-search`: what search costs and how soon it is right, with the goals of issue 4's kind beside each figure. */
import { join } from "node:path"
import { drive, type Options } from "../driver.ts"
import type { Guard } from "../mounts.ts"
import type { Row } from "../rows.ts"
import { freshness, latency } from "./freshness.ts"
import { grep } from "./grep.ts"
import { filled, indexing } from "./indexing.ts"
import { hasWords } from "./daemon.ts"
import { queries } from "./queries.ts"
import { vectors } from "./vectors.ts"

const usage = `usage: node build/bench/search/main.js [options]
  --only A,B       of index, query, fresh, latency, vectors, grep (all but index need what index leaves)
  --megabytes N    of prose and code (default 130: some 110,000 chunks)
  --grep-megabytes N  of the tree for grep (default 1000)
  --dir DIR        where to work (default /var/tmp)
  --json FILE      where to save (default bench/results/search-<date>.json)
`

const NOT_INDEXED = "grep"
const INDEX_SECONDS = 3600

async function* measure(
  only: ReadonlySet<string>,
  guard: Guard,
  { work, numbers: { megabytes = 0, "grep-megabytes": grepMegabytes = 0 } }: Options,
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

await drive({
  name: "search",
  usage,
  parts: ["index", "query", "fresh", "latency", "vectors", NOT_INDEXED],
  numbers: { megabytes: 130, "grep-megabytes": 1000 },
  measure,
})
