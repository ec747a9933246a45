/** Files that appear whole or not at all, and are on the disk when the call returns. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { randomUUID } from "node:crypto"
import { basename, dirname, join } from "node:path"

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

export function syncDirectory(path: string): void {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
