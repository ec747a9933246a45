/**
 * The embedder that needs nothing: no download, no service, no GPU. Five sixths of a vector are hashed words and letter groups
 * (features.ts), one sixth is latent semantic analysis of the user's own files (learn.ts). It finds misspelt words and words that
 * keep the same company; it is no neural model.
 */
import type { Embedder, EmbedderState } from "./embedder.ts"
import { featuresOf, placesOf } from "./features.ts"
import { rarenessOf, type Model, type Term } from "./model.ts"
import { stem } from "./stem.ts"
import { STOP_WORDS, wordsOf } from "./words.ts"

/** What of the cosine is latent. */
const LATENT_PART = 0.4
const MOST_KEPT = 50_000

interface Word {
  /** Place, weight, place, weight … */
  readonly places: Float32Array
  readonly root: string
}

export class BuiltinEmbedder implements Embedder {
  readonly id: string
  readonly dimensions: number
  readonly model: Model
  readonly #words = new Map<string, Word>()

  constructor(model: Model) {
    this.model = model
    this.dimensions = model.dimensions
    this.id = `builtin:lsa:${model.dimensions}:${model.version}`
  }

  /** The vector of a text; undefined if there is no word in it. */
  vector(text: string): Float32Array | undefined {
    const counts = new Map<string, number>()
    const words = wordsOf(text)
    for (const word of words) if (!STOP_WORDS.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1)
    // A text of stop words alone is made of them.
    if (counts.size === 0) for (const word of words) counts.set(word, 1)
    if (counts.size === 0) return undefined
    const vector = new Float32Array(this.dimensions)
    const { width } = this.model
    const hashed = vector.subarray(0, this.dimensions - width)
    const latent = vector.subarray(this.dimensions - width)
    const roots = new Map<string, number>()
    for (const [word, count] of counts) {
      const { places, root } = this.#word(word)
      const weight = 1 + Math.log(count)
      for (let i = 0; i < places.length; i += 2) {
        const place = places[i] ?? 0
        hashed[place] = (hashed[place] ?? 0) + weight * (places[i + 1] ?? 0)
      }
      roots.set(root, (roots.get(root) ?? 0) + count)
    }
    for (const [root, count] of roots) addTerm(latent, this.model.terms.get(root), count)
    scale(hashed, Math.sqrt(1 - LATENT_PART))
    scale(latent, Math.sqrt(LATENT_PART))
    return vector.some((x) => x !== 0) ? vector : undefined
  }

  embedDocuments(texts: readonly string[], signal?: AbortSignal): Promise<(Float32Array | undefined)[]> {
    signal?.throwIfAborted()
    return Promise.resolve(texts.map((text) => this.vector(text)))
  }

  embedQuery(text: string): Promise<Float32Array | undefined> {
    return Promise.resolve(this.vector(text))
  }

  state(): EmbedderState {
    return { isReady: true, problem: "" }
  }

  close(): Promise<void> {
    this.#words.clear()
    return Promise.resolve()
  }

  #word(word: string): Word {
    const known = this.#words.get(word)
    if (known !== undefined) return known
    if (this.#words.size >= MOST_KEPT) this.#words.clear()
    const idf = (bucket: number): number => rarenessOf(this.model, bucket)
    const places = placesOf(featuresOf(word), this.dimensions - this.model.width, idf)
    const made = { places, root: stem(word) }
    this.#words.set(word, made)
    return made
  }
}

function addTerm(latent: Float32Array, term: Term | undefined, count: number): void {
  if (term === undefined) return
  const weight = (1 + Math.log(count)) * term.idf * term.scale
  for (let k = 0; k < latent.length; k++) latent[k] = (latent[k] ?? 0) + weight * (term.vector[k] ?? 0)
}

/** Gives a part of a vector a length; zeros stay. */
function scale(part: Float32Array, length: number): void {
  const end = part.length
  let sum = 0
  // By index: iterators over arrays of numbers take several times as long.
  for (let i = 0; i < end; i++) sum += (part[i] ?? 0) ** 2
  if (sum === 0) return
  const factor = length / Math.sqrt(sum)
  for (let i = 0; i < end; i++) part[i] = (part[i] ?? 0) * factor
}
