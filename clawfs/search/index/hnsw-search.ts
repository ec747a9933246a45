/** Searches the HNSW graph of the current embedder. Whatever happens to its child process or file, a search goes on without it. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { describe, Fault } from "../../core/fault.ts"
import { snapshotOf } from "./hnsw-files.ts"
import { ChildDied } from "../helper-process.ts"
import { HnswProcess } from "./hnsw-process.ts"
import type { IndexReader } from "./reader.ts"
import type { EmbedderRow } from "./vector-store.ts"

/** An exact search over everything takes about as long. */
const ANSWER_MS = 1000
const OPEN_MS = 60_000
/** After a failure the next try waits. */
const PAUSE_MS = 5000
/** What the graph has not taken in yet is looked at one by one, up to here. */
const MOST_NEW = 5000

export interface HnswState {
  readonly isReady: boolean
  /** What was wrong at the last failure; "" for nothing. */
  readonly problem: string
  readonly pid: number | undefined
}

export class HnswSearch {
  readonly #reader: IndexReader
  readonly #program: string | undefined
  #process: HnswProcess | undefined
  /** File of the snapshot that the process has opened, or is opening. */
  #file: string | undefined
  #opening: Promise<void> | undefined
  #isReady = false
  #problem = ""
  #pauseUntil = 0

  /** `program`: another path of hnsw-main.js, for tests. */
  constructor(reader: IndexReader, program?: string) {
    this.#reader = reader
    this.#program = program
  }

  state(): HnswState {
    return { isReady: this.#isReady, problem: this.#problem, pid: this.#process?.pid }
  }

  /**
   * Chunk ids near to a vector, and all that are newer than the graph, in no order that counts. Undefined: it can't be asked now; it is
   * being opened then. Does not throw.
   */
  async nearest(embedder: EmbedderRow, query: Float32Array, count: number): Promise<number[] | undefined> {
    const snapshot = snapshotOf(this.#reader, embedder.n)
    if (snapshot === undefined || snapshot.ef === 0) return undefined
    if (this.#file !== snapshot.file || this.#process === undefined) this.#open(snapshot.file, embedder.n)
    if (!this.#isReady || this.#process === undefined) return undefined
    try {
      const answer = await this.#process.ask({ kind: "nearest", query, count }, ANSWER_MS)
      if (answer.kind !== "near")
        throw new Fault("io", answer.kind === "problem" ? answer.message : "no answer")
      const newer = this.#reader.rows<[number]>(
        `SELECT chunk FROM vector_${embedder.n} WHERE sequence > ? AND vector IS NOT NULL LIMIT ${MOST_NEW + 1}`,
        answer.sequence,
      )
      return newer.length > MOST_NEW ? undefined : [...answer.chunks, ...newer.map(([chunk]) => chunk)]
    } catch (thrown) {
      this.#fail(thrown)
      return undefined
    }
  }

  /** Resolves when an opening that is under way has ended; for tests and `clawfs index status`. */
  async settled(): Promise<void> {
    await this.#opening
  }

  close(): void {
    this.#process?.kill()
    this.#process = undefined
    this.#isReady = false
  }

  /** Once at a time; the answer comes with a later search. */
  #open(file: string, embedder: number): void {
    if (this.#opening !== undefined || Date.now() < this.#pauseUntil) return
    this.close()
    this.#file = file
    const opened = new HnswProcess(this.#program)
    this.#process = opened
    this.#opening = opened
      .ask({ kind: "open", directory: this.#reader.directory, embedder }, OPEN_MS)
      .then((answer) => {
        if (answer.kind === "problem" && answer.isDamaged) this.#remove(file)
        if (answer.kind !== "opened")
          throw new Fault("io", answer.kind === "problem" ? answer.message : "no answer")
        this.#isReady = true
        this.#problem = ""
      })
      .catch((thrown: unknown) => this.#fail(thrown))
      .finally(() => (this.#opening = undefined))
  }

  #fail(thrown: unknown): void {
    this.#problem = describe(thrown)
    this.#pauseUntil = Date.now() + PAUSE_MS
    if (thrown instanceof ChildDied && thrown.isCrash && this.#file !== undefined) this.#remove(this.#file)
    this.close()
  }

  /** The writer builds another when it finds it gone. */
  #remove(file: string): void {
    rmSync(join(this.#reader.directory, file), { force: true })
  }
}
