/**
 * The disk that every target works on: an ext4 made for this run with the defaults of mkfs.ext4, in a file below
 * --dir, on a loop device with direct I/O. `--raw` works in --dir itself.
 *
 * Why not always --dir: an ext4 without a journal (common below virtual machines and containers) looks at every
 * recently deleted inode before it creates one, so that a benchmark which deletes files makes its own creates
 * slower, from 25 to 160 us on the machine where this was found; and it has no journal commit in an fsync.
 */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { message, run, runNow } from "./command.ts"
import { mountTable, workDir } from "./mounts.ts"

export interface Disk {
  readonly path: string
  readonly description: string
}

const imageBytes = 40 * 2 ** 30

function describe(path: string): string {
  const entry = mountTable()
    .filter(({ path: at }) => path === at || path.startsWith(at === "/" ? "/" : `${at}/`))
    .sort((a, b) => b.path.length - a.path.length)[0]
  return `directory ${path} on ${entry?.type ?? "?"}`
}

export async function prepareDisk(dir: string, raw: boolean): Promise<Disk> {
  const work = workDir(dir)
  if (raw) return { path: work, description: describe(dir) }

  const image = join(work, "disk.img")
  const path = join(work, "disk")
  mkdirSync(path)
  writeFileSync(image, "")
  truncateSync(image, imageBytes)
  try {
    await run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image])
    const device = (await run(["losetup", "--find", "--show", "--direct-io=on", image])).stdout.trim()
    try {
      await run(["mount", "-t", "ext4", device, path])
    } finally {
      // Detaching a mounted device means: with its last unmount.
      runNow(["losetup", "--detach", device])
    }
  } catch (error) {
    return {
      path: work,
      description: `${describe(dir)}, because no image could be mounted: ${message(error)}`,
    }
  }
  return {
    path,
    description: `ext4 with journal (mkfs.ext4 defaults), loop device with direct I/O on ${dir}`,
  }
}

/** Drops page cache, dentries and inodes of everything: what "cold" means for file contents. */
export async function dropAll(): Promise<void> {
  await run(["sync"])
  writeFileSync("/proc/sys/vm/drop_caches", "3")
}

export const megabytesOf = (pid: number): number => {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no VmRSS`)
  return (Number(kib) * 1024) / 1e6
}
