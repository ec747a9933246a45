/**
 * The program that a secret is handed to. If a grant names it by its hash, what runs is a sealed copy of exactly the bytes that
 * were hashed: the file can be exchanged or written to at any time, the copy can't (memfd_create(2), F_SEAL_WRITE).
 */
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs"
import { createHash } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { fcntl } from "../../clawfs/sys/libc.ts"
import { memoryFile } from "../../clawfs/sys/memory-file.ts"

const F_ADD_SEALS = 1033
/** seal, shrink, grow, write */
const ALL_SEALS = 1 | 2 | 4 | 8
const CHUNK = 1024 * 1024
const MOST_PROGRAM_BYTES = 512 * CHUNK

export interface SealedProgram {
  readonly fd: number
  /** SHA-256, hexadecimal. */
  readonly hash: string
}

/** A copy of a program's file. Owner of the descriptor: the caller. */
export function sealedCopy(path: string): SealedProgram {
  const from = openProgram(path)
  const to = memoryFile("clawfs-vault-program", "sealable")
  try {
    const hash = createHash("sha256")
    const chunk = Buffer.allocUnsafeSlow(CHUNK)
    for (let at = 0; ;) {
      const got = readSync(from, chunk, 0, CHUNK, at)
      if (got === 0) break
      const bytes = chunk.subarray(0, got)
      hash.update(bytes)
      for (let done = 0; done < got;) done += writeSync(to, bytes, done)
      at += got
      if (at > MOST_PROGRAM_BYTES) throw new Fault("invalid", `the program ${path} is too large`)
    }
    checked("fcntl", fcntl(to, F_ADD_SEALS, ALL_SEALS))
    return { fd: to, hash: hash.digest("hex") }
  } catch (thrown) {
    closeSync(to)
    throw thrown
  } finally {
    closeSync(from)
  }
}

function openProgram(path: string): number {
  try {
    // A FIFO would wait for a writer otherwise, and everybody else with it.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    if (fstatSync(fd).isFile()) return fd
    closeSync(fd)
  } catch (cause) {
    throw new Fault("not-found", `the program ${path} can't be read`, { cause })
  }
  throw new Fault("invalid", `${path} is no program`)
}
