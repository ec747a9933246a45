/**
 * The process that answers searches: the index and the store read-only in its hands. Its parent is the server; without it
 * it ends.
 */
import { present } from "../../core/assert.ts"
import { Fault, describe } from "../../core/fault.ts"
import { Log } from "../../core/log.ts"
import { ExplainParams, SearchParams } from "../../../schema/search-api.ts"
import { killWithParent } from "../../sys/kill-with-parent.ts"
import { Store } from "../../store/store.ts"
import type { SearcherConfig, SearcherReply, SearcherRequest } from "./messages.ts"
import { SearchService } from "./service.ts"
import { statusOf } from "./status.ts"

const config = JSON.parse(present(process.argv[2], "configuration")) as SearcherConfig
killWithParent()
const log = new Log("searcher", { level: config.logLevel })
const store = Store.open(config.store, { readOnly: true })
const service = new SearchService(store, config.vault)

const methods: Readonly<Record<string, (request: SearcherRequest) => unknown>> = {
  search: ({ params, caller }) => service.search(SearchParams.parse(params), caller),
  explain: ({ params }) => service.explain(ExplainParams.parse(params).path),
  status: async () => statusOf(await service.reader()),
}

async function answer(request: SearcherRequest): Promise<SearcherReply> {
  const { id, method } = request
  try {
    const run = methods[method]
    if (run === undefined) throw new Fault("unsupported", `unknown method "${method}"`)
    return { id, ok: true, value: await run(request) }
  } catch (thrown) {
    const fault =
      thrown instanceof Fault
        ? { kind: thrown.kind, message: thrown.message, hint: thrown.hint }
        : { kind: "bug" as const, message: describe(thrown) }
    if (fault.kind === "bug") log.error("a search failed", { reason: fault.message })
    return { id, ok: false, fault }
  } finally {
    store.closeSegments()
  }
}

process.on("message", (request: SearcherRequest) => {
  // A parent that is gone does not hear it; this process ends then.
  void answer(request).then((reply) => process.connected && process.send?.(reply, () => undefined))
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => log.debug("signal ignored", { signal }))
