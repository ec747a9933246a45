/** `node:fs` with a small disk, which has small segments, so that several fit into a mix; and is full when `disk` says so. */
import type * as Fs from "node:fs"
import { disk } from "./mix-disk.ts"

const PAGE = 4096
/** 128 MiB: a segment is a 32nd of it. */
const BLOCKS = 32 * 1024
const PLENTY = 1 << 20

export function withSmallDisk(fs: typeof Fs): typeof Fs {
  const statfsSync = (path: string): Fs.StatsFs =>
    Object.assign(fs.statfsSync(path), {
      ...{ bsize: PAGE, blocks: BLOCKS, bfree: PLENTY },
      bavail: disk.isFull ? 0 : PLENTY,
    })
  return { ...fs, statfsSync: statfsSync as typeof fs.statfsSync }
}
