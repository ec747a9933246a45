/** Runs fsx operations on real files and on buffers, and compares them byte for byte. */
import { fuseMountOf } from "../helpers/mountinfo.ts"
import * as sys from "../helpers/sys.ts"
import type { Allocation, FileIndex, Operation, Position } from "./fsx-ops.ts"
import { bytesDifference, seekDifference } from "./outcome.ts"
import { contents } from "./random.ts"

/** The filesystem did what the model did not. */
export class Mismatch extends Error {}

interface Twin {
  readonly path: string
  fd: number
  /** Whole capacity; bytes from `size` on are zero. */
  readonly data: Buffer
  size: number
}

const pageSize = 4096

const allocationModes: Record<Allocation, number> = {
  allocate: 0,
  keepSize: sys.FALLOC.KEEP_SIZE,
  punch: sys.FALLOC.PUNCH_HOLE | sys.FALLOC.KEEP_SIZE,
  zero: sys.FALLOC.ZERO_RANGE,
  zeroKeepSize: sys.FALLOC.ZERO_RANGE | sys.FALLOC.KEEP_SIZE,
}

function ok(result: number, call: string): number {
  if (result < 0) throw new Mismatch(`${call}: ${sys.errnoName(result)}`)
  return result
}

export class Session {
  readonly #files: readonly [Twin, Twin]
  readonly #capacity: number

  constructor(path: string, capacity: number) {
    this.#capacity = capacity
    this.#files = [this.#create(path), this.#create(`${path}.companion`)]
  }

  #create(path: string): Twin {
    sys.unlink(path)
    const fd = ok(sys.open(path, sys.O.RDWR | sys.O.CREAT | sys.O.EXCL, 0o600), "open")
    return { path, fd, data: Buffer.alloc(this.#capacity), size: 0 }
  }

  /** The operation, then the size that both sides must agree on. */
  run(operation: Operation): void {
    this.#perform(operation)
    this.#checkSize(operation.file)
    if (operation.op === "copy") this.#checkSize(operation.to)
  }

  /** Everything from cold: the pages dropped and the files opened again. */
  finish(): void {
    for (const file of [0, 1] as const) {
      this.#perform({ op: "sync", file, dataOnly: false })
      this.#perform({ op: "drop", file, everything: false })
      this.#perform({ op: "reopen", file })
      this.#checkSize(file)
      this.#verify(this.#files[file])
    }
    this.close()
  }

  close(): void {
    for (const { fd, path } of this.#files) {
      sys.close(fd)
      sys.unlink(path)
    }
  }

  #perform(operation: Operation): void {
    const twin = this.#files[operation.file]
    switch (operation.op) {
      case "read": {
        this.#read(twin, this.#resolve(twin, operation.at), operation.length)
        return
      }
      case "write": {
        this.#write(twin, this.#resolve(twin, operation.at), contents(operation.seed, operation.length))
        return
      }
      case "append": {
        this.#append(twin, contents(operation.seed, operation.length))
        return
      }
      case "truncate": {
        this.#truncate(twin, this.#resolve(twin, operation.at), operation.byPath)
        return
      }
      case "mapRead":
      case "mapWrite": {
        this.#map(twin, operation)
        return
      }
      case "fallocate": {
        this.#fallocate(twin, operation.mode, this.#resolve(twin, operation.at), operation.length)
        return
      }
      case "copy": {
        this.#copy(twin, this.#files[operation.to], operation)
        return
      }
      case "sync":
        ok(operation.dataOnly ? sys.fdatasync(twin.fd) : sys.fsync(twin.fd), "fsync")
        return
      case "seek": {
        this.#seek(twin, this.#resolve(twin, operation.at))
        return
      }
      case "reopen":
        ok(sys.close(twin.fd), "close")
        twin.fd = ok(sys.open(twin.path, sys.O.RDWR), "open")
        return
      case "drop": {
        this.#drop(twin, operation.everything)
        return
      }
      case "verify": {
        this.#verify(twin)
        return
      }
    }
  }

  #resolve(twin: Twin, at: Position): number {
    const offset = at.fromEnd ? twin.size + at.offset : at.offset
    return Math.min(Math.max(offset, 0), this.#capacity - 1)
  }

  #read(twin: Twin, at: number, length: number): void {
    const buffer = Buffer.alloc(length)
    const got = ok(sys.pread(twin.fd, buffer, at), "pread")
    this.#compare(
      `pread at ${at}`,
      at,
      buffer.subarray(0, got),
      Math.min(length, Math.max(twin.size - at, 0)),
      twin,
    )
  }

  #write(twin: Twin, at: number, whole: Buffer): void {
    const data = whole.subarray(0, this.#capacity - at)
    const got = ok(sys.pwrite(twin.fd, data, at), "pwrite")
    if (got !== data.length) throw new Mismatch(`pwrite wrote ${got} of ${data.length} bytes`)
    data.copy(twin.data, at)
    twin.size = Math.max(twin.size, at + data.length)
  }

  #append(twin: Twin, whole: Buffer): void {
    const data = whole.subarray(0, this.#capacity - twin.size)
    const fd = ok(sys.open(twin.path, sys.O.WRONLY | sys.O.APPEND), "open O_APPEND")
    const got = data.length === 0 ? 0 : ok(sys.write(fd, data), "write O_APPEND")
    ok(sys.close(fd), "close")
    if (got !== data.length) throw new Mismatch(`write O_APPEND wrote ${got} of ${data.length} bytes`)
    data.copy(twin.data, twin.size)
    twin.size += data.length
  }

  #truncate(twin: Twin, size: number, byPath: boolean): void {
    ok(byPath ? sys.truncate(twin.path, size) : sys.ftruncate(twin.fd, size), "truncate")
    if (size < twin.size) twin.data.fill(0, size, twin.size)
    twin.size = size
  }

  #map(twin: Twin, operation: Extract<Operation, { op: "mapRead" | "mapWrite" }>): void {
    if (twin.size === 0) return
    const at = this.#resolve(twin, operation.at) % twin.size
    const length = Math.min(operation.length, twin.size - at)
    const start = at - (at % pageSize)
    const mapping = sys.map(twin.fd, start, at - start + length, operation.op === "mapWrite")
    if (typeof mapping === "number") throw new Mismatch(`mmap: ${sys.errnoName(mapping)}`)
    if (operation.op === "mapRead") {
      this.#compare(`mapped read at ${at}`, at, mapping.read(at - start, length), length, twin)
    } else {
      const data = contents(operation.seed, length)
      mapping.write(at - start, data)
      data.copy(twin.data, at)
      if (operation.sync) ok(mapping.sync(), "msync")
    }
    ok(mapping.unmap(), "munmap")
  }

  #fallocate(twin: Twin, mode: Allocation, at: number, wanted: number): void {
    const length = Math.min(wanted, this.#capacity - at)
    ok(sys.fallocate(twin.fd, allocationModes[mode], at, length), `fallocate ${mode}`)
    if (mode !== "allocate" && mode !== "keepSize") {
      twin.data.fill(0, at, Math.max(at, Math.min(at + length, twin.size)))
    }
    if (mode === "allocate" || mode === "zero") twin.size = Math.max(twin.size, at + length)
  }

  #copy(from: Twin, to: Twin, operation: Extract<Operation, { op: "copy" }>): void {
    const at = this.#resolve(from, operation.at)
    const toAt = this.#resolve(to, operation.toAt)
    const length = Math.min(operation.length, Math.max(from.size - at, 0), this.#capacity - toAt)
    const overlaps = from === to && toAt + length > at && toAt < at + length
    if (overlaps) {
      const result = sys.copyFileRange(from.fd, at, to.fd, toAt, length)
      if (length > 0 && result !== -sys.E.EINVAL) throw new Mismatch(`overlapping copy_file_range: ${result}`)
      return
    }
    for (let done = 0; done < length;) {
      const got = ok(
        sys.copyFileRange(from.fd, at + done, to.fd, toAt + done, length - done),
        "copy_file_range",
      )
      if (got === 0) throw new Mismatch(`copy_file_range stopped after ${done} of ${length} bytes`)
      done += got
    }
    from.data.copy(to.data, toAt, at, at + length)
    if (length > 0) to.size = Math.max(to.size, toAt + length)
  }

  #seek(twin: Twin, at: number): void {
    const data = sys.lseek(twin.fd, at, sys.SEEK.DATA)
    const hole = sys.lseek(twin.fd, at, sys.SEEK.HOLE)
    const problem = seekDifference(twin.data.subarray(0, twin.size), at, { data, hole })
    if (problem !== undefined) throw new Mismatch(problem)
  }

  #drop(twin: Twin, everything: boolean): void {
    ok(sys.fdatasync(twin.fd), "fdatasync")
    sys.dropPages(twin.fd)
    const mountpoint = everything ? fuseMountOf(twin.path) : undefined
    if (mountpoint === undefined) return
    // only what is not open is forgotten
    ok(sys.close(twin.fd), "close")
    ok(sys.dropCaches(mountpoint), "reconfigure")
    twin.fd = ok(sys.open(twin.path, sys.O.RDWR), "open")
  }

  #verify(twin: Twin): void {
    const buffer = Buffer.alloc(this.#capacity + 1)
    const got = ok(sys.pread(twin.fd, buffer, 0), "pread")
    this.#compare("whole file", 0, buffer.subarray(0, got), twin.size, twin)
  }

  #checkSize(file: FileIndex): void {
    const twin = this.#files[file]
    const stat = sys.fstat(twin.fd)
    if (typeof stat === "number") throw new Mismatch(`fstat: ${sys.errnoName(stat)}`)
    if (stat.size !== twin.size) throw new Mismatch(`size is ${stat.size}, want ${twin.size}`)
  }

  #compare(what: string, at: number, got: Buffer, wantLength: number, twin: Twin): void {
    const problem = bytesDifference(twin.data.subarray(at, at + wantLength), got)
    if (problem !== undefined) throw new Mismatch(`${what}: ${problem} (file size ${twin.size})`)
  }
}
