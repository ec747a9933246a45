/** The measured values, and what may be said about them. */
import type { Goal } from "./goals.ts"
import { goalOf } from "./goals.ts"
import type { TargetName } from "./targets.ts"

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
}

export function summarize(values: readonly number[]): Summary | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  const min = sorted[0]
  const max = sorted.at(-1)
  if (min === undefined || max === undefined) return undefined
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? max
  const lower = sorted[Math.ceil(middle) - 1] ?? min
  return { median: (lower + upper) / 2, min, max, rounds: sorted.length }
}

/** Half the distance from the lowest to the highest round, relative to the median. */
export const spread = ({ median, min, max }: Summary): number => (median === 0 ? 0 : (max - min) / 2 / median)

export interface Comparison {
  readonly peer: TargetName
  /** ClawFS divided by the peer, round by round: what slowed a whole round down slowed both. */
  readonly ratio: Summary
  /** Signal: at least three rounds, and every round of one lies below every round of the other. */
  readonly isSignal: boolean
}

export interface Verdict {
  readonly goal: Goal
  readonly measured: Summary
  readonly isMet: boolean
  /** Every single round agrees with the verdict. */
  readonly isClear: boolean
}

type Rounds = Map<number, number>

export class Samples {
  readonly #rows = new Map<string, Map<TargetName, Rounds>>()

  record(row: string, target: TargetName, round: number, value: number): void {
    const targets = this.#rows.get(row) ?? new Map<TargetName, Rounds>()
    const rounds = targets.get(target) ?? new Map<number, number>()
    this.#rows.set(row, targets.set(target, rounds.set(round, value)))
  }

  rows(): string[] {
    return [...this.#rows.keys()]
  }

  values(row: string, target: TargetName): number[] {
    return [...this.#rounds(row, target).values()]
  }

  summary(row: string, target: TargetName): Summary | undefined {
    return summarize(this.values(row, target))
  }

  compare(row: string, peer: TargetName): Comparison | undefined {
    const theirs = this.#rounds(row, peer)
    const pairs = [...this.#rounds(row, "clawfs")].flatMap(([round, mine]) => {
      const other = theirs.get(round)
      return other === undefined ? [] : [{ mine, other }]
    })
    const ratio = summarize(pairs.map(({ mine, other }) => mine / other))
    const mine = summarize(pairs.map((pair) => pair.mine))
    const other = summarize(pairs.map((pair) => pair.other))
    if (!ratio || !mine || !other) return undefined
    return { peer, ratio, isSignal: pairs.length >= 3 && (mine.max < other.min || mine.min > other.max) }
  }

  verdict(row: string): Verdict | undefined {
    const goal = goalOf(row)
    if (!goal) return undefined
    const measured =
      goal.against === "value" ? this.summary(row, "clawfs") : this.compare(row, goal.against)?.ratio
    if (!measured) return undefined
    const isWithin = (value: number): boolean =>
      value <= (goal.atMost ?? Infinity) && value >= (goal.atLeast ?? -Infinity)
    const isMet = isWithin(measured.median)
    return {
      goal,
      measured,
      isMet,
      isClear: isWithin(measured.min) === isMet && isWithin(measured.max) === isMet,
    }
  }

  #rounds(row: string, target: TargetName): Rounds {
    return this.#rows.get(row)?.get(target) ?? new Map<number, number>()
  }
}
