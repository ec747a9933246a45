/**
 * What the built-in embedder has learned from the user's own files: how rare each feature is, and for each frequent stem a vector of
 * latent semantic analysis. As bytes (little-endian):
 *
 *   u32 magic, u32 dimensions, u32 width, u32 texts, u32 terms,
 *   u8[2^18] rareness of features, in 16ths,
 *   for each term: u8 length, its UTF-8, f32 idf, f32 scale, i8[width]
 *
 * A component of a term's vector is scale · i8: the 8 bits cost nothing that can be measured, and a model of 32,768 terms has 9 MB.
 */
import { createHash } from "node:crypto"
import { Fault } from "../../core/fault.ts"
import { FREQUENCY_COUNT } from "./features.ts"

const MAGIC = 0x314d_5343
const HEADER = 20
const RARENESS_STEP = 16

export interface Term {
  readonly idf: number
  readonly scale: number
  readonly vector: Int8Array
}

export interface Model {
  /** Of whole vectors. */
  readonly dimensions: number
  /** How many of them are latent; the others are hashed. */
  readonly width: number
  /** How many texts it has seen. 0: it has learned nothing. */
  readonly texts: number
  readonly rareness: Uint8Array
  readonly terms: ReadonlyMap<string, Term>
  /** Of its bytes; "0" for the empty one. */
  readonly version: string
}

/** Of six dimensions one is latent: 256 of 1536. */
export const latentWidth = (dimensions: number): number => Math.round(dimensions / 6)

/** Before anything is learned: all features are equally rare. */
export function emptyModel(dimensions: number): Model {
  const rareness = new Uint8Array(FREQUENCY_COUNT).fill(RARENESS_STEP)
  return { dimensions, width: latentWidth(dimensions), texts: 0, rareness, terms: new Map(), version: "0" }
}

/** In natural units of idf. */
export const rarenessOf = (model: Model, bucket: number): number =>
  (model.rareness[bucket] ?? 0) / RARENESS_STEP
export const packedRareness = (idf: number): number =>
  Math.min(255, Math.max(1, Math.round(idf * RARENESS_STEP)))

export function encodeModel(model: Omit<Model, "version">): Buffer {
  const header = Buffer.alloc(HEADER)
  const { dimensions, width, texts, terms } = model
  for (const [i, value] of [MAGIC, dimensions, width, texts, terms.size].entries())
    header.writeUInt32LE(value, i * 4)
  const parts: Uint8Array[] = [header, model.rareness]
  for (const [text, { idf, scale, vector }] of terms) {
    const name = Buffer.from(text)
    const head = Buffer.alloc(1 + name.length + 8)
    head[0] = name.length
    head.set(name, 1)
    head.writeFloatLE(idf, 1 + name.length)
    head.writeFloatLE(scale, 5 + name.length)
    parts.push(head, new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
  }
  return Buffer.concat(parts)
}

/** Throws `Fault("corrupt")` for bytes that `encodeModel` did not make. */
export function decodeModel(bytes: Buffer): Model {
  const [magic, dimensions = 0, width = 0, texts = 0, count = 0] = [0, 1, 2, 3, 4].map((i) =>
    bytes.length < HEADER ? 0 : bytes.readUInt32LE(i * 4),
  )
  if (magic !== MAGIC || bytes.length < HEADER + FREQUENCY_COUNT) throw damaged()
  const terms = new Map<string, Term>()
  let at = HEADER + FREQUENCY_COUNT
  for (let i = 0; i < count; i++) {
    const nameEnd = at + 1 + (bytes[at] ?? 0)
    const end = nameEnd + 8 + width
    if (end > bytes.length) throw damaged()
    // A copy, as a view of the whole would keep it in memory for ever with what it was read with.
    const vector = new Int8Array(bytes.subarray(nameEnd + 8, end))
    const term = { idf: bytes.readFloatLE(nameEnd), scale: bytes.readFloatLE(nameEnd + 4), vector }
    terms.set(bytes.toString("utf8", at + 1, nameEnd), term)
    at = end
  }
  const rareness = new Uint8Array(bytes.subarray(HEADER, HEADER + FREQUENCY_COUNT))
  const version = createHash("sha256").update(bytes).digest("hex").slice(0, 12)
  return { dimensions, width, texts, rareness, terms, version }
}

const damaged = (): Fault => new Fault("corrupt", "the built-in embedder's model is damaged")
