/** Numbers that a seed decides (xorshift32), for loops where fast-check would cost more than what is tested. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }

  /** 0 <= n < limit */
  below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % limit
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }

  bytes(length: number): Buffer {
    const out = Buffer.alloc(length)
    for (let i = 0; i < length; i += 1) out[i] = this.below(256)
    return out
  }
}

/** More cases where somebody has the time for them: SLOW=1. */
export const isSlow = process.env["SLOW"] === "1"

/** `quick` cases, or ten times as many with SLOW=1. */
export function runs(quick: number): number {
  return isSlow ? quick * 10 : quick
}

/** CLAWFS_TEST_SEED repeats what failed. */
export const seed = Number(process.env["CLAWFS_TEST_SEED"] ?? 20_251_121)
