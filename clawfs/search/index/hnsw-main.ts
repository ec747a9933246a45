/**
 * The child process that has the HNSW graph in memory. It ends with its parent: by the closed channel, and by the kernel's signal when it
 * is deep in usearch at that moment.
 */
import { constants, setPriority } from "node:os"
import { describe } from "../../core/fault.ts"
import { killWithParent } from "../../sys/kill-with-parent.ts"
import type { Numbered } from "../helper-process.ts"
import type { HnswAnswer, HnswRequest } from "./hnsw-messages.ts"
import { buildSnapshot, DamagedSnapshot } from "./hnsw-build.ts"
import { OpenGraph } from "./hnsw-open.ts"

let graph: OpenGraph | undefined

function answer(request: HnswRequest): HnswAnswer {
  switch (request.kind) {
    case "build":
      setPriority(0, constants.priority.PRIORITY_LOW)
      return { kind: "built", snapshot: buildSnapshot(request) }
    case "open":
      graph = new OpenGraph(request.directory, request.embedder)
      return { kind: "opened", ef: graph.ef }
    case "nearest":
      if (graph === undefined) throw new Error("no graph is open")
      return { kind: "near", chunks: graph.nearest(request.query, request.count), sequence: graph.sequence }
  }
}

function reply(id: number, body: HnswAnswer): void {
  // The parent may just have gone; then so is this process.
  process.send?.({ id, body } satisfies Numbered<HnswAnswer>, undefined, undefined, () => undefined)
}

killWithParent()
process.on("message", ({ id, body }: Numbered<HnswRequest>) => {
  try {
    reply(id, answer(body))
  } catch (thrown) {
    reply(id, { kind: "problem", message: describe(thrown), isDamaged: thrown instanceof DamagedSnapshot })
  }
})

/** Between two queries the graph takes in what is new. */
const CATCH_UP_MS = 200
setInterval(() => graph?.catchUp(), CATCH_UP_MS)
