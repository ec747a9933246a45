/** Numbers that a seed decides, the same on every machine (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 <= n < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** 0 <= n < limit */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** One of the keys, each with its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][]
    // a little less than the sum, so that rounding cannot leave a rest
    let left = this.next() * 0.999999 * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [key, weight] of entries) {
      left -= weight
      if (left < 0) return key
    }
    throw new RangeError("no weights")
  }
}

/** Bytes that a seed decides; no two seeds share a run of them, and none is zero: holes are told from data. */
export function pattern(seed: number, length: number): Buffer {
  const data = Buffer.alloc(length)
  let state = Math.imul(seed, 2654435761) >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    data[i] = (state >>> 24) % 255 || 255
  }
  return data
}

/** As `pattern`, but two of three seeds give what compresses well; the place of every 32 bytes can still be told. */
export function contents(seed: number, length: number): Buffer {
  const data = pattern(seed, Math.min(length, 24))
  if (seed % 3 === 0) return pattern(seed, length)
  const whole = Buffer.alloc(length)
  for (let at = 0; at < length; at += 32) {
    data.copy(whole, at)
    if (at + 28 <= length) whole.writeUInt32LE(at + 1, at + 24)
  }
  return whole
}
