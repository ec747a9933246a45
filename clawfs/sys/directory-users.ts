/** Who uses files below a directory, or has a filesystem mounted, as far as /proc tells (man 5 proc). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { isInside } from "./clawfs-mounts.ts"
import { readMounts } from "./mountinfo.ts"

/** "bash (process 4711)" for up to `most` processes that use files below `directory`, as far as we may look. */
export function usersOf(directory: string, most: number): string[] {
  return programs(most, (pid) => uses(pid, directory))
}

/** The same, for processes in whose namespace the filesystem with this device number is mounted ("MAJOR:MINOR"). */
export function holdersOf(device: string, most: number): string[] {
  return programs(most, (pid) => hasMounted(pid, device))
}

function programs(most: number, isMeant: (pid: string) => boolean): string[] {
  const found: string[] = []
  for (const name of readdirSync("/proc")) {
    if (found.length === most) break
    if (/^\d+$/.test(name) && isMeant(name)) found.push(`${nameOf(name)} (process ${name})`)
  }
  return found
}

function hasMounted(pid: string, device: string): boolean {
  try {
    return readMounts(readFileSync(`/proc/${pid}/mountinfo`, "utf8")).some((each) => each.device === device)
  } catch {
    // Gone meanwhile, or not ours to look into.
    return false
  }
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
