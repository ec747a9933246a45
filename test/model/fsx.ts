/**
 * fsx: random operations on one file (and a companion for copies), checked byte for byte against buffers. A failure
 * is printed with its seed and the few operations that it needs.
 *
 *   node build/test-programs/test/model/fsx.js [--ops N] [--seconds T] [--until FILE] [--seed S] [--max-size B]
 *     [--replay LOG] FILE
 */
import { existsSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { simplerOperations, someOperation, type Operation } from "./fsx-ops.ts"
import { Mismatch, Session } from "./fsx-session.ts"
import { Random } from "./random.ts"
import { minimise, simplify } from "./shrink.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ops: { type: "string", default: "10000" },
    seconds: { type: "string", default: "86400" },
    /** The run ends when this file exists. */
    until: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "max-size": { type: "string", default: "2600000" },
    replay: { type: "string" },
    /** "0": print the failing sequence as it is. */
    shrink: { type: "string", default: "60" },
  },
})
const [path = ""] = positionals
const capacity = Number(values["max-size"])
const seed = Number(values.seed)

/** The message of the failure and its position, or undefined when all went well. */
function failure(
  operations: Iterable<Operation>,
  file: string,
): { message: string; index: number } | undefined {
  const session = new Session(file, capacity)
  let index = 0
  try {
    for (const operation of operations) {
      session.run(operation)
      index += 1
    }
    session.finish()
    return undefined
  } catch (error) {
    session.close()
    if (error instanceof Mismatch) return { message: error.message, index }
    throw error
  }
}

const performed: Operation[] = []

function* generate(): Iterable<Operation> {
  const random = new Random(seed)
  const end = performance.now() + Number(values.seconds) * 1000
  const isOver = () => performance.now() > end || (values.until !== undefined && existsSync(values.until))
  for (let i = 0; i < Number(values.ops) && !(i % 50 === 0 && isOver()); i++) {
    const operation = someOperation(random, capacity)
    performed.push(operation)
    yield operation
  }
}

const replayed = (log: string): Operation[] =>
  readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Operation)

function report(found: { message: string; index: number }): void {
  const fails = (operations: readonly Operation[]) => failure(operations, `${path}.shrink`) !== undefined
  const failing = performed.slice(0, found.index + 1)
  process.stdout.write(`fsx: FAILED, seed ${seed}, operation ${found.index}: ${found.message}\n`)
  const seconds = Number(values.shrink)
  if (seconds === 0 || !fails(failing)) {
    process.stdout.write("fsx: not shrunk (or it does not happen again); the last operations were\n")
    for (const operation of failing.slice(-20)) process.stdout.write(`${JSON.stringify(operation)}\n`)
    return
  }
  const few = simplify(minimise(failing, fails, seconds), simplerOperations, fails, seconds / 2)
  const last = failure(few, `${path}.shrink`)
  process.stdout.write(`fsx: ${few.length} operations are enough: ${last?.message ?? "?"}\n`)
  for (const operation of few) process.stdout.write(`${JSON.stringify(operation)}\n`)
}

const operations = values.replay === undefined ? generate() : replayed(values.replay)
const found = failure(operations, path)
if (found === undefined)
  process.stdout.write(`fsx: ${performed.length} operations, seed ${seed}: all equal\n`)
else {
  if (values.replay !== undefined) performed.push(...(operations as Operation[]))
  report(found)
  process.exitCode = 1
}
