/** The work of `clawfs unmount`: flush, unmount, wait until the daemon has ended. */
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../../api/client.ts"
import { Fault, describe } from "../../core/fault.ts"
import { unmountFuse, type UnmountResult } from "../../fuse/mount.ts"
import type { SupervisorState } from "../../../schema/supervisor-state.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import type { MountEntry } from "../../sys/mountinfo.ts"
import { isRunning } from "../../sys/process-identity.ts"
import { holdersOf, usersOf } from "../../sys/directory-users.ts"
import type { UnmountInvocation } from "../commands/unmount.ts"
import { supervisorOf } from "../daemon.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { faultOf } from "../node-fault.ts"
import type { Terminal } from "../terminal.ts"

const WAIT_MS = 30_000
const POLL_MS = 20
/** Programs that have just got a namespace of their own may be about to unmount what they need not. */
const COPIES_MS = 5000
const BUSY_MS = 250
const MOST_NAMED = 3

export async function runUnmount({ values, operands, terminal }: UnmountInvocation): Promise<ExitCode> {
  const { path, entry } = locate(operands[0] ?? "")
  if (!isClawfs(entry)) {
    const other = entry === undefined ? "" : `, but another filesystem (${entry.type})`
    throw new Fault("not-found", `no ClawFS is mounted on ${path}${other}`, {
      hint: "clawfs status shows what is mounted",
    })
  }
  const isLazy = values.lazy === true
  const supervisor = reachable(entry.source)
  if (supervisor?.state === "serving") {
    if (!isLazy) await requireNoTools(entry.source, path)
    await flush(entry.source, path, isLazy, terminal)
  }
  const result = await unmount(path, isLazy)
  if (result === "not-mounted") {
    // We have seen it mounted: fusermount3 says so of a mount that is not the caller's.
    throw new Fault("denied", `no permission to unmount ${path}: another user has mounted it`, {
      hint: "run this as that user or as root",
    })
  }
  if (result === "busy") {
    const users = usersOf(path, MOST_NAMED)
    throw new Fault("busy", `${path} is in use${users.length === 0 ? "" : ` by ${users.join(", ")}`}`, {
      hint: "end those programs, or use --lazy",
    })
  }
  if (supervisor !== undefined && !isLazy) await ended(supervisor, entry)
  terminal.out(`unmounted ${path}`)
  return ExitCode.OK
}

/** A tool that has just ended, or is made ready for its next call, holds the mount for a moment. */
async function unmount(path: string, lazy: boolean): Promise<UnmountResult> {
  const until = Date.now() + BUSY_MS
  let result = unmountFuse(path, { lazy })
  while (result === "busy" && Date.now() < until) {
    await sleep(POLL_MS)
    result = unmountFuse(path, { lazy })
  }
  return result
}

/** The store of a dead mount may be gone, and another user's is closed to us: unmounting may work all the same. */
function reachable(store: string): SupervisorState | undefined {
  try {
    return supervisorOf(store)
  } catch {
    return undefined
  }
}

/** A sandbox has mounts of its own of what its tool is granted: the kernel would not call the mount busy. */
async function requireNoTools(store: string, mountpoint: string): Promise<void> {
  const { running } = await call(store, "tools.running").then(
    (value) => value as { running: number },
    // What is wrong with the daemon is said, or borne with, when it flushes.
    () => ({ running: 0 }),
  )
  if (running === 0) return
  throw new Fault("busy", `${mountpoint} is in use by ${running} tool${running === 1 ? "" : "s"}`, {
    hint: "wait for them, or use --lazy",
  })
}

/** Everything to the disk while the mount still serves: a failure can be told, and nothing is lost. */
async function flush(store: string, mountpoint: string, isLazy: boolean, terminal: Terminal): Promise<void> {
  try {
    await call(store, "sync")
  } catch (thrown) {
    const fault = faultOf(thrown)
    // Between a server's death and the next one's start nobody listens, and nothing acknowledged is lost by then.
    if (fault?.kind === "not-found") return
    if (isLazy) {
      terminal.note(`not flushed: ${describe(thrown)}`)
      return
    }
    if (fault?.kind === "timeout") {
      throw new Fault("timeout", `the daemon of ${mountpoint} does not answer`, {
        cause: thrown,
        hint: `clawfs unmount --lazy ${mountpoint}`,
      })
    }
    throw new Fault(fault?.kind ?? "io", `${mountpoint} stays mounted: ${describe(thrown)}`, {
      cause: thrown,
      hint: `see ${store}/clawfs.log`,
    })
  }
}

async function ended(
  { pid, started }: SupervisorState,
  { device, source, mountpoint }: MountEntry,
): Promise<void> {
  const begin = Date.now()
  let isLookedFor = false
  while (Date.now() < begin + WAIT_MS) {
    if (!isRunning(pid, started)) return
    if (!isLookedFor && Date.now() >= begin + COPIES_MS) {
      isLookedFor = true
      requireNoCopies(device, mountpoint)
    }
    await sleep(POLL_MS)
  }
  throw new Fault("timeout", `unmounted, but the daemon (process ${pid}) has not ended`, {
    hint: `see ${source}/clawfs.log`,
  })
}

/** A program with a mount namespace of its own, made while this was mounted, has it until that ends: so has the daemon to go on. */
function requireNoCopies(device: string, mountpoint: string): void {
  const holders = holdersOf(device, MOST_NAMED)
  if (holders.length === 0) return
  throw new Fault("busy", `unmounted ${mountpoint}, but it is still mounted for ${holders.join(", ")}`, {
    hint: "the daemon ends when those programs have",
  })
}
