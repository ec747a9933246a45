/** The files of the log, `segments/NNNNNNNN.seg`. */
import { closeSync, fsyncSync, openSync, readdirSync } from "node:fs"
import { join } from "node:path"

export function segmentPath(directory: string, id: number): string {
  return join(directory, `${String(id).padStart(8, "0")}.seg`)
}

/** Numbers of the segments that are there, ascending; other files are passed over. */
export function segmentIds(directory: string): number[] {
  return readdirSync(directory)
    .flatMap((name) => /^(\d{8})\.seg$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/** Names that were made or removed in a directory are on the disk when this returns. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
