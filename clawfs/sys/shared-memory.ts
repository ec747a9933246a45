/**
 * Memory that outlives the server: an anonymous file (memfd_create(2)) whose descriptor the supervisor holds and every
 * server inherits. What a server stores there survives its SIGKILL, but not the machine's power, and neither does the
 * mount: exactly the life of what belongs to a FUSE connection.
 */
import { closeSync } from "node:fs"
import { checked, pointerValue, viewOf } from "./ffi.ts"
import { fallocate, ftruncate, mmap, munmap } from "./libc.ts"
import { memoryFile } from "./memory-file.ts"
import { Fault } from "../core/fault.ts"

const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2

/** A new anonymous file of `bytes` zeroes, of which only touched pages take memory. */
export function createSharedMemory(name: string, bytes: number): number {
  const fd = memoryFile(name)
  try {
    checked("ftruncate", ftruncate(fd, bytes))
  } catch (cause) {
    closeSync(fd)
    throw cause
  }
  return fd
}

/** A mapped window of shared memory. Views die with `[Symbol.dispose]`: touching one afterwards crashes the process. */
export class SharedMapping implements Disposable {
  readonly words: Uint32Array
  readonly #pointer: unknown
  readonly #length: number
  #mapped = true

  constructor(fd: number, offset: number, length: number) {
    const pointer = mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, offset)
    if (BigInt.asUintN(64, pointerValue(pointer)) === MAP_FAILED)
      throw new Fault("io", "mmap of shared memory failed")
    this.#pointer = pointer
    this.#length = length
    this.words = new Uint32Array(viewOf(pointer, length))
  }

  [Symbol.dispose](): void {
    if (!this.#mapped) return
    this.#mapped = false
    munmap(this.#pointer, this.#length)
  }
}

/** Gives the pages of a range back to the system; it reads as zeroes afterwards. */
export function releaseSharedRange(fd: number, offset: number, length: number): void {
  checked("fallocate", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length))
}
