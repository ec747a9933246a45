/**
 * What a load does to its directory, decided by a seed before anything runs: the load executes the plan on a mount, and
 * the judge computes from it what the directory looked like after each step. Each step is one request that changes
 * something, so that no state lies between two of them.
 */
import { Draft, LARGE, SMALL, type Move, type Moves, type PlanOptions, type Step } from "./draft.ts"
import { treeMoves } from "./tree-moves.ts"

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

const FILE_MOVES: Moves = {
  overwrite: [30, overwrite],
  sameBytes: [6, sameBytes],
  truncate: [8, truncate],
  append: [10, append],
  replace: [12, replace],
  recreate: [10, recreate],
  clear: [6, clear],
  pause: [20, pause],
}

function movesOf({ keeps, tree }: PlanOptions): Moves {
  return {
    ...FILE_MOVES,
    ...(keeps === true ? { clear: [0, clear], recreate: [0, recreate] } : {}),
    ...(tree === undefined ? {} : treeMoves(tree)),
  }
}

export function makePlan(options: PlanOptions): Step[] {
  const draft = new Draft(options)
  draft.add({ op: "mkdir", path: "" })
  if (options.tree?.encrypted === true) draft.add({ op: "encrypt", key: draft.key })
  if (options.rush === true) rush(draft)
  const moves = Object.values(movesOf(options))
  const kills = options.kills ?? 0
  for (let killed = 0; draft.steps.length < options.steps;) {
    const weights = Object.fromEntries(moves.map(([weight], index) => [index, weight]))
    moves[Number(draft.random.weighted(weights))]?.[1](draft)
    if (draft.steps.length < ((killed + 1) * options.steps) / (kills + 1)) continue
    if (killed < kills) draft.add({ op: "kill" })
    killed += 1
  }
  return draft.steps
}
