/**
 * Words as sparse vectors: the stem and the letters in groups of 3 to 5, each hashed to a few places with a sign. Words that share
 * letters share places, so that a misspelt word is near the right one.
 */
import { stem } from "./stem.ts"

/** How many counters document frequencies have; features share them by hash. */
export const FREQUENCY_BITS = 18
export const FREQUENCY_COUNT = 2 ** FREQUENCY_BITS

const GRAM_LENGTHS = [3, 4, 5]
const STEM_WEIGHT = 1
const GRAM_WEIGHT = 0.5 / GRAM_LENGTHS.length
/** Places of one feature: one alone would let two features that meet there be the same. */
const PLACES = 4
/** Longer "words" are base64 or the like: their beginning says enough. */
const LONGEST_WORD = 40

export interface Feature {
  readonly hash: number
  readonly weight: number
}

/** FNV-1a over UTF-16 units, finished as in MurmurHash3. */
function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mixed(hash)
}

function mixed(value: number): number {
  let hash = value ^ (value >>> 15)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

const STEM_SEED = 1
const GRAM_SEED = 2

/** The features of a word in lower case. */
export function featuresOf(word: string): Feature[] {
  const short = word.slice(0, LONGEST_WORD)
  const features = [{ hash: hashOf(stem(short), STEM_SEED), weight: STEM_WEIGHT }]
  const marked = `^${short}$`
  for (const length of GRAM_LENGTHS)
    for (let i = 0; i + length <= marked.length; i++)
      features.push({ hash: hashOf(marked.slice(i, i + length), GRAM_SEED), weight: GRAM_WEIGHT })
  return features
}

/** The counter of a feature. */
export const frequencyBucket = (hash: number): number => hash >>> (32 - FREQUENCY_BITS)

/** Where features fall in `dimensions` places, and with which weights: place, weight, place, weight … */
export function placesOf(
  features: readonly Feature[],
  dimensions: number,
  idf: (bucket: number) => number,
): Float32Array {
  const touched: number[] = []
  for (const { hash, weight } of features) {
    const scaled = weight * idf(frequencyBucket(hash))
    for (let i = 1; i <= PLACES; i++) {
      const at = mixed((hash + Math.imul(i, 0x9e3779b1)) | 0)
      const place = (at >>> 1) % dimensions
      if (isTouched[place] === 0) touched.push(place)
      isTouched[place] = 1
      sums[place] = (sums[place] ?? 0) + ((at & 1) === 0 ? -scaled : scaled)
    }
  }
  const places = new Float32Array(2 * touched.length)
  for (const [i, place] of touched.entries()) {
    places[2 * i] = place
    places[2 * i + 1] = sums[place] ?? 0
    sums[place] = isTouched[place] = 0
  }
  return places
}

/** Of the word whose places are being found; all zero in between. As many as an embedder may have dimensions. */
const sums = new Float64Array(4096)
const isTouched = new Uint8Array(sums.length)
