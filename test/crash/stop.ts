/**
 * Kills processes between two system calls. SIGKILL in the middle of a write leaves strace without knowing what was
 * written; a process that is told to stop first ends what it does.
 */
import { readdirSync, readFileSync } from "node:fs"
import { sleep, waitUntil } from "../helpers/exec.ts"

/** Longer than strace needs to let a thread go on. */
const SETTLE_MS = 100
const LIMIT_MS = 5000

export async function stopAndKill(pids: readonly number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, "SIGSTOP")
  await waitUntil(() => pids.every(isStopped), LIMIT_MS)
  await sleep(SETTLE_MS)
  await waitUntil(() => pids.every(isStopped), LIMIT_MS)
  for (const pid of pids) process.kill(pid, "SIGKILL")
}

/** All of its threads: stopped by a signal (T) or below strace (t). */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "latin1")
    return "Tt".includes(stat.slice(stat.lastIndexOf(")") + 2).charAt(0))
  })
}

/** The children of a process: those of a supervisor are its server. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  )
}
