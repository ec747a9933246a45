/**
 * The indexer's process: low priority, nothing but the index in its hands. Its parent is the server; without it it ends.
 * Killed at any point, the next one goes on.
 */
import { mkdirSync } from "node:fs"
import { setPriority } from "node:os"
import { join } from "node:path"
import { present } from "../../core/assert.ts"
import { describe } from "../../core/fault.ts"
import { Log } from "../../core/log.ts"
import { killWithParent } from "../../sys/kill-with-parent.ts"
import { Store } from "../../store/store.ts"
import { readSearchConfig } from "../config.ts"
import { dropIndex } from "../index/open.ts"
import { verifyIndex } from "../index/verify.ts"
import { IndexWriter } from "../index/writer.ts"
import { ArchivedVectors } from "./archived-vectors.ts"
import { Embedding } from "./embedding.ts"
import { Indexer } from "./indexer.ts"
import { lockIndex } from "./lock.ts"
import type { IndexerConfig, IndexerOrder, IndexerReport, VerifyReport } from "./messages.ts"
import { Preparer } from "./preparer.ts"
import { StoreRules } from "./rules.ts"

const PRIORITY = 10
/** How often it is looked for changes. */
const POLL_MS = 100
/** Segments are open for so long at most: the room of deleted ones comes back then. */
const OPEN_MS = 1000
const REPORT_MS = 100
/** Where nothing was written, it is looked this often whether vectors are missing or a model should learn. */
const EMBED_MS = 1000

const config = JSON.parse(present(process.argv[2], "configuration")) as IndexerConfig
const log = new Log("indexer", { level: config.logLevel })
let wake: (() => void) | undefined
/** The index is to be dropped; whoever started this process starts another. */
const state = { isRebuilding: false }

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

/** A parent that is gone does not hear it; this process ends then. */
function tellParent(report: IndexerReport | VerifyReport): void {
  if (process.connected) process.send?.(report, () => undefined)
}

class Reports {
  #told = ""
  #toldMs = 0

  tell(indexer: Indexer, isEmbedding: boolean, problem: string): void {
    const now = Date.now()
    if (now - this.#toldMs < REPORT_MS) return
    const report: IndexerReport = {
      kind: "status",
      ...indexer.status,
      followed: indexer.followed,
      isEmbedding,
      problem,
    }
    const text = JSON.stringify(report)
    if (text === this.#told) return
    this.#told = text
    this.#toldMs = now
    tellParent(report)
  }
}

/** Works until the index is to be dropped. */
async function run(): Promise<void> {
  const directory = join(config.store, "index")
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Another one may still be about to end.
  lockIndex(directory)
  using store = Store.open(config.store, { readOnly: true })
  using writer = new IndexWriter(directory)
  if (writer.rebuiltBecause !== undefined)
    log.info("the index is built anew", { reason: writer.rebuiltBecause })
  await using preparer = new Preparer()
  const indexer = new Indexer({ store, writer, preparer, rules: new StoreRules(store), log })
  const { embedder } = readSearchConfig(directory)
  const archived = new ArchivedVectors(store, embedder, log)
  await using embedding = new Embedding(writer, directory, { embedder, vault: config.vault, archived }, log)
  process.on("message", (order: IndexerOrder) => {
    if (order.kind === "hurry") indexer.hurry(order.seq)
    else if (order.kind === "verify") tellParent({ kind: "verified", problems: verifyIndex(writer) })
    else state.isRebuilding = true
    wake?.()
  })
  const reports = new Reports()
  let embedAfterMs = 0
  let openedMs = 0
  let isTidy = false
  while (!state.isRebuilding) {
    if (Date.now() - openedMs >= OPEN_MS) {
      store.closeSegments()
      openedMs = Date.now()
    }
    const follows = indexer.follow()
    const next = await indexer.work()
    const isBusy = follows || next === 0
    // Words first: a new file is found by them while its meaning is being computed.
    if (isBusy) embedAfterMs = 0
    const embeds = !isBusy && Date.now() >= embedAfterMs && (await embedding.step())
    if (!isBusy && !embeds && Date.now() >= embedAfterMs) embedAfterMs = Date.now() + EMBED_MS
    reports.tell(indexer, embeds, embedding.problem)
    if (isBusy || embeds) isTidy = false
    else if (!isTidy) isTidy = !writer.tidy()
    if (!isBusy && !embeds && isTidy) await pause(Math.min(next ?? POLL_MS, POLL_MS))
    // Orders and the extractor's answers come through the event loop.
    else await new Promise((resolve) => setImmediate(resolve))
  }
}

/**
 * Killed at any point, the index is whole: so this process ends in the way that can't hang. What else would keep it alive, a
 * thread that learns or a child, and with it the lock that the next indexer waits for, goes too.
 */
function end(): void {
  process.kill(process.pid, "SIGKILL")
}

killWithParent()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => log.debug("signal ignored", { signal }))
setPriority(0, PRIORITY)
try {
  await run()
  dropIndex(join(config.store, "index"))
} catch (thrown) {
  log.error("the indexer ends", { reason: describe(thrown) })
}
end()
