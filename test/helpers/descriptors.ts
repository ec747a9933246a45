/** Finds descriptors that a process opened and forgot. */
import { readdirSync, readlinkSync } from "node:fs"

/** What each open descriptor of a process refers to. */
export function descriptorsOf(pid: number): Map<number, string> {
  const found = new Map<number, string>()
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      found.set(Number(name), readlinkSync(`/proc/${pid}/fd/${name}`))
    } catch {
      // closed in between
    }
  }
  return found
}

/** How many more descriptors of each kind there are after than before; numbers in names (sockets, inodes) don't count. */
export function newDescriptors(before: Map<number, string>, after: Map<number, string>): Map<string, number> {
  const counts = new Map<string, number>()
  const add = (name: string, by: number) => {
    const kind = name.replace(/:\[\d+\]$/, ":").replace(/ \(deleted\)$/, "")
    counts.set(kind, (counts.get(kind) ?? 0) + by)
  }
  for (const name of after.values()) add(name, 1)
  for (const name of before.values()) add(name, -1)
  return new Map([...counts].filter(([, count]) => count > 0))
}
