/**
 * A git repository on the mount, one commit after the other, each marked; what such a repository looks like inside of a
 * store is judged by git itself.
 *
 *   node build/test-programs/test/crash/repository.js '{ "directory": …, "marks": …, "track": …, "from": …, "to": … }'
 */
import { execFileSync } from "node:child_process"
import { closeSync, fsyncSync, mkdirSync, openSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { marker } from "./marks.ts"
import { BRANCH, changedIn, committedText } from "./repository-commits.ts"

export interface RepositoryOrder {
  readonly directory: string
  readonly marks: string
  readonly track: string
  readonly from: number
  readonly to: number
}

const order = JSON.parse(process.argv[2] ?? "") as RepositoryOrder
const { directory, track } = order
const mark = marker(order.marks)
/** Every object, reference and index is synced before it gets its name. */
const CONFIG = ["core.fsync=all", "core.fsyncMethod=fsync", "gc.auto=0", "user.name=n", "user.email=e"]

function git(...args: readonly string[]): void {
  const config = CONFIG.flatMap((each) => ["-c", each])
  execFileSync("git", ["-C", directory, ...config, ...args], { stdio: ["ignore", "ignore", "inherit"] })
}

/** The reference has its name by a rename, which git does not sync. */
function syncReferences(): void {
  const fd = openSync(join(directory, ".git/refs/heads"), "r")
  fsyncSync(fd)
  closeSync(fd)
}

if (order.from === 0) {
  mkdirSync(directory, { recursive: true })
  git("init", "-q", "-b", BRANCH)
}
for (let n = order.from + 1; n <= order.to; n += 1) {
  mark({ track, begun: n })
  writeFileSync(join(directory, changedIn(n)), committedText(n))
  git("add", "-A")
  git("commit", "-q", "-m", String(n))
  syncReferences()
  mark({ track, done: n, durable: true })
}
// What was durable as loose objects stays so as a pack.
git("gc", "-q", "--prune=now")
