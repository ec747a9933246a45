/**
 * Kills processes between two system calls. SIGKILL in the middle of a write leaves strace without knowing what was
 * written; a process that is told to stop first ends what it does.
 */
import { readdirSync, readFileSync } from "node:fs"
import { sleep, waitUntil } from "../helpers/exec.ts"

/** Longer than strace needs to let a thread go on. */
const SETTLE_MS = 100
const LIMIT_MS = 30_000

/** A process and its children. */
export async function killFamily(parent: number): Promise<void> {
  // Its children are looked for when it can start no other.
  await stopped([parent])
  await stopAndKill([parent, ...childrenOf(parent)])
}

/** Resolves when they are gone. */
export async function stopAndKill(pids: readonly number[]): Promise<void> {
  await stopped(pids)
  await sleep(SETTLE_MS)
  await waitUntil(() => pids.every(isStopped), LIMIT_MS)
  for (const pid of pids) process.kill(pid, "SIGKILL")
  await waitUntil(() => pids.every(isGone), LIMIT_MS)
}

async function stopped(pids: readonly number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, "SIGSTOP")
  await waitUntil(() => pids.every(isStopped), LIMIT_MS)
}

/** It is a zombie at most. */
function isGone(pid: number): boolean {
  try {
    return stateOf(`/proc/${pid}/stat`) === "Z"
  } catch (thrown) {
    if (["ENOENT", "ESRCH"].includes((thrown as NodeJS.ErrnoException).code ?? "")) return true
    throw thrown
  }
}

/** All of its threads: stopped by a signal (T) or below strace (t). */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((task) =>
    "Tt".includes(stateOf(`/proc/${pid}/task/${task}/stat`)),
  )
}

function stateOf(file: string): string {
  const stat = readFileSync(file, "latin1")
  return stat.slice(stat.lastIndexOf(")") + 2).charAt(0)
}

/** The children of a process: those of a supervisor are its server. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  )
}
