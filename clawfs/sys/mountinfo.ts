/** What is mounted where, from /proc/self/mountinfo (man 5 proc). */
import { readFileSync } from "node:fs"

export interface MountEntry {
  /** "MAJOR:MINOR" */
  readonly device: string
  /** Minor device number: the name of a FUSE connection below /sys/fs/fuse/connections. */
  readonly minor: number
  /** What of the filesystem is mounted: "/", or a directory of it (a bind mount). */
  readonly root: string
  readonly mountpoint: string
  readonly type: string
  /** For ClawFS: the store's directory. */
  readonly source: string
  readonly options: string
  /** Those of the filesystem, whatever is mounted of it where. */
  readonly superOptions: string
}

export function readMounts(text = readFileSync("/proc/self/mountinfo", "utf8")): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of text.split("\n")) {
    const [before, after] = line.split(" - ", 2)
    const fields = before?.split(" ") ?? []
    const [type, source, superOptions] = after?.split(" ") ?? []
    const [device, root, mountpoint, options] = [fields[2], fields[3], fields[4], fields[5]]
    if (
      device === undefined ||
      root === undefined ||
      mountpoint === undefined ||
      type === undefined ||
      source === undefined
    )
      continue
    entries.push({
      device,
      minor: Number(device.split(":")[1]),
      root: unescapeOctal(root),
      mountpoint: unescapeOctal(mountpoint),
      type,
      source: unescapeOctal(source),
      options: options ?? "",
      superOptions: superOptions ?? "",
    })
  }
  return entries
}

/** The topmost mount exactly at `path` (absolute, resolved), if any. */
export function mountAt(path: string): MountEntry | undefined {
  return readMounts().findLast((entry) => entry.mountpoint === path)
}

/** The kernel writes space, tab, newline and backslash as `\040` and so on. */
function unescapeOctal(text: string): string {
  if (!text.includes("\\")) return text
  const bytes: number[] = []
  const raw = Buffer.from(text)
  for (let at = 0; at < raw.length; at += 1) {
    const octal = raw[at] === 0x5c ? /^[0-7]{3}/.exec(raw.toString("latin1", at + 1, at + 4))?.[0] : undefined
    bytes.push(octal === undefined ? (raw[at] ?? 0) : parseInt(octal, 8))
    if (octal !== undefined) at += 3
  }
  return Buffer.from(bytes).toString()
}
