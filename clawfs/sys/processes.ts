/** Processes that Node does not know: those that a child of ours has started. */
import { closeSync, readFileSync } from "node:fs"
import { bind, checked, lastErrno, sysFault } from "./ffi.ts"

const syscall3 = bind<[number: number, a: number, b: number]>("long syscall(long, long, long)")
const syscall5 = bind<[number: number, a: number, b: number, c: null, d: number]>(
  "long syscall(long, long, long, void*, long)",
)
const closeRange = bind<[number: number, first: number, last: number, flags: number]>(
  "long syscall(long, unsigned long, unsigned long, unsigned long)",
)
const prlimitCall = bind<[pid: number, resource: number, limit: Buffer | null, old: Buffer | null]>(
  "int prlimit(int, int, const void*, void*)",
)

/** asm-generic/unistd.h: the same number on every architecture. */
const SYS = { pidfd_send_signal: 424, pidfd_open: 434, close_range: 436 } as const
const CLOSE_RANGE_CLOEXEC = 4
const MOST_FD = 0xffff_ffff
const ESRCH = 3

/** No program that this process starts inherits what it was given itself, but for what it is given by name. */
export function keepDescriptors(): void {
  checked("close_range", closeRange(SYS.close_range, 3, MOST_FD, CLOSE_RANGE_CLOEXEC))
}

/** pidfd_open(2): names a process for good, however its number is used later. */
export class ProcessHandle implements Disposable {
  readonly pid: number
  readonly #fd: number
  #isOpen = true

  constructor(pid: number) {
    this.pid = pid
    this.#fd = checked("pidfd_open", syscall3(SYS.pidfd_open, pid, 0))
  }

  /** As long as it is not disposed of. */
  get fd(): number {
    return this.#fd
  }

  /** False when it is gone. */
  kill(signal: number): boolean {
    if (!this.#isOpen) return false
    if (syscall5(SYS.pidfd_send_signal, this.#fd, signal, null, 0) === 0) return true
    if (lastErrno() === ESRCH) return false
    throw sysFault("pidfd_send_signal")
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd)
    this.#isOpen = false
  }
}

/** getrlimit(2) */
export const Resource = { CORE: 4, NPROC: 6, NOFILE: 7, AS: 9 } as const
export type Resource = (typeof Resource)[keyof typeof Resource]

/**
 * prlimit(2): both the soft and the hard limit, of this process (0) or another one. Another user's takes CAP_SYS_RESOURCE,
 * which root may lack in a container.
 */
export function limitResource(pid: number, resource: Resource, most: number): void {
  const [limit, old] = [Buffer.alloc(16), Buffer.alloc(16)]
  checked("prlimit", prlimitCall(pid, resource, null, old))
  const value = BigInt(most) < old.readBigUInt64LE(8) ? BigInt(most) : old.readBigUInt64LE(8)
  limit.writeBigUInt64LE(value, 0)
  limit.writeBigUInt64LE(value, 8)
  checked("prlimit", prlimitCall(pid, resource, limit, null))
}

/** The processes that `pid` has started and that are not gone (proc(5)); none when it is gone itself. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1")
      .split(" ")
      .filter((word) => word !== "")
      .map(Number)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ESRCH") return []
    throw cause
  }
}
