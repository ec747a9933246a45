/** Who uses files below a directory, as far as /proc tells (man 5 proc). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { isInside } from "./clawfs-mounts.ts"

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
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim()
  } catch {
    return "a program"
  }
}
