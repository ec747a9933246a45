/**
 * Memory for keys and secrets that no other process can read, root's debuggers included (memfd_secret(2), Linux 5.14), that
 * is never swapped and in no core dump. Where the kernel or a sandbox does not offer that: locked memory outside of dumps,
 * and if even that is refused, plain memory. Which one it is must be shown to the user.
 */
import { Fault } from "../core/fault.ts"
import { pointerValue, viewOf } from "./ffi.ts"
import { close, ftruncate, madvise, mlock, mmap, munmap, syscall2 } from "./libc.ts"

export type SecretMemoryKind = "secret" | "locked" | "plain"

/** asm-generic/unistd.h; the same number on every architecture that Node is built for. */
const MEMFD_SECRET = 447
const O_CLOEXEC = 0o2000000
const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_PRIVATE_ANONYMOUS = 0x22
const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const MADV_DONTDUMP = 16
const MADV_WIPEONFORK = 18

const KINDS: readonly SecretMemoryKind[] = ["secret", "locked", "plain"]

/** A mapping of its own. `bytes` and every view of it die with it: touching them afterwards crashes the process. */
export class SecretMemory implements Disposable {
  readonly kind: SecretMemoryKind
  readonly bytes: Buffer
  readonly #pointer: unknown
  #mapped = true

  private constructor(kind: SecretMemoryKind, pointer: unknown, length: number) {
    this.kind = kind
    this.#pointer = pointer
    this.bytes = Buffer.from(viewOf(pointer, length))
  }

  /** `length` zeroes in the best memory that there is, or in one that is no better than `best`. */
  static allocate(length: number, best: SecretMemoryKind = "secret"): SecretMemory {
    for (const kind of KINDS.slice(KINDS.indexOf(best))) {
      const pointer = MAP[kind](length)
      if (pointer !== undefined) return new SecretMemory(kind, pointer, length)
    }
    throw new Fault("no-space", `there are no ${length} bytes of memory for secrets`)
  }

  [Symbol.dispose](): void {
    if (!this.#mapped) return
    this.bytes.fill(0)
    this.#mapped = false
    munmap(this.#pointer, this.bytes.length)
  }
}

const MAP: Readonly<Record<SecretMemoryKind, (length: number) => unknown>> = {
  secret: (length) => {
    const fd = syscall2(MEMFD_SECRET, O_CLOEXEC, 0, null, 0)
    if (fd < 0) return undefined
    try {
      if (ftruncate(fd, length) !== 0) return undefined
      return mapped(length, MAP_SHARED, fd)
    } finally {
      close(fd)
    }
  },
  locked: (length) => {
    const pointer = anonymous(length)
    if (pointer === undefined || mlock(pointer, length) === 0) return pointer
    munmap(pointer, length)
    return undefined
  },
  plain: anonymous,
}

function anonymous(length: number): unknown {
  const pointer = mapped(length, MAP_PRIVATE_ANONYMOUS, -1)
  if (pointer === undefined) return undefined
  madvise(pointer, length, MADV_DONTDUMP)
  madvise(pointer, length, MADV_WIPEONFORK)
  return pointer
}

function mapped(length: number, flags: number, fd: number): unknown {
  const pointer = mmap(null, length, PROT_READ_WRITE, flags, fd, 0)
  return BigInt.asUintN(64, pointerValue(pointer)) === MAP_FAILED ? undefined : pointer
}
