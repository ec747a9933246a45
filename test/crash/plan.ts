/**
 * What a load does to its directory, decided by a seed before anything runs: the load executes the plan on a mount, and
 * the judge computes from it what the directory looked like after each step. Each step is one request that changes
 * something, so that no state lies between two of them.
 */
import { Random } from "../model/random.ts"

export type Step =
  | { readonly op: "mkdir"; readonly path: string }
  | { readonly op: "create"; readonly path: string }
  /** `sync`: through a descriptor with O_DSYNC. */
  | {
      readonly op: "write"
      readonly path: string
      readonly at: number
      readonly length: number
      readonly seed: number
      readonly sync: boolean
    }
  | { readonly op: "truncate"; readonly path: string; readonly size: number }
  | { readonly op: "rename"; readonly path: string; readonly to: string }
  | { readonly op: "unlink"; readonly path: string }
  /** Of a file, or of the load's directory: "". */
  | { readonly op: "fsync"; readonly path: string }
  /** Long enough for a commit, and for a background flush now and then. */
  | { readonly op: "pause"; readonly ms: number }
  /** SIGKILL to the server. */
  | { readonly op: "kill" }

/** Once the step has returned, it and all before it must outlive a power cut. */
export const isPromise = (step: Step): boolean => step.op === "fsync" || (step.op === "write" && step.sync)

const INLINE_MAX = 16 * 1024
const SMALL = ["s0", "s1", "s2", "s3", "s4", "s5"]
const LARGE = ["l0", "l1", "l2", "l3"]

export interface PlanOptions {
  readonly seed: number
  readonly steps: number
  /** The most that a write to a large file has. */
  readonly largest: number
  readonly kills?: number
  /** Begins with much that nobody syncs. */
  readonly rush?: boolean
  /** Large files stay, so that segments fill up. */
  readonly keeps?: boolean
}

/** A growing list of steps, with the size of each file that they leave. */
class Draft {
  readonly steps: Step[] = []
  readonly sizes = new Map<string, number>()
  readonly random: Random
  readonly #options: PlanOptions

  constructor(options: PlanOptions) {
    this.#options = options
    this.random = new Random(options.seed)
  }

  add(step: Step): void {
    this.steps.push(step)
  }

  length(name: string): number {
    const { random } = this
    if (SMALL.includes(name) || name === "config") return 1 + random.below(INLINE_MAX)
    const large = INLINE_MAX + 1 + random.below(this.#options.largest - INLINE_MAX)
    return random.chance(0.8) ? large : 1 + random.below(9000)
  }

  write(path: string, at: number, length: number, details: { seed?: number; sync?: boolean } = {}): void {
    const seed = details.seed ?? this.random.below(1_000_000)
    this.add({ op: "write", path, at, length, seed, sync: details.sync ?? false })
    this.sizes.set(path, Math.max(this.sizes.get(path) ?? 0, at + length))
  }

  /** Makes the file if it is not there. */
  create(path: string): void {
    if (this.sizes.has(path)) return
    this.add({ op: "create", path })
    this.sizes.set(path, 0)
  }

  unlink(path: string): void {
    if (this.sizes.delete(path)) this.add({ op: "unlink", path })
  }

  fsync(path: string): void {
    this.add({ op: "fsync", path })
  }
}

type Move = (draft: Draft) => void

const anyName = ({ random }: Draft): string => random.pick(random.chance(0.5) ? SMALL : LARGE)

const overwrite: Move = (draft) => {
  const { random } = draft
  const path = anyName(draft)
  draft.create(path)
  const length = draft.length(path)
  const size = draft.sizes.get(path) ?? 0
  const at = SMALL.includes(path) || random.chance(0.4) ? 0 : random.below(size + 1)
  draft.write(path, at, length, { sync: random.chance(0.1) })
  if (random.chance(0.25)) draft.fsync(path)
}

/** The same bytes again: pages of the database that change to what they are. */
const sameBytes: Move = (draft) => {
  const path = "same"
  draft.create(path)
  draft.write(path, 0, 12_000, { seed: 77 })
  if (draft.random.chance(0.3)) draft.fsync(path)
}

const truncate: Move = (draft) => {
  const path = anyName(draft)
  const size = draft.sizes.get(path)
  if (size === undefined) return
  const to = draft.random.below(draft.random.chance(0.7) ? size + 1 : 2 * size + 1)
  draft.add({ op: "truncate", path, size: to })
  draft.sizes.set(path, to)
}

/** A log: each record is to be there once its fsync has returned. */
const append: Move = (draft) => {
  draft.create("log")
  const count = 1 + draft.random.below(4)
  for (let i = 0; i < count; i += 1) {
    draft.write("log", draft.sizes.get("log") ?? 0, 1 + draft.random.below(draft.random.pick([300, 6000])))
    draft.fsync("log")
  }
}

/** The way in which programs replace a file: written beside it, synced, renamed over it. */
const replace: Move = (draft) => {
  const { random } = draft
  const path = random.pick(["config", "l0"])
  draft.create("new")
  draft.write("new", 0, draft.length(path))
  if (random.chance(0.8)) draft.fsync("new")
  draft.add({ op: "rename", path: "new", to: path })
  draft.sizes.set(path, draft.sizes.get("new") ?? 0)
  draft.sizes.delete("new")
  if (random.chance(0.5)) draft.fsync("")
}

const recreate: Move = (draft) => {
  const path = anyName(draft)
  draft.unlink(path)
  if (draft.random.chance(0.2)) draft.fsync("")
  draft.create(path)
  draft.write(path, 0, draft.length(path))
}

/** Nothing is left in the segments: they are deleted. Then a small file whose fsync tells of it. */
const clear: Move = (draft) => {
  const { random } = draft
  draft.create("l0")
  for (let i = random.below(4); i > 0; i -= 1) draft.write("l0", 0, draft.length("l0"))
  if (random.chance(0.5)) pause(draft)
  for (const path of [...draft.sizes.keys()]) if (LARGE.includes(path) || path === "log") draft.unlink(path)
  pause(draft)
  draft.create("s0")
  draft.write("s0", 0, 1 + random.below(2000))
  draft.fsync("s0")
}

/** Much at once, and nothing is synced. */
const rush: Move = (draft) => {
  for (const path of LARGE) {
    draft.create(path)
    draft.write(path, 0, draft.length(path))
  }
}

const pause: Move = (draft) => {
  draft.add({ op: "pause", ms: draft.random.pick([5, 20, 20, 150, 600]) })
}

const MOVES = { overwrite, sameBytes, truncate, append, replace, recreate, clear, pause }
const WEIGHTS = {
  overwrite: 30,
  sameBytes: 6,
  truncate: 8,
  append: 10,
  replace: 12,
  recreate: 10,
  clear: 6,
  pause: 20,
}

export function makePlan(options: PlanOptions): Step[] {
  const draft = new Draft(options)
  draft.add({ op: "mkdir", path: "" })
  if (options.rush === true) rush(draft)
  const weights = options.keeps === true ? { ...WEIGHTS, clear: 0, recreate: 0 } : WEIGHTS
  const kills = options.kills ?? 0
  for (let killed = 0; draft.steps.length < options.steps;) {
    MOVES[draft.random.weighted(weights)](draft)
    if (draft.steps.length < ((killed + 1) * options.steps) / (kills + 1)) continue
    if (killed < kills) draft.add({ op: "kill" })
    killed += 1
  }
  return draft.steps
}
