/**
 * Mounting: with mount(2) as root, through the setuid helper fusermount3 otherwise. Either way the result is one
 * descriptor of /dev/fuse, which is the filesystem: when its last copy is closed, the mount is dead.
 */
import { spawn, spawnSync } from "node:child_process"
import { closeSync, constants, openSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { errnoName } from "../core/errno.ts"
import { FILESYSTEM_TYPE } from "../sys/clawfs-mounts.ts"
import { addressOf, checked, lastErrno, sysFault } from "../sys/ffi.ts"
import { close, fcntl, mount, recvmsg, socketpair, umount2 } from "../sys/libc.ts"

const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8 } as const
const MNT_DETACH = 2
const EBUSY = 16
const EINVAL = 22
const EPERM = 1

export interface MountOptions {
  readonly mountpoint: string
  /** The filesystem's type is "fuse." and this; "clawfs" unless given. */
  readonly subtype?: string
  /** Shown as the device in `df` and `mount`: the store's directory. */
  readonly source: string
  readonly readOnly: boolean
  /** Users other than the one who mounts may enter; always so for root. */
  readonly allowOther: boolean
  /** setuid bits, device nodes, and programs have their effect. */
  readonly suid: boolean
  readonly dev: boolean
  readonly exec: boolean
}

/** Mounts and returns the FUSE descriptor (close-on-exec). Throws a `Fault` that says what to do. */
export async function mountFuse(options: MountOptions): Promise<number> {
  return process.getuid?.() === 0 ? mountAsRoot(options) : await mountAsUser(options)
}

function mountAsRoot(options: MountOptions): number {
  const fd = openDevice()
  const access = options.allowOther ? "allow_other,default_permissions" : "default_permissions"
  const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,${access}`
  const flags =
    (options.readOnly ? MS.RDONLY : 0) |
    (options.suid ? 0 : MS.NOSUID) |
    (options.dev ? 0 : MS.NODEV) |
    (options.exec ? 0 : MS.NOEXEC)
  if (mount(options.source, options.mountpoint, typeOf(options), flags, data) === 0) return fd
  const failure = sysFault("mount")
  closeSync(fd)
  throw new Fault(failure.kind, `can't mount on ${options.mountpoint}: ${failure.message}`, {
    cause: failure,
  })
}

function typeOf({ subtype }: MountOptions): string {
  return subtype === undefined ? FILESYSTEM_TYPE : `fuse.${subtype}`
}

/** Opens /dev/fuse, or says why it can't be. */
export function openDevice(): number {
  try {
    return openSync("/dev/fuse", constants.O_RDWR)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM") {
      throw new Fault("denied", "no permission to open /dev/fuse", { cause, hint: "see: clawfs doctor" })
    }
    throw new Fault("unsupported", "this machine has no usable /dev/fuse", {
      cause,
      hint: "load the module (modprobe fuse), or see: clawfs doctor",
    })
  }
}

async function mountAsUser(options: MountOptions): Promise<number> {
  const pair = Buffer.alloc(8)
  checked("socketpair", socketpair(1, 1, 0, pair))
  const [ours, theirs] = [pair.readInt32LE(0), pair.readInt32LE(4)]
  const child = spawn("fusermount3", ["-o", userOptions(options), "--", options.mountpoint], {
    stdio: ["ignore", "ignore", "pipe", theirs],
    env: { ...process.env, _FUSE_COMMFD: "3" },
  })
  let complaint = ""
  child.stderr?.on("data", (chunk: Buffer) => (complaint += chunk.toString()))
  const status = await new Promise<number | "missing">((resolve) => {
    child.on("error", () => resolve("missing"))
    child.on("close", (code) => resolve(code ?? 1))
  })
  close(theirs)
  try {
    if (status === "missing") {
      throw new Fault("unsupported", "fusermount3 is not installed", {
        hint: "install the package fuse3, or mount as root",
      })
    }
    if (status !== 0) throw userFault(options, complaint.trim())
    return receiveDescriptor(ours)
  } finally {
    close(ours)
  }
}

function userFault(options: MountOptions, complaint: string): Fault {
  const reason = complaint.replace(/^fusermount3: /, "")
  const hint = reason.includes("user_allow_other")
    ? "add the line user_allow_other to /etc/fuse.conf, or leave out --allow-other"
    : "you need write permission on the mount point; see: clawfs doctor"
  return new Fault("denied", `can't mount on ${options.mountpoint}: ${reason}`, { hint })
}

/** fusermount3 splits at commas and takes a backslash as an escape. */
function userOptions(options: MountOptions): string {
  const fsname = options.source.replace(/[\\,]/g, "\\$&")
  const words = [
    `fsname=${fsname}`,
    `subtype=${options.subtype ?? "clawfs"}`,
    "default_permissions",
    options.readOnly ? "ro" : "rw",
    "nosuid",
    "nodev",
  ]
  if (options.allowOther) words.push("allow_other")
  if (!options.exec) words.push("noexec")
  return words.join(",")
}

const IOVEC = 16
const MSGHDR = 56
const CONTROL = 32
const CMSG_DATA = 16
const F_SETFD = 2
const FD_CLOEXEC = 1

/** One descriptor over SCM_RIGHTS (unix(7), cmsg(3)); struct msghdr by hand, as the 64-bit ABI lays it out. */
function receiveDescriptor(socket: number): number {
  const [byte, control, iovec, message] = [
    Buffer.alloc(8),
    Buffer.alloc(CONTROL),
    Buffer.alloc(IOVEC),
    Buffer.alloc(MSGHDR),
  ]
  iovec.writeBigUInt64LE(addressOf(byte), 0)
  iovec.writeBigUInt64LE(1n, 8)
  message.writeBigUInt64LE(addressOf(iovec), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(addressOf(control), 32)
  message.writeBigUInt64LE(BigInt(CONTROL), 40)
  if (recvmsg(socket, message, 0) !== 1) throw new Fault("io", "fusermount3 passed no descriptor")
  const fd = control.readInt32LE(CMSG_DATA)
  fcntl(fd, F_SETFD, FD_CLOEXEC)
  return fd
}

export type UnmountResult = "done" | "busy" | "not-mounted"

/** Unmounts. `lazy` detaches at once, for programs to leave when they are done (umount2(2), MNT_DETACH). */
export function unmountFuse(mountpoint: string, options: { lazy: boolean }): UnmountResult {
  if (process.getuid?.() !== 0) return unmountAsUser(mountpoint, options)
  if (umount2(mountpoint, options.lazy ? MNT_DETACH : 0) === 0) return "done"
  const errno = lastErrno()
  if (errno === EBUSY) return "busy"
  if (errno === EINVAL) return "not-mounted"
  throw new Fault(errno === EPERM ? "denied" : "io", `can't unmount ${mountpoint}: ${errnoName(errno)}`)
}

function unmountAsUser(mountpoint: string, options: { lazy: boolean }): UnmountResult {
  const result = spawnSync("fusermount3", [options.lazy ? "-uz" : "-u", "--", mountpoint], {
    encoding: "utf8",
  })
  if (result.error !== undefined)
    throw new Fault("unsupported", "fusermount3 is not installed", { hint: "install the package fuse3" })
  if (result.status === 0) return "done"
  if (/busy/i.test(result.stderr)) return "busy"
  if (/not (found|mounted)/i.test(result.stderr)) return "not-mounted"
  throw new Fault(
    "denied",
    `can't unmount ${mountpoint}: ${result.stderr.trim().replace(/^fusermount3: /, "")}`,
  )
}
