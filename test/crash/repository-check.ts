/** Takes a git repository out of a store and lets git judge it. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DIRECTORY } from "./history.ts"
import { memoryDirectory } from "./memory-directory.ts"
import type { Found, Progress } from "./promises.ts"
import { BRANCH, changedIn, committedText } from "./repository-commits.ts"

/** Three programs a state: one in so many is judged. */
const STATES_PER_LOOK = 4
let states = 0

export function checkRepository(track: string, found: Found, { durable, begun }: Progress): string[] {
  states += 1
  if (durable === 0 || states % STATES_PER_LOOK !== 0) return []
  const copy = mkdtempSync(join(memoryDirectory, "clawfs-repository-"))
  try {
    takeOut(`${track}/.git/`, found, copy)
    return judged(copy, durable, begun).map((each) => `repository ${track}: ${each}`)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function takeOut(prefix: string, { picture, bytes }: Found, directory: string): void {
  for (const [path, what] of picture) {
    if (!path.startsWith(prefix)) continue
    const target = join(directory, path.slice(prefix.length))
    mkdirSync(what === DIRECTORY ? target : dirname(target), { recursive: true })
    if (what !== DIRECTORY) writeFileSync(target, bytes(path) ?? "")
  }
}

function judged(directory: string, durable: number, begun: number): string[] {
  const fsck = git(directory, "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
  if (fsck.status !== 0) return [`git fsck: ${fsck.stderr.toString()}${fsck.stdout.toString()}`]
  const log = git(directory, "log", "--format=%s", BRANCH)
  if (log.status !== 0) return [`git log: ${log.stderr.toString()}`]
  const subjects = log.stdout.toString().trim().split("\n")
  const count = subjects.length
  if (subjects.some((subject, index) => subject !== String(count - index)))
    return [`the commits are ${subjects.join(" ")}`]
  if (count < durable || count > begun)
    return [`${count} commits, ${durable} were durable and ${begun} begun`]
  const head = git(directory, "show", `${BRANCH}:${changedIn(count)}`)
  return head.stdout.toString() === committedText(count) ? [] : [`commit ${count} has other contents`]
}

function git(directory: string, ...args: readonly string[]): ReturnType<typeof spawnSync> {
  return spawnSync("git", ["--git-dir", directory, ...args], { maxBuffer: 1 << 26 })
}
