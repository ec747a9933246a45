/** Whether this machine offers FUSE to the user who runs this; natives are not needed to find out. */
import { accessSync, closeSync, constants, openSync, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { Fault } from "../core/fault.ts"

const DEVICE = "/dev/fuse"
/** Documentation/admin-guide/devices.txt: 10 misc, 229 fuse. */
const FUSE_MAJOR = 10
const FUSE_MINOR = 229

export type DeviceState = "usable" | "missing" | "wrong" | "denied"

/** Opening it makes no connection: that takes a mount. */
export function deviceState(): DeviceState {
  let rdev: number
  try {
    const stat = statSync(DEVICE)
    rdev = stat.isCharacterDevice() ? stat.rdev : 0
  } catch {
    return "missing"
  }
  // As glibc's makedev lays them out; both are below 256.
  if (rdev !== ((FUSE_MAJOR << 8) | FUSE_MINOR)) return "wrong"
  try {
    closeSync(openSync(DEVICE, constants.O_RDWR))
    return "usable"
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    return code === "EACCES" || code === "EPERM" ? "denied" : "missing"
  }
}

/** fusermount3 on the PATH, as spawn would find it. */
export function findFusermount(): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((directory) => join(directory || ".", "fusermount3"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return statSync(path).isFile()
      } catch {
        return false
      }
    })
}

export const OPEN_DEVICE_HINT = "as root: chmod 666 /dev/fuse (udev does that on most machines)"

/** Throws what is in the way of mounting. fusermount3 opens the device with its caller's permissions. */
export function requireFuse(): void {
  const isRoot = process.getuid?.() === 0
  const state = deviceState()
  if (state === "missing" || state === "wrong") {
    const what = state === "missing" ? `there is no usable ${DEVICE}` : `${DEVICE} is not the FUSE device`
    throw new Fault("unsupported", what, { hint: "as root: modprobe fuse; clawfs doctor tells more" })
  }
  if (state === "denied") {
    throw new Fault("denied", `no permission to open ${DEVICE}`, {
      hint: isRoot ? "give this container the device; clawfs doctor tells more" : OPEN_DEVICE_HINT,
    })
  }
  if (!isRoot && findFusermount() === undefined) {
    throw new Fault("unsupported", "fusermount3 is not installed", {
      hint: "install the package fuse3, or mount as root",
    })
  }
}
