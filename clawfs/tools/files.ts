/** Files that appear whole or not at all, and are on the disk when the call returns. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs"
import { randomUUID } from "node:crypto"
import { basename, dirname, join } from "node:path"
import { Fault } from "../core/fault.ts"

/** What an interrupted command may leave behind begins so; `clawfs tool gc` removes it. */
export const UNFINISHED = ".new-"

export function writeWhole(path: string, contents: Uint8Array | string, mode: number): void {
  const temporary = join(dirname(path), `${UNFINISHED}${basename(path)}-${randomUUID()}`)
  const fd = openSync(temporary, "wx", mode)
  try {
    const bytes = typeof contents === "string" ? Buffer.from(contents) : contents
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
    fsyncSync(fd)
  } catch (thrown) {
    closeSync(fd)
    rmSync(temporary, { force: true })
    throw thrown
  }
  closeSync(fd)
  renameSync(temporary, path)
  syncDirectory(dirname(path))
}

/**
 * Opens a file to read it, whatever stands in its place: nobody waits for the other end of a FIFO. Throws `Fault("invalid")`
 * for what is no regular file.
 */
export function openRegular(path: string): number {
  // A device is not even opened; what comes in the file's place afterwards is told by its descriptor.
  if (!statSync(path).isFile()) throw new Fault("invalid", `${path} is no file`)
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    if (!fstatSync(fd).isFile()) throw new Fault("invalid", `${path} is no file`)
    return fd
  } catch (thrown) {
    closeSync(fd)
    throw thrown
  }
}

/** Undefined when there is none. */
export function readText(path: string): string | undefined {
  let fd: number
  try {
    fd = openRegular(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  try {
    return readFileSync(fd, "utf8")
  } finally {
    closeSync(fd)
  }
}

export function syncDirectory(path: string): void {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
