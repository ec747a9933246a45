/**
 * How far the kernel reads ahead on a mount: /sys/class/bdi/MAJOR:MINOR/read_ahead_kb (Documentation/ABI/testing/
 * sysfs-class-bdi). FUSE mounts begin with 128 KiB, a disk's own filesystem usually has far more.
 */
import { writeFileSync } from "node:fs"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { mountAt } from "./mountinfo.ts"

/** Sets it for the topmost mount on `mountpoint`. Without the permission (root has it) everything stays as it is. */
export function setReadAhead(mountpoint: string, kibibytes: number, log: Log): void {
  const device = mountAt(mountpoint)?.device
  if (device === undefined) return
  try {
    writeFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, String(kibibytes))
  } catch (cause) {
    log.debug("read-ahead stays", { reason: describe(cause) })
  }
}
