/** A text as the index takes it: everything that can be computed without the database, so that another thread can do it. */
import { createHash } from "node:crypto"
import type { Chunk, ExtractedText } from "../document.ts"
import { packText } from "./chunk-text.ts"
import { gramsOf, packAscending, VarintWriter } from "./grams.ts"

const HASH_BYTES = 16

export interface PreparedChunk extends Chunk {
  /** In `bytes` of its text: the hash begins at `at`, the packed text follows, up to `until`. */
  readonly at: number
  readonly until: number
}

export interface PreparedText extends Omit<ExtractedText, "text"> {
  readonly chunks: readonly PreparedChunk[]
  /** Hashes and packed texts of all chunks. A buffer of its own: it can be given to another thread. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Packed, see grams.ts; empty for a text without any. Also a buffer of its own. */
  readonly grams: Uint8Array<ArrayBuffer>
}

/** Of all that is searched in a chunk: equal hashes mean the same words and the same vector. */
function chunkHash(title: string, { heading, text }: Chunk): Buffer {
  const hash = createHash("sha256").update(title).update("\0").update(heading).update("\0").update(text)
  return hash.digest().subarray(0, HASH_BYTES)
}

/** `chunks`: of this text. */
export function prepareText(
  { kind, extractor, title, text, isVerbatim, isWhole }: ExtractedText,
  chunks: readonly Chunk[],
): PreparedText {
  const parts: Buffer[] = []
  let at = 0
  const prepared = chunks.map((chunk) => {
    const [hash, packed] = [chunkHash(title, chunk), packText(chunk.text)]
    parts.push(hash, packed)
    const start = at
    at += hash.length + packed.length
    return { ...chunk, at: start, until: at }
  })
  const bytes = new Uint8Array(at)
  let end = 0
  for (const part of parts) {
    bytes.set(part, end)
    end += part.length
  }
  const packed = new VarintWriter()
  packAscending(gramsOf(text), packed)
  const grams = Uint8Array.from(packed.view())
  return { kind, extractor, title, isVerbatim, isWhole, chunks: prepared, bytes, grams }
}

/** Of a prepared chunk. */
export function hashOf({ bytes }: PreparedText, { at }: PreparedChunk): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, HASH_BYTES)
}

/** Of a prepared chunk, for the column `text`. */
export function packedOf({ bytes }: PreparedText, { at, until }: PreparedChunk): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at + HASH_BYTES, until - at - HASH_BYTES)
}
