/**
 * The two processes of the search: the indexer, which follows the store, and the searcher, which answers. Both are this
 * server's children: they are started again when they die, and end with it.
 */
import { join } from "node:path"
import { setTimeout as after } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { Handler } from "../api/server.ts"
import { Fault, describe, mountedReadOnly } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { readSearchConfig, writeSearchConfig } from "../search/config.ts"
import type { IndexerConfig, IndexerOrder, IndexerReport, VerifyReport } from "../search/indexer/messages.ts"
import type { SearcherConfig, SearcherReply, SearcherRequest } from "../search/service/messages.ts"
import type { Caller } from "../search/service/permissions.ts"
import type { IndexState } from "../search/service/status.ts"
import { SearchParams, type IndexStatus, type SearchResponse } from "../../schema/search-api.ts"
import { searchConfig, type SearchConfig } from "../../schema/search.ts"
import { Kept } from "./kept.ts"
import type { ServerConfig } from "./messages.ts"
import { checkedParameters } from "./parameters.ts"

const indexerMain = fileURLToPath(new URL("../search/indexer/indexer-main.js", import.meta.url))
const searcherMain = fileURLToPath(new URL("../search/service/searcher-main.js", import.meta.url))

const INDEXER_HEAP_MB = 384
const SEARCHER_HEAP_MB = 384
/** Programs wait for what has just been mounted; a mount that ends at once needs no search. */
const INDEXER_DELAY_MS = 300
const SEARCHER_DELAY_MS = 3000
const FRESH_MS = 2000
const FRESH_TICK_MS = 5
const ANSWER_MS = 30_000
/** The feed is trimmed this often at most. */
const TRIM_MS = 1000

type Run = (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>

export class Search implements AsyncDisposable {
  readonly #store: string
  readonly #run: Run
  readonly #log: Log
  readonly #indexer: Kept | undefined
  readonly #searcher: Kept
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (fault: Fault) => void }>()
  readonly #verifying: { resolve: (problems: readonly string[]) => void; reject: (fault: Fault) => void }[] =
    []
  #nextId = 1
  #report: IndexerReport | undefined
  #trimmed = 0
  #trimmedMs = 0

  /** `run` has the serving thread do something. A store that is mounted read-only is searched as it was indexed last. */
  constructor({ store, vault, logLevel, readOnly }: ServerConfig, run: Run, log: Log) {
    this.#store = store
    this.#run = run
    this.#log = log
    const indexer: IndexerConfig = { store, vault, logLevel }
    const searcher: SearcherConfig = { store, vault, logLevel }
    this.#indexer = readOnly
      ? undefined
      : new Kept(
          indexerMain,
          indexer,
          INDEXER_HEAP_MB,
          {
            message: (report: IndexerReport | VerifyReport) => this.#onReport(report),
            exit: () => this.#onIndexerEnd(),
          },
          INDEXER_DELAY_MS,
          log,
        )
    this.#searcher = new Kept(
      searcherMain,
      searcher,
      SEARCHER_HEAP_MB,
      { message: (reply: SearcherReply) => this.#onReply(reply), exit: () => this.#failAll() },
      SEARCHER_DELAY_MS,
      log,
    )
  }

  #onIndexerEnd(): void {
    this.#report = undefined
    this.#endVerifying(new Fault("busy", "the indexer has just been started anew", { hint: "try again" }))
  }

  #onReport(report: IndexerReport | VerifyReport): void {
    if (report.kind === "verified") {
      this.#endVerifying(report)
      return
    }
    this.#report = report
    const now = Date.now()
    if (report.followed <= this.#trimmed || now - this.#trimmedMs < TRIM_MS) return
    this.#trimmedMs = now
    this.#trimmed = report.followed
    this.#run("feed.trim", { seq: report.followed }).catch((thrown: unknown) =>
      this.#log.error("the change feed could not be trimmed", { reason: describe(thrown) }),
    )
  }

  #onReply(reply: SearcherReply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (reply.ok) waiting?.resolve(reply.value)
    else waiting?.reject(new Fault(reply.fault.kind, reply.fault.message, { hint: reply.fault.hint }))
  }

  #failAll(): void {
    for (const { reject } of this.#waiting.values())
      reject(new Fault("busy", "the search has just been started anew", { hint: "try again" }))
    this.#waiting.clear()
  }

  #ask(method: string, params: unknown, caller: Caller): Promise<unknown> {
    const id = this.#nextId
    this.#nextId += 1
    this.#searcher.begin()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Fault("timeout", "the search takes too long"))
      }, ANSWER_MS)
      const settle =
        <T>(done: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer)
          done(value)
        }
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
      if (!this.#searcher.send({ id, method, params, caller } satisfies SearcherRequest)) this.#failAll()
    })
  }

  /** What files have to do with the query, for somebody who sees what `caller` may read. */
  async search(params: SearchParams, caller: Caller): Promise<SearchResponse> {
    const isFresh = params.fresh === true ? await this.catchUp() : this.#isUpToDate
    const answer = (await this.#ask("search", params, caller)) as Omit<SearchResponse, "isFresh">
    return { ...answer, isFresh }
  }

  get #isUpToDate(): boolean {
    return this.#report !== undefined && this.#report.applied >= this.#report.last
  }

  /** Waits until the index has everything that was answered before this call; false when that takes too long. */
  async catchUp(): Promise<boolean> {
    const { feedLast } = (await this.#run("commit", {})) as { feedLast: number }
    const deadline = Date.now() + FRESH_MS
    this.#indexer?.send({ kind: "hurry", seq: feedLast } satisfies IndexerOrder)
    while ((this.#report?.applied ?? -1) < feedLast) {
      if (Date.now() > deadline) return false
      await after(FRESH_TICK_MS)
    }
    return true
  }

  /** Drops the index and builds it again. */
  rebuild(): void {
    if (this.#indexer === undefined) throw mountedReadOnly()
    if (!this.#indexer.sendToEnd({ kind: "rebuild" } satisfies IndexerOrder))
      throw new Fault("busy", "the indexer is just being started", { hint: "try again" })
  }

  /** How the search is configured; with `config`, how it is from now on. Throws `Fault("invalid")` for a file that is not right. */
  configure(config: SearchConfig | undefined): SearchConfig {
    const directory = join(this.#store, "index")
    if (config === undefined) return readSearchConfig(directory)
    if (this.#indexer === undefined) throw mountedReadOnly()
    writeSearchConfig(directory, config)
    this.#indexer.restart()
    this.#searcher.restart()
    return config
  }

  /** What is wrong in the index, a sentence each. Reads all of it. */
  verify(): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.#verifying.push({ resolve, reject })
      if (this.#indexer?.send({ kind: "verify" } satisfies IndexerOrder) !== true)
        this.#endVerifying(new Fault("busy", "the indexer does not run now", { hint: "try again" }))
    })
  }

  #endVerifying(outcome: VerifyReport | Fault): void {
    for (const { resolve, reject } of this.#verifying.splice(0))
      if (outcome instanceof Fault) reject(outcome)
      else resolve(outcome.problems)
  }

  explain(params: unknown, caller: Caller): Promise<unknown> {
    return this.#ask("explain", params, caller)
  }

  async status(): Promise<IndexStatus> {
    const report = this.#report
    const state = (await this.#ask("status", {}, { uid: 0, groups: [] })) as IndexState
    return {
      ...state,
      applied: report?.applied ?? 0,
      last: report?.last ?? 0,
      pending: report?.pending ?? 0,
      lagMs: report?.oldestMs === undefined ? 0 : Math.max(0, Date.now() - report.oldestMs),
      isIndexing: report !== undefined && (report.applied < report.last || report.pending > 0),
      isEmbedding: report?.isEmbedding ?? false,
      problem: report?.problem ?? "",
      indexerPid: this.#indexer?.pid ?? null,
      searcherPid: this.#searcher.pid ?? null,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#indexer?.[Symbol.asyncDispose](), this.#searcher[Symbol.asyncDispose]()])
  }
}

/** For the control socket, whose clients are this process's own user or root. */
export function searchHandlers(search: Search): [string, Handler][] {
  const caller = { uid: process.getuid?.() ?? 0, groups: process.getgroups?.() ?? [] }
  return [
    ["search", (params) => search.search(checkedParameters(SearchParams, params), caller)],
    ["index.status", () => search.status()],
    ["index.rebuild", () => (search.rebuild(), {})],
    [
      "index.configure",
      ({ config }) =>
        search.configure(config === undefined ? undefined : checkedParameters(searchConfig, config)),
    ],
    ["index.verify", async () => ({ problems: await search.verify() })],
    ["index.explain", (params) => search.explain(params, caller)],
    ["index.catch-up", async () => ({ isFresh: await search.catchUp() })],
  ]
}
