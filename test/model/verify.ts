/**
 * Compares directories with the trees that load.ts saved; prints each difference and fails if there is one.
 *
 *   node build/test-programs/test/model/verify.js DIRECTORY DUMP [DIRECTORY DUMP ...]
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { compareWithDirectory, type SnapshotEntry } from "./snapshot.ts"

const names = process.argv.slice(2)
let count = 0
for (let i = 0; i < names.length; i += 2) {
  const [directory = "", dump = ""] = names.slice(i)
  const entries = JSON.parse(readFileSync(dump, "utf8")) as SnapshotEntry[]
  count += entries.length
  for (const problem of compareWithDirectory(join(directory, "root"), entries)) {
    process.stdout.write(`${directory}: ${problem}\n`)
    process.exitCode = 1
  }
}
process.stdout.write(`verify: ${count} entries\n`)
