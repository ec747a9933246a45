/** What /proc tells of a process: whether one that wrote down its number is still that process, and what it has used. */
import { readFileSync } from "node:fs"

/** Fields of /proc/PID/stat behind the name, which may hold anything (man 5 proc). */
const STATE = 0
const USER_TIME = 11
const SYSTEM_TIME = 12
const START_TIME = 19

function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ESRCH") return undefined
    throw cause
  }
}

/** When this process started, in clock ticks since boot: with the pid it names a process for good. */
export function ownStartTime(): string {
  return statOf(process.pid)?.[START_TIME] ?? ""
}

/** CPU time of all of its threads so far, in clock ticks (100 a second); undefined when it is gone. */
export function cpuTicks(pid: number): number | undefined {
  const stat = statOf(pid)
  return stat === undefined ? undefined : Number(stat[USER_TIME]) + Number(stat[SYSTEM_TIME])
}

/** Not a zombie, and not another process that has got the number since. */
export function isRunning(pid: number, startTime: string): boolean {
  const stat = statOf(pid)
  return stat !== undefined && stat[STATE] !== "Z" && stat[STATE] !== "X" && stat[START_TIME] === startTime
}
