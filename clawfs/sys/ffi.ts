/**
 * The only importer of koffi: prototypes in, functions out. `errno` must be read right after the call that failed,
 * on the same thread. Buffers handed to C are kept alive by the caller's local variable until the call returns.
 */
import koffi from "koffi"
import { errnoOf, errnoName } from "../core/errno.ts"
import { SysFault } from "../core/fault.ts"

export type Native<Args extends unknown[], R> = (...args: Args) => R

const libc = koffi.load("libc.so.6")

/** Binds one C prototype of libc, e.g. `"int close(int fd)"`. A missing symbol throws when the module loads. */
export function bind<Args extends unknown[], R = number>(prototype: string): Native<Args, R> {
  return libc.func(prototype)
}

/**
 * Binds prototypes of a library that a machine may lack, by its soname; undefined where it can't be loaded. A symbol that
 * the library does not have throws, as with `bind`.
 */
export function bindFrom(
  soname: string,
): (<Args extends unknown[], R = number>(prototype: string) => Native<Args, R>) | undefined {
  let library: ReturnType<typeof koffi.load>
  try {
    library = koffi.load(soname)
  } catch {
    // Whoever asks has something to fall back on, and says so where it matters.
    return undefined
  }
  return (prototype) => library.func(prototype)
}

/** The number that the last failed call of this thread left behind. */
export function lastErrno(): number {
  return koffi.errno()
}

/** Turns a -1 of `call` into a thrown `SysFault`; everything else passes. */
export function checked(call: string, rc: number): number {
  if (rc < 0) throw sysFault(call)
  return rc
}

/** The failure of the call that has just returned -1. */
export function sysFault(call: string): SysFault {
  const errno = koffi.errno()
  return new SysFault(call, errnoOf(errno), errnoName(errno))
}

/** The address of a buffer's first byte, for structs that hold pointers (iovec, msghdr). */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer)
}

/** `length` bytes of foreign memory (an mmap) as an ArrayBuffer. The mapping must outlive every view of it. */
export function viewOf(pointer: unknown, length: number): ArrayBuffer {
  return koffi.view(pointer, length)
}

/** The numeric value of a pointer that C returned; `MAP_FAILED` is all ones. */
export function pointerValue(pointer: unknown): bigint {
  return koffi.address(pointer)
}

/** A descriptor in the event loop. It must be kept: one that is garbage-collected falls silent. */
export interface PollHandle {
  /** Once more does nothing. */
  close(): void
}

/**
 * Calls back, from the event loop, as long as `fd` has something to be read or its other end is gone. koffi keeps some 5 KiB of
 * each for ever: `watchReadable` (watch.ts) is for what comes and goes.
 */
export function pollReadable(fd: number, onReadable: () => void, { keepsAlive = true } = {}): PollHandle {
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, onReadable)
  if (!keepsAlive) handle.unref()
  let isOpen = true
  return {
    close: () => {
      if (isOpen) handle.close()
      isOpen = false
    },
  }
}
