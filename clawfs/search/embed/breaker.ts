/** Keeps a failing service from being asked again and again, and says since when and why. */
import { Fault } from "../../core/fault.ts"

/** So many failures in a row open it. */
const FAILURES = 3
const FIRST_PAUSE_MS = 10_000
const LONGEST_PAUSE_MS = 600_000

export class Breaker {
  readonly #now: () => number
  #failures = 0
  #openUntil = 0
  #pause = FIRST_PAUSE_MS
  #problem = ""

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Of the last failure; "" when the last try went well. */
  get problem(): string {
    return this.#problem
  }

  get isOpen(): boolean {
    return this.#now() < this.#openUntil
  }

  /** Throws `Fault("busy")` with the last problem while it is open. */
  check(): void {
    if (!this.isOpen) return
    const seconds = Math.ceil((this.#openUntil - this.#now()) / 1000)
    throw new Fault("busy", `${this.#problem}; it is tried again in ${seconds} s`)
  }

  succeeded(): void {
    this.#failures = 0
    this.#pause = FIRST_PAUSE_MS
    this.#problem = ""
    this.#openUntil = 0
  }

  failed(problem: string): void {
    this.#problem = problem
    this.#failures++
    if (this.#failures < FAILURES) return
    this.#openUntil = this.#now() + this.#pause
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
  }
}
