/** The port of everything that turns texts into vectors. */

export interface EmbedderState {
  readonly isReady: boolean
  /** Why not, in one sentence; "" when it is. */
  readonly problem: string
}

export interface Embedder {
  /** provider:model:dimensions:version. Vectors of different ids have nothing to do with each other. */
  readonly id: string
  /** 128 to 4096. */
  readonly dimensions: number
  /**
   * A vector for each text, undefined for a text that means nothing to it. Vectors are finite and not zero; their lengths are
   * anything. Throws a `Fault` when it can't be done now; kind "invalid" says that it will never be, for these texts.
   */
  embedDocuments(texts: readonly string[], signal?: AbortSignal): Promise<(Float32Array | undefined)[]>
  embedQuery(text: string, signal?: AbortSignal): Promise<Float32Array | undefined>
  state(): EmbedderState
  /** Ends what it has started: processes, connections. It is not used afterwards. */
  close(): Promise<void>
}

/** What of a chunk is embedded: its text below what stands above it. */
export function embeddedText(chunk: {
  readonly title: string
  readonly heading: string
  readonly text: string
}): string {
  return [chunk.title, chunk.heading, chunk.text].filter((part) => part !== "").join("\n")
}
