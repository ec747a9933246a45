/** Which disk a path lies on, by the numbers that control groups know it by. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { readMounts } from "./mountinfo.ts"

/**
 * "MAJOR:MINOR" of the whole disk: block layers limit disks, not their partitions. Undefined where the filesystem is on none
 * that can be named: in memory, on the network, laid over others, or shared by another machine.
 */
export function diskOf(path: string): string | undefined {
  const device = numbersOf(statSync(path, { bigint: true }).dev)
  return wholeDisk(device) ?? wholeDisk(sourceOf(device))
}

/** Makes "MAJOR:MINOR" of a device number, as gnu_dev_major(3) does. */
export function numbersOf(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n)
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffff_ff00n)
  return `${major}:${minor}`
}

/** btrfs gives its files a number that is no device's; its mounts name one. */
function sourceOf(device: string): string | undefined {
  const source = readMounts().find((each) => each.device === device)?.source
  if (source?.startsWith("/dev/") !== true) return undefined
  const stat = statSync(source, { bigint: true, throwIfNoEntry: false })
  return stat?.isBlockDevice() === true ? numbersOf(stat.rdev) : undefined
}

function wholeDisk(device: string | undefined): string | undefined {
  if (device === undefined) return undefined
  const entry = `/sys/dev/block/${device}`
  if (!existsSync(entry)) return undefined
  const directory = realpathSync(entry)
  if (!existsSync(join(directory, "partition"))) return device
  return readFileSync(join(dirname(directory), "dev"), "latin1").trim()
}
