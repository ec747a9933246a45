/**
 * nDCG@10 and Recall@100 of each mode on folders in BEIR's format: `node build/test-programs/bench/search-quality.js FOLDER…` after
 * `npx vitest` has made that directory, or through `make bench-quality`. Collections whose licence keeps them out of the repository
 * (SciFact, TREC-DL, DBpedia-entity) are measured that way.
 */
import { performance } from "node:perf_hooks"
import type { SearchOptions } from "../clawfs/search/query/search.ts"
import { loadCollection, Ranking, withTypos } from "../test/helpers/beir.ts"

const WAYS: Readonly<Record<string, SearchOptions>> = {
  words: { mode: "words" },
  meaning: { mode: "meaning" },
  "hybrid min-max": { mode: "hybrid" },
  "hybrid RRF": { mode: "hybrid", fusion: "rrf" },
}

const digits = (value: number): string => value.toFixed(4)

for (const folder of process.argv.slice(2)) {
  const collection = loadCollection(folder)
  const started = performance.now()
  using ranking = new Ranking(collection)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(
    `${folder}: ${collection.documents.length} documents, ${collection.queries.length} queries, indexed in ${seconds} s`,
  )
  console.log(
    "| mode | nDCG@10 | Recall@100 | nDCG@10 with typos | Recall@100 with typos |\n|---|---|---|---|---|",
  )
  for (const [name, options] of Object.entries(WAYS)) {
    const plain = await ranking.quality(options)
    const typos = await ranking.quality(options, withTypos(7))
    const numbers = [plain.ndcg10, plain.recall100, typos.ndcg10, typos.recall100].map(digits)
    console.log(`| ${name} | ${numbers.join(" | ")} |`)
  }
}
