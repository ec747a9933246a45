/** Embeds through an endpoint as OpenAI or Ollama has it: in batches, patiently, and without hiding that it fails. */
import { createHash, randomInt } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, Fault } from "../../core/fault.ts"
import type { HttpEmbedderConfig } from "../../../schema/search.ts"
import { Breaker } from "./breaker.ts"
import type { Embedder, EmbedderState } from "./embedder.ts"
import { checkAddress, requestVectors, StatusFault } from "./endpoint.ts"
import type { KeySource } from "./key.ts"

const TRIES = 5
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 60_000
/** Characters a request; endpoints refuse longer ones. */
const MOST_CHARACTERS = 200_000

/** For tests. */
export interface Clock {
  now(): number
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>
}

const realClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
}

export class HttpEmbedder implements Embedder {
  readonly id: string
  readonly dimensions: number
  readonly #config: HttpEmbedderConfig
  readonly #key: KeySource | undefined
  readonly #clock: Clock
  readonly #breaker: Breaker
  readonly #closing = new AbortController()
  /** Milliseconds of the clock: no request before. */
  #nextAt = 0

  /** Throws `Fault("invalid")` for an address that a key must not be sent to. */
  constructor(config: HttpEmbedderConfig, key: KeySource | undefined, clock = realClock) {
    checkAddress(config)
    this.#config = config
    this.#key = key
    this.#clock = clock
    this.#breaker = new Breaker(() => clock.now())
    this.dimensions = config.dimensions
    // What is embedded decides which vectors go together, not where.
    const prefixes = createHash("sha256")
      .update(JSON.stringify([config.queryPrefix, config.documentPrefix]))
      .digest("hex")
    this.id = `${config.api}:${config.model}:${config.dimensions}:${prefixes.slice(0, 8)}`
  }

  async embedDocuments(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const prefixed = texts.map((text) => this.#config.documentPrefix + text)
    const vectors: Float32Array[] = []
    for (const batch of this.#batches(prefixed)) vectors.push(...(await this.#patiently(batch, signal)))
    return vectors
  }

  /** One try, within the query's own time: who searches does not want to wait. */
  async embedQuery(text: string, signal?: AbortSignal): Promise<Float32Array | undefined> {
    this.#breaker.check()
    const [vector] = await this.#once(
      [this.#config.queryPrefix + text],
      this.#config.queryTimeoutSeconds,
      signal,
    )
    return vector
  }

  state(): EmbedderState {
    return { isReady: !this.#breaker.isOpen, problem: this.#breaker.problem }
  }

  close(): Promise<void> {
    this.#closing.abort(new Fault("interrupted", "the embedder was closed"))
    return Promise.resolve()
  }

  *#batches(texts: readonly string[]): Generator<string[]> {
    let batch: string[] = []
    let characters = 0
    for (const text of texts) {
      const isFull = batch.length === this.#config.batch || characters + text.length > MOST_CHARACTERS
      if (isFull && batch.length > 0) {
        yield batch
        batch = []
        characters = 0
      }
      batch.push(text)
      characters += text.length
    }
    if (batch.length > 0) yield batch
  }

  async #patiently(texts: string[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    for (let tries = 1; ; tries++) {
      this.#breaker.check()
      try {
        return await this.#once(texts, this.#config.timeoutSeconds, signal)
      } catch (thrown) {
        if (signal?.aborted === true || this.#closing.signal.aborted) throw thrown
        // One text too long refuses them all: find it.
        if (thrown instanceof Fault && thrown.kind === "invalid" && texts.length > 1)
          return this.#inHalves(texts, signal)
        const wait = waitAfter(thrown, tries)
        if (wait === undefined || tries === TRIES) throw thrown
        await this.#clock.sleep(wait, signal)
      }
    }
  }

  async #inHalves(texts: string[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    const half = Math.ceil(texts.length / 2)
    const first = await this.#patiently(texts.slice(0, half), signal)
    return [...first, ...(await this.#patiently(texts.slice(half), signal))]
  }

  async #once(
    texts: string[],
    timeoutSeconds: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    await this.#turn(signal)
    const late = AbortSignal.timeout(timeoutSeconds * 1000)
    const both = AbortSignal.any([late, this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    try {
      const key = await this.#key?.read()
      const vectors = await requestVectors(this.#config, texts, key, both)
      this.#breaker.succeeded()
      return vectors
    } catch (thrown) {
      if (signal?.aborted === true || this.#closing.signal.aborted) throw both.reason
      const fault = late.aborted
        ? new Fault("timeout", `the embedding endpoint gave no answer within ${timeoutSeconds} s`)
        : thrown
      // A text that it refuses says nothing about the endpoint.
      if (!(fault instanceof Fault && fault.kind === "invalid")) this.#breaker.failed(describe(fault))
      throw fault
    }
  }

  /** Waits so that there are no more requests a minute than configured. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { requestsPerMinute } = this.#config
    if (requestsPerMinute === undefined) return
    const now = this.#clock.now()
    const wait = this.#nextAt - now
    this.#nextAt = Math.max(now, this.#nextAt) + 60_000 / requestsPerMinute
    if (wait > 0) await this.#clock.sleep(wait, signal)
  }
}

/** Milliseconds until the next try; undefined: it would be refused again. */
function waitAfter(thrown: unknown, tries: number): number | undefined {
  if (!(thrown instanceof Fault) || thrown.kind === "invalid" || thrown.kind === "denied") return undefined
  if (thrown instanceof StatusFault && thrown.status < 500 && thrown.status !== 429) return undefined
  const asked = thrown instanceof StatusFault ? thrown.retryAfterMs : undefined
  const doubled = FIRST_WAIT_MS * 2 ** (tries - 1)
  // Some spread, so that those who failed together don't come back together.
  return Math.min(LONGEST_WAIT_MS, asked ?? doubled + randomInt(doubled))
}
