/**
 * One of several programs that write below a limit: creates, appends, overwrites, truncates, reserves and deletes files of
 * its own. Whatever is refused must be refused with EDQUOT and have changed nothing; every byte is compared with a model
 * at the end. Prints one JSON line.
 *
 *   node build/test-programs/test/model/limit-writer.js --seed S --seconds T DIRECTORY
 */
import fs from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Random } from "./random.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, seconds: { type: "string", default: "5" } },
})

/** Node 20 has no name for it. */
const EDQUOT = 122
const NAMES = ["a", "b", "c", "d", "e", "f"] as const
const LENGTHS = [100, 5000, 40_000, 400_000] as const
const OPERATIONS = { write: 50, append: 20, truncate: 8, unlink: 10, create: 12 } as const

const [directory = ""] = positionals
const random = new Random(Number(values.seed))
const models = new Map<string, Buffer>()
const counts = { done: 0, refused: 0 }
const problems: string[] = []

/** What was done, or 0 when the limit refused it. */
function attempt(run: () => number): number {
  try {
    const result = run()
    counts.done += 1
    return result
  } catch (thrown) {
    const { errno } = thrown as NodeJS.ErrnoException
    if (errno !== -EDQUOT) problems.push(`${String(thrown)} instead of EDQUOT`)
    counts.refused += 1
    return 0
  }
}

/** One write(2). The kernel may make several requests of it: then it may be done in part. */
function writeAt(path: string, model: Buffer, offset: number, data: Buffer): Buffer {
  const fd = fs.openSync(path, "r+")
  try {
    const done = attempt(() => fs.writeSync(fd, data, 0, data.length, offset))
    const { size } = fs.fstatSync(fd)
    const grown = Buffer.alloc(Math.max(model.length, done > 0 ? offset + done : 0))
    model.copy(grown)
    data.copy(grown, offset, 0, done)
    if (size !== grown.length) problems.push(`size ${size} instead of ${grown.length}, done: ${done}`)
    return grown
  } finally {
    fs.closeSync(fd)
  }
}

function step(): void {
  const name = random.pick(NAMES)
  const path = join(directory, name)
  const model = models.get(name)
  const operation = random.weighted(OPERATIONS)
  if (model === undefined) {
    const fd = attempt(() => fs.openSync(path, "wx"))
    if (fd === 0) return
    fs.closeSync(fd)
    models.set(name, Buffer.alloc(0))
    return
  }
  const data = Buffer.alloc(1 + random.below(random.pick(LENGTHS)), 1 + random.below(255))
  const offset = operation === "append" ? model.length : random.below(model.length + 1)
  if (operation === "unlink") {
    fs.unlinkSync(path)
    models.delete(name)
  } else if (operation === "truncate") {
    fs.truncateSync(path, offset)
    models.set(name, model.subarray(0, offset))
  } else models.set(name, writeAt(path, model, offset, data))
}

const end = Date.now() + Number(values.seconds) * 1000
while (Date.now() < end && problems.length === 0) step()
for (const [name, model] of models) {
  if (!fs.readFileSync(join(directory, name)).equals(model)) problems.push(`${name} has other bytes`)
}
const held = [...models.values()].reduce((sum, { length }) => sum + length, 0)
process.stdout.write(`${JSON.stringify({ ...counts, files: models.size, bytes: held, problems })}\n`)
