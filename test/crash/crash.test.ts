/**
 * Power cuts, in the manner of ALICE and CrashMonkey: a store is recorded at work with strace, files are rebuilt as a disk
 * may hold them that lost what was not synced, and every such store must open, be whole, and hold what was promised.
 *
 *   CLAWFS_TEST_CRASH_STATES  how many states are tried (1200); from 20000 on, segments of full size are among them
 *   CLAWFS_TEST_SEED          another plan, other moments, other choices
 *   CLAWFS_TEST_CRASH_KEEP    a directory to leave broken stores in, with their recordings
 */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { cli, requireFuse, requirePrograms, skipIf } from "../helpers/requirements.ts"
import { seed } from "../helpers/reports.ts"
import type { Failure } from "./judge.ts"
import { judge, putUpAftermath, told, type Trial } from "./judges.ts"
import type { PlanOptions, TreeOptions } from "./draft.ts"
import { Place, requireStrace, type Recorded } from "./record.ts"
import type { Load, Phase } from "./session.ts"
import { FAULTS, INTERRUPTED, SMALL, TREE_FAULTS, variant, type Patch } from "./variants.ts"

const STATES = Number(process.env["CLAWFS_TEST_CRASH_STATES"] ?? 1200)
const LARGEST = 300_000
const END = 1_000_000
/** The indexer would take out of the change feed what it has read. */
const NO_INDEX = ["--no-index"]

vi.setConfig({ testTimeout: 180_000 + 50 * STATES })

const reason = requireFuse() ?? requireStrace()
let place: Place

beforeAll(() => {
  if (reason === undefined) place = new Place()
})

afterAll(async () => {
  if (reason === undefined) await place[Symbol.asyncDispose]()
})

const planOf = (offset: number, steps: number, more: Partial<PlanOptions> = {}): PlanOptions => ({
  seed: seed * 1000 + offset,
  steps,
  largest: LARGEST,
  ...more,
})

const files = (track: string, plan: PlanOptions, from = 0, to = END): Load => ({ track, plan, from, to })
const ledger = (track: string, mode: "delete" | "wal", to: number): Load => ({ track, mode, from: 0, to })

const repository = (track: string, to: number): Load => ({ track, mode: "git", from: 0, to })

const changed = (name: string, patches: readonly Patch[]): string =>
  variant(place.directory(`program-${name.replaceAll(/\W+/g, "-")}`), patches)

/** Where git is. */
const repositories = requirePrograms("git") === undefined ? [repository("git", 6)] : []

/** Fails with the first broken states. */
async function expectWhole(trial: Omit<Trial, "seed">): Promise<void> {
  expect(told(await judge({ ...trial, seed })).join("\n\n")).toBe("")
}

/** What is broken by a fault: it mostly shows in some of few states. */
async function lookFor(trial: Omit<Trial, "seed" | "states">): Promise<Failure[]> {
  const few = await judge({ ...trial, seed, states: 200, failures: 1 })
  return few.length > 0 ? few : judge({ ...trial, seed, states: 800, failures: 1 })
}

const loadsOf = (phases: readonly Phase[]): Load[] => phases.flatMap(({ loads }) => loads)

async function recordAndJudge(
  name: string,
  program: string,
  phases: readonly Phase[],
  share: number,
  more: Partial<Trial> = {},
): Promise<Recorded> {
  const recorded = await place.record(name.replaceAll(" ", "-"), program, phases)
  const states = Math.ceil(STATES * share)
  await expectWhole({ name, recorded, cli: program, loads: loadsOf(phases), states, ...more })
  return recorded
}

describe.concurrent(
  "after a power cut a store is as it was at one moment, with everything that fsync promised",
  () => {
    test("as it is built", async (context) => {
      skipIf(context, reason)
      const ledgers = [ledger("b", "delete", 10), ledger("c", "wal", 10)]
      const loads = [files("a", planOf(1, 160)), ...ledgers, ...repositories]
      await recordAndJudge("as built", cli, [{ loads, end: "unmount" }], 0.3)
    })

    test("with checkpoints and segment ends all the time, also when the power goes again during recovery", async (context) => {
      skipIf(context, reason)
      const program = changed("small", SMALL)
      const loads = [files("a", planOf(2, 220)), ledger("b", "delete", 15)]
      const first = await recordAndJudge("small limits", program, [{ loads, end: "unmount" }], 0.3)
      const store = place.directory("aftermath")
      const fixed = await putUpAftermath({ recording: first.directory, cli: program, directory: store })
      const again: Phase[] = [{ loads: [files("second", planOf(3, 60))], end: "unmount" }]
      const recorded = await place.record("recovery", program, again, store)
      const trial = { recorded, cli: program, loads: loadsOf(again), fixed, states: Math.ceil(STATES * 0.1) }
      await expectWhole({ name: "recovery", ...trial })
    })

    test("with servers killed and mounts that come and go", async (context) => {
      skipIf(context, reason)
      const plan = planOf(4, 120, { kills: 2 })
      const rushed = [10, 11, 12].map((offset) => planOf(offset, 20, { rush: true }))
      const phases: Phase[] = [
        { loads: [files("a", plan, 0, 60)], end: "unmount" },
        { loads: [files("a", plan, 60)], end: "kill" },
        ...rushed.map((each, index): Phase => ({ loads: [files(`rush-${index}`, each)], end: "unmount" })),
      ]
      await recordAndJudge("restarts", changed("restarts", SMALL), phases, 0.2)
    })

    test("when the serving thread is interrupted right after a commit", async (context) => {
      skipIf(context, reason)
      const loads = [files("a", planOf(5, 90))]
      await recordAndJudge(
        "interrupted",
        changed("interrupted", [...SMALL, ...INTERRUPTED]),
        [{ loads, end: "unmount" }],
        0.2,
      )
    })

    test("with segments of full size", async (context) => {
      skipIf(
        context,
        reason,
        STATES < 20_000 ? "only with CLAWFS_TEST_CRASH_STATES=20000 or more" : undefined,
      )
      const loads = [files("a", planOf(6, 2000, { largest: 900_000, keeps: true }))]
      const { longest } = await recordAndJudge("full size", cli, [{ loads, end: "unmount" }], 0.05)
      expect(longest).toBeGreaterThan(64 * 1024 * 1024)
    })
  },
)

interface TreeLoad {
  readonly tree: Omit<TreeOptions, "prefix">
  readonly kills?: number
}

/** What is done with a whole tree while its files change. */
const TREE_LOADS: Readonly<Record<string, TreeLoad>> = {
  "snapshots are made, restored and deleted, and limits are met": { tree: { snapshots: true, limits: true } },
  "a tree is encrypted, re-keyed, locked and snapshotted": { tree: { encrypted: true, snapshots: true } },
  "all of this goes on, and servers are killed": {
    tree: { encrypted: true, snapshots: true, limits: true },
    kills: 2,
  },
}
const TREE_STEPS = STATES < 10_000 ? 80 : 200

describe.concurrent(
  "after a power cut trees, snapshots, keys, limits and the change feed are of one moment, while",
  () => {
    test.for(Object.entries(TREE_LOADS))("%s", async ([name, { tree, kills = 0 }], context) => {
      skipIf(context, reason)
      const offset = 20 + Object.keys(TREE_LOADS).indexOf(name)
      const load = files("a", planOf(offset, TREE_STEPS, { kills, tree: { ...tree, prefix: "a" } }))
      const half = TREE_STEPS / 2
      const phases: Phase[] = [
        { loads: [{ ...load, to: half }], end: "unmount", flags: NO_INDEX },
        { loads: [{ ...load, from: half }], end: kills > 0 ? "kill" : "unmount", flags: NO_INDEX },
      ]
      const more = { hasWholeFeed: true, loads: [load] }
      await recordAndJudge(`trees-${offset}`, changed(`trees-${offset}`, SMALL), phases, 0.02, more)
    })
  },
)

describe.concurrent("the tester finds it when", () => {
  test.for(Object.entries(TREE_FAULTS))("%s", async ([name, { patches, tree, finds }], context) => {
    skipIf(context, reason)
    const program = changed(name, [...SMALL, ...patches])
    const loads = [files("a", planOf(30, 60, { tree: { ...tree, prefix: "a" } }))]
    const phases: Phase[] = [{ loads, end: "unmount", flags: NO_INDEX }]
    const recorded = await place.record(name.replaceAll(" ", "-"), program, phases)
    const trial = { name: `fault: ${name}`, recorded, cli: program, loads, hasWholeFeed: true }
    context.expect(told(await lookFor(trial)).join("\n")).toMatch(finds)
  })
})

describe.concurrent("the tester finds it when", () => {
  test.for(Object.entries(FAULTS))("%s", async ([name, patches], context) => {
    skipIf(context, reason)
    const program = changed(name, patches)
    const loads = [files("a", planOf(7, 80))]
    const recorded = await place.record(name.replaceAll(" ", "-"), program, [{ loads, end: "unmount" }])
    const trial = { name: `fault: ${name}`, recorded, cli: program, loads }
    context.expect(told(await lookFor(trial))).not.toEqual([])
  })
})
