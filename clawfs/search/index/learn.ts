/**
 * Lets the built-in embedder learn from what is in the index, in a thread of its own: seconds of arithmetic, meanwhile the indexer goes
 * on. The texts are taken in the order of their hashes, so the same files give the same model.
 */
import { Worker } from "node:worker_threads"
import { Fault } from "../../core/fault.ts"
import { decodeModel, type Model } from "../embed/model.ts"
import type { Learned, LearnRequest } from "./learn-main.ts"

/** Threads can't be TypeScript under Node 20; where this file is compiled, so is that one. */
const learnMain = new URL("./learn-main.js", import.meta.url)

/** More texts than that are sampled: 11 s of CPU, 350 MB. */
const MOST_TEXTS = 20_000

export interface LearnedModel {
  readonly model: Model
  /** For `VectorStore.use`. */
  readonly bytes: Buffer
}

/**
 * Learns from the index in `directory` as it is now. `signal` ends it at once. Throws `Fault` when there is no index or it is
 * damaged.
 */
export async function learnFromIndex(
  directory: string,
  options: {
    readonly dimensions: number
    readonly mostTexts?: number
    readonly signal?: AbortSignal
    readonly program?: URL
  },
): Promise<LearnedModel> {
  options.signal?.throwIfAborted()
  const request: LearnRequest = {
    ...{ directory, dimensions: options.dimensions },
    mostTexts: options.mostTexts ?? MOST_TEXTS,
  }
  const worker = new Worker(options.program ?? learnMain, { workerData: request })
  const stop = (): void => void worker.terminate()
  options.signal?.addEventListener("abort", stop)
  try {
    const learned = await new Promise<Learned>((resolve, reject) => {
      worker.once("message", resolve)
      worker.once("error", reject)
      worker.once("exit", () => reject(new Fault("interrupted", "learning from the files was stopped")))
    })
    if ("problem" in learned) throw new Fault(learned.kind, learned.problem)
    const bytes = Buffer.from(learned.bytes)
    return { model: decodeModel(bytes), bytes }
  } finally {
    options.signal?.removeEventListener("abort", stop)
    await worker.terminate()
  }
}
