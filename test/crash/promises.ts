/** What the loads had been told at a moment of a recording, and whether a store keeps it. */
import { isPartOf, picturesOf, type Picture } from "./history.ts"
import { checkLedger } from "./ledger-check.ts"
import type { Step } from "./draft.ts"
import { makePlan } from "./plan.ts"
import type { DiskOp } from "./recording.ts"
import { checkRepository } from "./repository-check.ts"
import type { Load } from "./session.ts"

/** Steps of a track: `durable` of them must be there, `begun` at most. */
export interface Progress {
  durable: number
  begun: number
  done: number
}

export class Promises {
  readonly #ops: readonly DiskOp[]
  readonly #tracks = new Map<string, Progress>()
  #at = 0

  constructor(ops: readonly DiskOp[]) {
    this.#ops = ops
  }

  advance(to: number): void {
    for (; this.#at < to; this.#at += 1) {
      const op = this.#ops[this.#at]
      if (op?.op !== "mark") continue
      const { mark } = op
      if ("unmounted" in mark) {
        for (const track of this.#tracks.values()) track.durable = track.done
        continue
      }
      const track = this.#tracks.get(mark.track) ?? { durable: 0, begun: 0, done: 0 }
      this.#tracks.set(mark.track, track)
      if ("begun" in mark) track.begun = mark.begun
      else {
        track.done = Math.max(track.done, mark.done)
        if (mark.durable) track.durable = Math.max(track.durable, mark.done)
      }
    }
  }

  of(track: string): Progress {
    return this.#tracks.get(track) ?? { durable: 0, begun: 0, done: 0 }
  }
}

/** A store's files as a judge finds them: path → digest, and a way to their bytes. */
export interface Found {
  readonly picture: Picture
  readonly bytes: (path: string) => Buffer | undefined
}

/** Tells what is broken of what a track was promised; empty when nothing is. */
export type TrackCheck = (found: Found, progress: Progress) => string[]

export function trackCheck({ track, plan, mode }: Load): TrackCheck {
  if (mode === "git") return (found, progress) => checkRepository(track, found, progress)
  if (mode !== undefined) return (found, progress) => checkLedger(track, found, progress)
  if (plan === undefined) throw new Error(`track ${track} has neither plan nor mode`)
  const steps = makePlan(plan)
  const pictures = picturesOf(steps)
  return (found, progress) => checkPlan({ track, steps, pictures }, found, progress)
}

interface Track {
  readonly track: string
  readonly steps: readonly Step[]
  readonly pictures: readonly Picture[]
}

/** All files of a track together must be as they were at one moment, not before the newest promise. */
function checkPlan({ track, steps, pictures }: Track, found: Found, { durable, begun }: Progress): string[] {
  const actual = below(found.picture, track)
  let nearest: { step: number; differences: string[] } | undefined
  for (let step = begun; step >= 0; step -= 1) {
    const differences = compare(pictures[step] ?? new Map<string, string>(), actual)
    const [path, ...others] = changed(pictures[step], actual)
    // the kernel may cut a write(2) where a page ends, and make two requests of it
    const isBetween =
      path !== undefined &&
      others.length === 0 &&
      isPartOf(steps, step, path, found.bytes(`${track}/${path}`))
    if (differences.length === 0 || isBetween) {
      if (step >= durable) return []
      return [`track ${track} is as after step ${step}, but step ${durable} was durable (begun: ${begun})`]
    }
    if (differences.length < (nearest?.differences.length ?? Infinity)) nearest = { step, differences }
  }
  const { step = 0, differences = [] } = nearest ?? {}
  return [
    `track ${track} is as it never was (durable ${durable}, begun ${begun}); nearest is step ${step}: ` +
      differences.slice(0, 4).join("; "),
  ]
}

/** The names for which two pictures differ. */
function changed(expected: Picture | undefined, actual: Picture): string[] {
  const names = new Set([...(expected?.keys() ?? []), ...actual.keys()])
  return [...names].filter((name) => expected?.get(name) !== actual.get(name))
}

export function compare(expected: Picture, actual: Picture): string[] {
  return changed(expected, actual).map((name) => {
    const [want, is] = [expected.get(name) ?? "missing", actual.get(name) ?? "missing"]
    return `"${name}" is ${is}, not ${want}`
  })
}

/** The names at and below a track's directory, from there, and its snapshots, as in a `Picture`. */
function below(picture: Picture, track: string): Picture {
  const found = new Map<string, string>()
  const snapshots = `.snapshots/${track}-`
  for (const [path, what] of picture) {
    if (path === track) found.set("", what)
    else if (path.startsWith(`${track}/`)) found.set(path.slice(track.length + 1), what)
    else if (path.startsWith(snapshots)) found.set(`@${path.slice(".snapshots/".length)}`, what)
  }
  return found
}
