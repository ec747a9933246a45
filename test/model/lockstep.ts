/**
 * Random operations on a directory, in lockstep with the model in memory and with another filesystem. Each sequence
 * starts in an empty directory. A failure is printed with its seed and the few operations that it needs.
 *
 *   node build/test-programs/test/model/lockstep.js [--sequences N] [--ops N] [--seconds T] [--seed S]
 *     [--replay LOG] DIRECTORY [REFERENCE]
 */
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as sys from "../helpers/sys.ts"
import { Executor } from "./execute.ts"
import { difference, Identities } from "./outcome.ts"
import { Random } from "./random.ts"
import { minimise } from "./shrink.ts"
import { compareWithDirectory, snapshot } from "./snapshot.ts"
import { Generator, lockstepLimits, type TreeOperation } from "./tree-ops.ts"
import { TreeModel, umask } from "./tree-model.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sequences: { type: "string", default: "20" },
    ops: { type: "string", default: "500" },
    seconds: { type: "string", default: "86400" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    replay: { type: "string" },
    /** "0": print the failing sequence as it is. */
    shrink: { type: "string", default: "60" },
  },
})

interface Side {
  readonly name: string
  readonly root: string
  readonly executor: Executor
  readonly identities: Identities
}

let runs = 0

/** Runs a sequence from an empty directory; the operations may come from a generator that looks at the model. */
function failure(operations: (model: TreeModel) => Iterable<TreeOperation>): string | undefined {
  const model = new TreeModel()
  const above = positionals.map((directory) => join(directory, `s${process.pid}-${runs++}`))
  const sides = above.map((directory, i): Side => {
    const root = join(directory, "root")
    sys.mkdir(directory, 0o755)
    sys.mkdir(root, 0o777)
    sys.chmod(root, 0o755)
    const name = i === 0 ? "tested filesystem" : "reference filesystem (is the model wrong?)"
    return { name, root, executor: new Executor(root), identities: new Identities(model.tree.isAlive) }
  })
  try {
    return stepDifference(model, sides, operations(model)) ?? finalDifference(model, sides)
  } finally {
    for (const { executor } of sides) executor.closeAll()
    for (const directory of above) rmSync(directory, { recursive: true, force: true })
  }
}

function stepDifference(
  model: TreeModel,
  sides: readonly Side[],
  operations: Iterable<TreeOperation>,
): string | undefined {
  let index = 0
  for (const operation of operations) {
    const expected = model.apply(operation)
    for (const { name, executor, identities } of sides) {
      const problem = difference(expected, executor.run(operation), identities)
      if (problem !== undefined) return `operation ${index}, ${name}: ${describe(operation)}: ${problem}`
    }
    index += 1
  }
  return undefined
}

function finalDifference(model: TreeModel, sides: readonly Side[]): string | undefined {
  for (const { name, root, executor } of sides) {
    const [problem] = compareWithDirectory(root, snapshot(model.tree.root))
    if (problem !== undefined) return `whole tree, ${name}: ${problem}`
    executor.run({ op: "dropCaches" })
    const [cold] = compareWithDirectory(root, snapshot(model.tree.root))
    if (cold !== undefined) return `whole tree after dropping the caches, ${name}: ${cold}`
  }
  return undefined
}

const describe = (operation: TreeOperation): string => JSON.stringify(operation)

function report(seed: number, message: string, operations: readonly TreeOperation[]): void {
  process.stdout.write(`lockstep: FAILED, seed ${seed}: ${message}\n`)
  const fails = (some: readonly TreeOperation[]) => failure(() => some) !== undefined
  const seconds = Number(values.shrink)
  if (seconds === 0 || !fails(operations)) {
    process.stdout.write("lockstep: not shrunk (or it does not happen again); the last operations were\n")
    for (const operation of operations.slice(-20)) process.stdout.write(`${describe(operation)}\n`)
    return
  }
  const few = minimise(operations, fails, seconds)
  process.stdout.write(`lockstep: ${few.length} operations are enough: ${failure(() => few) ?? "?"}\n`)
  for (const operation of few) process.stdout.write(`${describe(operation)}\n`)
}

/** One generated sequence; returns the number of operations, or undefined after a failure. */
function runSequence(seed: number, end: number): number | undefined {
  const performed: TreeOperation[] = []
  const message = failure(function* (model) {
    const generator = new Generator(new Random(seed), model.tree, lockstepLimits)
    while (performed.length < Number(values.ops) && performance.now() < end) {
      const operation = generator.next()
      performed.push(operation)
      yield operation
    }
  })
  if (message === undefined) return performed.length
  report(seed, message, performed)
  return undefined
}

function runAll(): void {
  const first = Number(values.seed)
  const end = performance.now() + Number(values.seconds) * 1000
  let total = 0
  for (let i = 0; i < Number(values.sequences) && performance.now() < end; i++) {
    const count = runSequence(first + i, end)
    if (count === undefined) {
      process.exitCode = 1
      return
    }
    total += count
  }
  process.stdout.write(`lockstep: ${total} operations from seed ${first} on: all equal\n`)
}

sys.umask(umask)
if (values.replay === undefined) runAll()
else {
  const lines = readFileSync(values.replay, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("{"))
  const message = failure(() => lines.map((line) => JSON.parse(line) as TreeOperation))
  process.stdout.write(`lockstep: ${message ?? "all equal"}\n`)
  process.exitCode = message === undefined ? 0 : 1
}
