/**
 * Asks for names that do not exist, each once so that the server has to answer, in two directories in turn, until its stdin
 * ends: one on the mount under test, and one on another, which shows what the machine makes everybody wait. Prints the longest
 * time of each in milliseconds, and how often it asked, as JSON.
 */
import { lstatSync } from "node:fs"
import { setPriority } from "node:os"
import { join } from "node:path"

const PAUSE_MS = 2
const [, , tested = "", other = ""] = process.argv
const longest = { tested: 0, other: 0, count: 0 }
setPriority(-15)

function ask(directory: string): number {
  const start = performance.now()
  lstatSync(join(directory, `absent-${longest.count}`), { throwIfNoEntry: false })
  return performance.now() - start
}

const timer = setInterval(() => {
  longest.count += 1
  longest.tested = Math.max(longest.tested, ask(tested))
  longest.other = Math.max(longest.other, ask(other))
}, PAUSE_MS)
process.stdin.resume()
process.stdin.on("end", () => {
  clearInterval(timer)
  process.stdout.write(JSON.stringify(longest))
})
