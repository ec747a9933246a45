/** What a process keeps in memory. */
import { readFileSync } from "node:fs"

/** RssAnon + RssShmem: what is the process's own, without the files that it has mapped. */
export function memoryMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0)
  return Math.round((kib("RssAnon") + kib("RssShmem")) / 1024)
}
