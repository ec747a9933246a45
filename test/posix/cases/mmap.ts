/** Mapped files: what is written to memory is in the file, and the other way round, across processes. */
import { MAP, MS, O, PROT } from "../abi.ts"
import type { Case, Test } from "../check.ts"
import type { Outcome, Posix } from "../posix.ts"

const PAGE = 4096
const RW = PROT.READ | PROT.WRITE

/** A mapping in an agent's memory, reached by system calls, so that a fault is EFAULT and not the agent's end. */
class Mapping {
  readonly #by: Posix
  readonly #through: number
  readonly address: number

  constructor(t: Test, by: Posix, fd: number, length: number, prot: number = RW, flags: number = MAP.SHARED) {
    this.#by = by
    this.#through = t.ok(by.memfd())
    this.address = t.ok(by.mmap(fd, length, prot, flags))
    t.defer(() => by.call("munmap", [this.address, length]))
  }

  peek(offset: number, length: number): Outcome<string> {
    const moved = this.#by.call("pwrite64", [this.#through, this.address + offset, length, 0])
    return moved.isOk ? this.#by.pread(this.#through, length, 0) : (moved as Outcome<never>)
  }
  poke(offset: number, data: string): Outcome<number> {
    const staged = this.#by.pwrite(this.#through, data, 0)
    return staged.isOk
      ? this.#by.call("pread64", [this.#through, this.address + offset, data.length, 0])
      : staged
  }
  sync(length: number): Outcome<number> {
    return this.#by.call("msync", [this.address, length, MS.SYNC])
  }
}

/** A file "x" of this length, all dots, open for both. */
function dots(t: Test, by: Posix, length: number): number {
  const fd = t.ok(by.open("x", O.CREAT | O.RDWR, 0o666))
  t.ok(by.pfill(fd, 0x2e, length, 0))
  return fd
}

const sharing: readonly Case[] = [
  {
    name: "what is written to a shared mapping is read from the file after msync, by every process",
    run: (t) => {
      for (const length of [PAGE, 3 * PAGE, 200_000]) {
        const fd = dots(t, t.owner, length)
        const map = new Mapping(t, t.owner, fd, length)
        const other = t.ok(t.stranger.open("x"))
        for (const at of [0, 17, PAGE - 6, length - 9]) {
          t.ok(map.poke(at, "mapped"))
          t.ok(map.sync(length))
          t.equal(t.ok(t.owner.pread(fd, 6, at)), "mapped", "content by the same process")
          t.equal(t.ok(t.stranger.pread(other, 6, at)), "mapped", "content by another process")
        }
        t.equal(t.lstat("x").size, length, "size")
        t.ok(t.root.unlink("x"))
      }
    },
  },
  {
    name: "what is written to the file shows in the mapping, whoever writes it",
    run: (t) => {
      const fd = dots(t, t.owner, 3 * PAGE)
      const map = new Mapping(t, t.owner, fd, 3 * PAGE)
      t.equal(t.ok(map.peek(PAGE, 3)), "...", "memory at first")
      t.ok(t.owner.pwrite(fd, "written", PAGE))
      t.equal(t.ok(map.peek(PAGE, 7)), "written", "memory after a write")
      t.ok(t.stranger.pwrite(t.ok(t.stranger.open("x", O.WRONLY)), "by another", 2 * PAGE))
      t.equal(t.ok(map.peek(2 * PAGE, 10)), "by another", "memory after a write by another process")
    },
  },
  {
    name: "two processes share a mapping",
    run: (t) => {
      const fd = dots(t, t.owner, PAGE)
      const [a, b] = [
        new Mapping(t, t.owner, fd, PAGE),
        new Mapping(t, t.stranger, t.ok(t.stranger.open("x", O.RDWR)), PAGE),
      ]
      t.ok(a.poke(0, "from a"))
      t.equal(t.ok(b.peek(0, 6)), "from a", "memory of b")
      t.ok(b.poke(100, "from b"))
      t.equal(t.ok(a.peek(100, 6)), "from b", "memory of a")
    },
  },
  {
    name: "a private mapping keeps its changes to itself",
    run: (t) => {
      const fd = dots(t, t.root, PAGE)
      const map = new Mapping(t, t.root, fd, PAGE, RW, MAP.PRIVATE)
      t.ok(map.poke(0, "private"))
      t.equal(t.ok(map.peek(0, 7)), "private", "memory")
      t.equal(t.ok(t.root.pread(fd, 7, 0)), ".......", "content")
    },
  },
  {
    name: "a mapping stays when its descriptor is closed and its file unlinked",
    run: (t) => {
      const fd = dots(t, t.root, PAGE)
      const map = new Mapping(t, t.root, fd, PAGE)
      const kept = t.ok(t.root.open("x"))
      t.ok(t.root.close(fd))
      t.ok(t.root.unlink("x"))
      t.ok(map.poke(0, "alive"))
      t.ok(map.sync(PAGE))
      t.equal(t.ok(map.peek(0, 6)), "alive.", "memory")
      t.equal(t.ok(t.root.pread(kept, 6, 0)), "alive.", "content")
    },
  },
  {
    name: "a change by mapping moves mtime and ctime by msync at the latest",
    run: (t) => {
      const fd = dots(t, t.root, PAGE)
      const map = new Mapping(t, t.root, fd, PAGE)
      t.ok(t.root.fsync(fd))
      const before = t.lstat("x")
      t.tick()
      t.ok(map.poke(0, "later"))
      t.ok(map.sync(PAGE))
      const after = t.lstat("x")
      t.that(after.mtime > before.mtime && after.ctime > before.ctime, "mtime or ctime stayed")
    },
  },
]

const ends: readonly Case[] = [
  {
    name: "behind the end of the file the last page is zeros, and never becomes part of the file",
    run: (t) => {
      const fd = dots(t, t.root, 100)
      const map = new Mapping(t, t.root, fd, PAGE)
      t.equal(t.ok(map.peek(98, 4)), "..\0\0", "memory")
      t.ok(map.poke(98, "xxxx"))
      t.ok(map.sync(PAGE))
      t.equal(t.lstat("x").size, 100, "size")
      t.equal(t.ok(t.root.pread(fd, 10, 96)), "..xx", "content")
      t.ok(t.root.ftruncate(fd, 110))
      t.equal(t.ok(t.root.pread(fd, 14, 96)), "..xx\0\0\0\0\0\0\0\0\0\0", "content after growing")
    },
  },
  {
    name: "pages behind the end fault, and work once the file has grown",
    run: (t) => {
      const fd = dots(t, t.root, PAGE)
      const map = new Mapping(t, t.root, fd, 3 * PAGE)
      t.fails("EFAULT", map.peek(PAGE, 1))
      t.fails("EFAULT", map.poke(2 * PAGE, "x"))
      t.ok(t.root.ftruncate(fd, 3 * PAGE))
      t.equal(t.ok(map.peek(2 * PAGE, 2)), "\0\0", "memory")
      t.succeeds(map.poke(2 * PAGE, "x"))
      t.equal(t.ok(t.root.pread(fd, 2, 2 * PAGE)), "x\0", "content")
    },
  },
  {
    name: "pages cut off by truncate fault; grown again they are zeros",
    run: (t) => {
      const fd = dots(t, t.root, 3 * PAGE)
      const map = new Mapping(t, t.root, fd, 3 * PAGE)
      t.ok(map.poke(2 * PAGE, "gone"))
      t.ok(t.root.ftruncate(fd, PAGE + 10))
      t.fails("EFAULT", map.peek(2 * PAGE, 1))
      t.equal(t.ok(map.peek(PAGE + 8, 4)), "..\0\0", "memory across the end")
      t.ok(t.root.ftruncate(fd, 3 * PAGE))
      t.equal(t.ok(map.peek(2 * PAGE, 4)), "\0\0\0\0", "memory after growing")
      t.equal(t.ok(map.peek(PAGE + 8, 4)), "..\0\0", "memory across the old end")
    },
  },
  {
    name: "holes read as zeros and can be filled by mapping",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      t.ok(t.root.ftruncate(fd, 100 * PAGE))
      const map = new Mapping(t, t.root, fd, 100 * PAGE)
      t.equal(t.ok(map.peek(50 * PAGE, 3)), "\0\0\0", "memory")
      t.ok(map.poke(50 * PAGE, "filled"))
      t.ok(map.sync(100 * PAGE))
      t.equal(t.ok(t.root.pread(fd, 8, 50 * PAGE)), "filled\0\0", "content")
    },
  },
]

const errors: readonly Case[] = [
  {
    name: "EACCES if the descriptor does not allow it, ENODEV for a directory, EBADF, EINVAL",
    run: (t) => {
      dots(t, t.root, PAGE)
      t.dir("d")
      const [r, w] = [t.ok(t.root.open("x", O.RDONLY)), t.ok(t.root.open("x", O.WRONLY))]
      t.fails("EACCES", t.root.mmap(r, PAGE, RW, MAP.SHARED))
      t.fails("EACCES", t.root.mmap(w, PAGE, PROT.READ, MAP.SHARED))
      t.fails("EACCES", t.root.mmap(w, PAGE, PROT.WRITE, MAP.SHARED))
      t.fails("ENODEV", t.root.mmap(t.ok(t.root.open("d")), PAGE, PROT.READ, MAP.SHARED))
      t.fails("EBADF", t.root.mmap(9999, PAGE, PROT.READ, MAP.SHARED))
      t.fails("EINVAL", t.root.mmap(r, 0, PROT.READ, MAP.SHARED))
      t.fails("EINVAL", t.root.mmap(r, PAGE, PROT.READ, MAP.SHARED, 100))
      t.succeeds(t.root.mmap(r, PAGE, RW, MAP.PRIVATE))
    },
  },
]

export const cases: readonly Case[] = [...sharing, ...ends, ...errors]
