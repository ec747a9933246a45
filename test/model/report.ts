/** What the programs that put load on a filesystem print when they end, as one JSON line. */
export interface Report {
  readonly operations: number
  /** How many operations of each kind were successful. */
  readonly succeeded: Readonly<Record<string, number>>
  readonly failures: readonly string[]
  /** The longest time that one operation took, and which it was. */
  readonly longestStallMs: number
  readonly longestStall: string
  /** How many operations took more than 50 ms. */
  readonly stalls: number
  /** What else a program has to tell. */
  readonly details?: unknown
}

const stallMs = 50
const maxFailures = 20

export class Recorder {
  readonly #succeeded: Record<string, number> = {}
  readonly #failures: string[] = []
  #longestStallMs = 0
  #longestStall = ""
  #stalls = 0
  operations = 0

  get hasFailed(): boolean {
    return this.#failures.length > 0
  }

  timed<T>(name: string, act: () => T): T {
    const start = performance.now()
    const result = act()
    const took = performance.now() - start
    this.operations += 1
    if (took > stallMs) this.#stalls += 1
    if (took > this.#longestStallMs) {
      this.#longestStallMs = took
      this.#longestStall = name
    }
    return result
  }

  succeeded(name: string): void {
    this.#succeeded[name] = (this.#succeeded[name] ?? 0) + 1
  }

  fail(what: string): void {
    if (this.#failures.length < maxFailures) this.#failures.push(`operation ${this.operations}: ${what}`)
  }

  report(details?: unknown): Report {
    return {
      operations: this.operations,
      succeeded: this.#succeeded,
      failures: this.#failures,
      longestStallMs: Math.round(this.#longestStallMs),
      longestStall: this.#longestStall,
      stalls: this.#stalls,
      details,
    }
  }
}
