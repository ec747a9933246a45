/** What /proc tells about processes (man 5 proc). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { isInside } from "./clawfs-mounts.ts"

/** Whether the process runs. A zombie has ended: only its parent has not noticed. */
export function isRunning(pid: number): boolean {
  const stat = text(`/proc/${pid}/stat`)
  if (stat === undefined) return false
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3)
  return state !== "Z" && state !== "X"
}

/** Its arguments, or undefined if there is no such process or it is hidden. */
export function commandLine(pid: number): string[] | undefined {
  return text(`/proc/${pid}/cmdline`)?.split("\0").slice(0, -1)
}

/** "bash (process 4711)" for up to `most` processes that use files below `directory`, as far as we may look. */
export function usersOf(directory: string, most: number): string[] {
  const found: string[] = []
  for (const name of readdirSync("/proc")) {
    if (found.length === most) break
    if (/^\d+$/.test(name) && uses(name, directory)) found.push(`${nameOf(name)} (process ${name})`)
  }
  return found
}

function uses(pid: string, directory: string): boolean {
  try {
    const links = [
      ...["cwd", "root", "exe"].map((name) => `/proc/${pid}/${name}`),
      ...readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`),
    ]
    if (links.some((link) => isInside(target(link), directory))) return true
    return readFileSync(`/proc/${pid}/maps`, "utf8")
      .split("\n")
      .some((line) => isInside(line.slice(line.indexOf("/")), directory))
  } catch {
    // Gone meanwhile, or not ours to look into.
    return false
  }
}

/** A kernel thread has no executable, and a descriptor may be closed while we look. */
function target(link: string): string {
  try {
    return readlinkSync(link)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return ""
    throw cause
  }
}

function nameOf(pid: string): string {
  return text(`/proc/${pid}/comm`)?.trim() ?? "a program"
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
