/** /dev/fuse, fusermount3 and its configuration, and who may mount. */
import { spawnSync } from "node:child_process"
import { readFileSync, realpathSync, statSync } from "node:fs"
import { filesystemOf } from "../../sys/clawfs-mounts.ts"
import { readMounts } from "../../sys/mountinfo.ts"
import { OPEN_DEVICE_HINT, deviceState, findFusermount } from "../fuse-device.ts"
import { bad, ok, type Check } from "./check.ts"

const CAP_SYS_ADMIN = 21n
const VERSION_TIMEOUT_MS = 3000
const CONFIGURATION = "/etc/fuse.conf"
/** What fusermount3 takes when its configuration says nothing. */
const DEFAULT_MOUNT_MAX = 1000
const CONNECTIONS = "/sys/fs/fuse/connections"

export function fuseChecks(isRoot: boolean): Check[] {
  const status = readFileSync("/proc/self/status", "utf8")
  const program = fusermountCheck(isRoot, status)
  const configuration = readConfiguration()
  return [
    deviceCheck(isRoot),
    ...(isRoot ? [rootCheck(status)] : []),
    program,
    allowOtherCheck(configuration),
    mountMaxCheck(isRoot, configuration),
    controlCheck(),
  ]
}

function deviceCheck(isRoot: boolean): Check {
  const state = deviceState()
  if (state === "missing" || state === "wrong") {
    const isKnown = /\bfuse$/m.test(readFileSync("/proc/filesystems", "utf8"))
    return bad("fail", "device", {
      message: state === "missing" ? "there is no usable /dev/fuse" : "/dev/fuse is not the FUSE device",
      hint: isKnown
        ? "give this container the device (docker run --device /dev/fuse), or make it: mknod -m 666 /dev/fuse c 10 229"
        : "load the module: modprobe fuse",
      facts: { isKnownToKernel: isKnown },
    })
  }
  if (state === "usable") return ok("device", "/dev/fuse can be opened")
  if (!isRoot) {
    return bad("fail", "device", {
      message: "/dev/fuse may not be opened by this user, and fusermount3 needs that",
      hint: OPEN_DEVICE_HINT,
    })
  }
  return bad("fail", "device", {
    message: "/dev/fuse may not be opened, not even by root: a container's device rules forbid it",
    hint: "give this container the device: docker run --device /dev/fuse",
  })
}

function rootCheck(status: string): Check {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`)
  if (((effective >> CAP_SYS_ADMIN) & 1n) === 1n) return ok("mounting", "root may mount")
  return bad("fail", "mounting", {
    message: "root may not mount here: the capability CAP_SYS_ADMIN is missing",
    hint: "give this container the capability: docker run --cap-add SYS_ADMIN",
  })
}

/** For everybody but root this is the only way to mount. */
function fusermountCheck(isRoot: boolean, status: string): Check {
  const level = isRoot ? "warn" : "fail"
  const cannot = isRoot ? "ordinary users can't mount" : "you can't mount"
  const path = findFusermount()
  if (path === undefined) {
    return bad(level, "fusermount3", {
      message: `fusermount3 is not on the PATH: ${cannot}`,
      hint: "install the package fuse3",
    })
  }
  const { stdout, error } = spawnSync(path, ["--version"], { encoding: "utf8", timeout: VERSION_TIMEOUT_MS })
  const version = /version:? *([0-9.]+)/.exec(error === undefined ? stdout : "")?.[1]
  if (version === undefined) {
    return bad(level, "fusermount3", {
      message: `${path} does not tell its version, so it does not work: ${cannot}`,
      hint: "install the package fuse3 again",
    })
  }
  const facts = { path, version }
  const { mode, uid } = statSync(path)
  if ((mode & 0o4000) === 0 || uid !== 0) {
    return bad(level, "fusermount3", {
      message: `${path} (${version}) is not setuid root: ${cannot}`,
      hint: `as root: chown root ${path} && chmod 4755 ${path}`,
      facts,
    })
  }
  const powerless = withoutEffect(path, status)
  if (powerless !== undefined) {
    const message = `fusermount3 ${version} is setuid root, but ${powerless}: ${cannot}`
    return bad(level, "fusermount3", { message, hint: "mount as root, or outside of this sandbox", facts })
  }
  return ok("fusermount3", `fusermount3 ${version} is setuid root: ordinary users can mount`, facts)
}

/** Why setuid bits have no effect here. */
function withoutEffect(path: string, status: string): string | undefined {
  if (/^NoNewPrivs:\s*1$/m.test(status)) return "this process may not gain privileges (no_new_privs)"
  const on = filesystemOf(realpathSync(path))
  return on?.options.split(",").includes("nosuid") === true ? `${on.mountpoint} is mounted nosuid` : undefined
}

interface Configuration {
  readonly allowsOther: boolean
  readonly mountMax: number
}

function readConfiguration(): Configuration {
  let lines: string[]
  try {
    lines = readFileSync(CONFIGURATION, "utf8").split("\n")
  } catch {
    lines = []
  }
  const settings = lines.map((line) => line.trim()).filter((line) => !line.startsWith("#"))
  const max = settings
    .map((line) => /^mount_max *= *(-?\d+)$/.exec(line)?.[1])
    .find((text) => text !== undefined)
  return {
    allowsOther: settings.includes("user_allow_other"),
    mountMax: max === undefined ? DEFAULT_MOUNT_MAX : Number(max),
  }
}

function allowOtherCheck({ allowsOther }: Configuration): Check {
  if (allowsOther) return ok("allow-other", "users may let others into their mounts (--allow-other)")
  return bad("warn", "allow-other", {
    message: "users other than root can't let others into their mounts: --allow-other is refused",
    hint: `as root: echo user_allow_other >>${CONFIGURATION}`,
  })
}

function mountMaxCheck(isRoot: boolean, { mountMax }: Configuration): Check {
  const count = readMounts().filter(({ type }) => /^fuse(blk)?(\.|$)/.test(type)).length
  const facts = { mountMax, fuseMounts: count }
  if (mountMax < 0 || count < mountMax)
    return ok(
      "mount-max",
      `${count} FUSE mounts, users other than root may make them up to ${mountMax}`,
      facts,
    )
  return bad(isRoot ? "warn" : "fail", "mount-max", {
    message: `${count} FUSE mounts: users other than root can't make more (mount_max is ${mountMax})`,
    hint: `raise mount_max in ${CONFIGURATION}`,
    facts,
  })
}

function controlCheck(): Check {
  if (readMounts().some(({ mountpoint, type }) => mountpoint === CONNECTIONS && type === "fusectl"))
    return ok("control", `${CONNECTIONS} is there: a mount that hangs can be aborted`)
  return bad("warn", "control", {
    message: `${CONNECTIONS} is not mounted: a mount that hangs can't be aborted`,
    hint: `as root: mount -t fusectl none ${CONNECTIONS}`,
  })
}
