/**
 * A program that works on a directory of its own and knows what must come out: every answer and every byte is
 * compared with a model in memory. Prints one JSON line; saves what the tree must be, for model/verify.ts.
 *
 *   node build/test-programs/test/model/load.js --seed S --seconds T [--until FILE] --dump FILE DIRECTORY
 */
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as sys from "../helpers/sys.ts"
import { Executor } from "./execute.ts"
import { difference, Identities, type Outcome } from "./outcome.ts"
import { Random } from "./random.ts"
import { Recorder, type Report } from "./report.ts"
import { compareWithDirectory, snapshot } from "./snapshot.ts"
import { Generator, loadLimits, type TreeOperation } from "./tree-ops.ts"
import { TreeModel, umask } from "./tree-model.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "10" },
    /** The load ends when this file exists. */
    until: { type: "string" },
    dump: { type: "string" },
  },
})

class Load {
  readonly #model = new TreeModel()
  readonly #executor: Executor
  readonly #generator: Generator
  readonly #identities: Identities
  readonly #root: string
  readonly #recent: string[] = []
  readonly recorder = new Recorder()

  constructor(root: string, seed: number) {
    this.#root = root
    this.#executor = new Executor(root)
    this.#identities = new Identities(this.#model.tree.isAlive)
    this.#generator = new Generator(new Random(seed), this.#model.tree, loadLimits)
  }

  step(): void {
    const operation = this.#generator.next()
    const expected = this.#model.apply(operation)
    const got = this.recorder.timed(operation.op, () => this.#executor.run(operation))
    if (got.is !== "error") this.recorder.succeeded(operation.op)
    this.#judge(operation, expected, got)
  }

  /** After the first failure model and files differ, and more of them would say nothing. */
  #judge(operation: TreeOperation, expected: Outcome, got: Outcome): void {
    const line = JSON.stringify(operation)
    this.#recent.push(line)
    if (this.#recent.length > 8) this.#recent.shift()
    const problem = difference(expected, got, this.#identities)
    if (problem === undefined) return
    this.recorder.fail(`${problem}; the last operations were ${this.#recent.join(" ")}`)
  }

  finish(): void {
    this.#executor.closeAll()
    this.#model.closeAll()
    const entries = snapshot(this.#model.tree.root)
    for (const problem of compareWithDirectory(this.#root, entries))
      this.recorder.fail(`whole tree: ${problem}`)
    if (values.dump !== undefined) writeFileSync(values.dump, JSON.stringify(entries))
  }
}

function main(directory: string): Report {
  sys.umask(umask)
  const root = join(directory, "root")
  sys.mkdir(directory, 0o755)
  sys.mkdir(root, 0o777)
  sys.chmod(root, 0o755)
  const load = new Load(root, Number(values.seed))
  const { recorder } = load
  const end = performance.now() + Number(values.seconds) * 1000
  const isOver = () => performance.now() > end || (values.until !== undefined && existsSync(values.until))
  while (!recorder.hasFailed && !(recorder.operations % 50 === 0 && isOver())) load.step()
  if (!recorder.hasFailed) load.finish()
  return recorder.report()
}

process.stdout.write(`${JSON.stringify(main(positionals[0] ?? ""))}\n`)
