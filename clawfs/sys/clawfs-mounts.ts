/** The ClawFS mounts among all mounts, and which filesystem a path lies on. Reads /proc only: nothing here can hang. */
import { readMounts, type MountEntry } from "./mountinfo.ts"

/** As the kernel shows it: type "fuse", subtype "clawfs". */
export const FILESYSTEM_TYPE = "fuse.clawfs"

export interface ClawfsEntry extends MountEntry {
  readonly type: typeof FILESYSTEM_TYPE
}

export function isClawfs(entry: MountEntry | undefined): entry is ClawfsEntry {
  return entry?.type === FILESYSTEM_TYPE
}

export function clawfsMounts(): ClawfsEntry[] {
  return readMounts().filter(isClawfs)
}

/** The mount that `path` (absolute, resolved) lies on. */
export function filesystemOf(
  path: string,
  mounts: readonly MountEntry[] = readMounts(),
): MountEntry | undefined {
  let found: MountEntry | undefined
  for (const entry of mounts) {
    const isDeeper = entry.mountpoint.length >= (found?.mountpoint.length ?? 0)
    if (isDeeper && isInside(path, entry.mountpoint)) found = entry
  }
  return found
}

/** Whether `path` is `directory` or below it; both absolute and resolved. */
export function isInside(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`)
}
