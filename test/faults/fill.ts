/** A store on a small disk that programs fill to the last byte. */
import { statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import { together, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { SmallDisk, type DiskKind } from "../helpers/small-disk.ts"

/** Copies a file under new names until the disk is full; prints the names of those that were copied whole. */
const FILL = `
  cd "$1"
  for n in $(seq 100000); do
    if cp "$2" "$3.$n" 2>"$4"; then echo "$3.$n"; else break; fi
  done
  grep -q "No space left on device" "$4" || { cat "$4" >&2; exit 1; }
  rm -f "$3.$n"`

async function fill(mount: Mount, source: string, name: string): Promise<string[]> {
  const complaints = join(mount.scratch, `${name}.err`)
  const args = ["-c", FILL, "fill", mount.work, source, name, complaints]
  const { stdout } = await mount.run("bash", args, { timeoutSeconds: 120 })
  return stdout.split("\n").filter((line) => line !== "")
}

/** Anything but equal files is an error. */
async function expectWhole(mount: Mount, source: string, names: readonly string[]): Promise<void> {
  const list = join(mount.scratch, "list")
  writeFileSync(list, names.join("\n"))
  const script = `cd "$1" && xargs -a "$2" -n 1 cmp "$3"`
  await mount.run("bash", ["-c", script, "check", mount.work, list, source], { timeoutSeconds: 120 })
}

function available(disk: SmallDisk): number {
  const { bavail, bsize } = statfsSync(disk.path)
  return bavail * bsize
}

async function makeSources(mount: Mount): Promise<readonly [string, string]> {
  const [large, small] = [join(mount.scratch, "large"), join(mount.scratch, "small")]
  const script = 'head -c 3000000 /dev/urandom >"$1"; head -c 9000 /dev/urandom >"$2"'
  await mount.run("bash", ["-c", script, "make", large, small])
  return [large, small]
}

/** Programs fill the disk, delete, and go on; nothing of what succeeded is lost. */
export async function fillAndGoOn(kind: DiskKind): Promise<void> {
  using disk = new SmallDisk(kind)
  await using mount = await mountClawfs({ store: join(disk.path, "store") })
  const [large, small] = await makeSources(mount)
  const [larges = [], smalls = [], more = []] = await together([
    fill(mount, large, "large"),
    fill(mount, small, "small"),
    fill(mount, small, "more"),
  ])
  expect(larges.length).toBeGreaterThan(5)
  await expectWhole(mount, large, larges)
  // Full for everybody, and still one can delete.
  await fill(mount, small, "again")
  const gone = larges.slice(0, 5)
  await mount.run(
    "rm",
    gone.map((name) => join(mount.work, name)),
  )
  // What was deleted comes back without being asked for; btrfs itself gives back with its next commit.
  const copy = `for i in $(seq 100); do cp "$1" "$2" 2>/dev/null && exit 0; sync -f "$3"; sleep 0.1; done; exit 1`
  await mount.run("bash", ["-c", copy, "copy", small, join(mount.work, "after"), disk.path])
  await expectWhole(mount, small, [...smalls, ...more, "after"])
  await mount.killServerAndWait()
  await expectWhole(mount, large, larges.slice(5))
  await mount.clawfs(["gc", "--now", mount.mountpoint])
  await mount.run("cp", [large, join(mount.work, "large.again")])
  await mount.remount()
  await expectWhole(mount, large, [...larges.slice(5), "large.again"])
  await expectWhole(mount, small, [...smalls, ...more, "after"])
  await mount.clawfs(["fsck", mount.store])
}

export interface ThinningOptions {
  /** Of the disk: the larger it is, the longer are the segments. */
  readonly mib?: number
  /** One file of so many is deleted. */
  readonly oneIn?: number
  /** So often the server is killed while it cleans. */
  readonly kills?: number
}

const KILL_AFTER_MS = 60

const FILE_BYTES = 200_000

/** What is left on a mount whose disk was full when files were deleted. */
interface Thinned {
  readonly source: string
  readonly kept: readonly string[]
  readonly gone: number
}

/** Programs fill the disk with files of one size and delete some: each segment is partly live, none is empty. */
async function thinOut(mount: Mount, disk: SmallDisk, oneIn: number): Promise<Thinned> {
  const source = join(mount.scratch, "source")
  await mount.run("bash", ["-c", `head -c ${FILE_BYTES} /dev/urandom >"$1"`, "make", source])
  const names = await fill(mount, source, "file")
  expect(names.length).toBeGreaterThan(100)
  // It was full, not only in the way of a WAL that could be cut; what the search index takes comes and goes.
  expect(available(disk)).toBeLessThan(32 << 20)
  const gone = new Set(names.filter((_, index) => index % oneIn === 0))
  await mount.run(
    "rm",
    [...gone].map((name) => join(mount.work, name)),
  )
  return { source, kept: names.filter((name) => !gone.has(name)), gone: gone.size }
}

/** What was deleted comes back without being asked for, though nothing but the reserve is left for copies. */
export async function thinOutAndGoOn(
  kind: DiskKind,
  { mib, oneIn = 2, kills = 0 }: ThinningOptions = {},
): Promise<void> {
  using disk = new SmallDisk(kind, mib)
  await using mount = await mountClawfs({ store: join(disk.path, "store") })
  const { source, kept, gone } = await thinOut(mount, disk, oneIn)
  // Each new server begins with a disk that is full, part of a segment copied, and the reserve given back.
  for (let i = 0; i < kills; i += 1) {
    await sleep(KILL_AFTER_MS * i)
    await mount.killServerAndWait()
  }
  const again = Math.floor(gone / 8)
  const copy = `
    for n in $(seq "$3"); do
      for i in $(seq 600); do cp "$1" "$2.$n" 2>/dev/null && break; sync -f "$4"; sleep 0.1; done
      test $(stat -c %s "$2.$n") = ${FILE_BYTES}
    done`
  const args = [source, join(mount.work, "again"), String(again), disk.path]
  await mount.run("bash", ["-ec", copy, "copy", ...args], { timeoutSeconds: 300 })
  const added = Array.from({ length: again }, (_, index) => `again.${index + 1}`)
  await expectWhole(mount, source, [...kept, ...added])
  await mount.remount()
  await mount.clawfs(["fsck", mount.store])
}

/** ... and all of it at once when it is asked for. */
export async function thinOutAndCollect(kind: DiskKind, { mib, oneIn = 2 }: ThinningOptions): Promise<void> {
  using disk = new SmallDisk(kind, mib)
  await using mount = await mountClawfs({ store: join(disk.path, "store") })
  const { source, kept, gone } = await thinOut(mount, disk, oneIn)
  await mount.clawfs(["gc", "--now", mount.mountpoint])
  const { deadBytes } = (await mount.status()).log
  expect(deadBytes).toBeLessThan(0.05 * gone * FILE_BYTES)
  // Segments that it has emptied are deleted once that is durable.
  const isBack = await waitUntil(() => available(disk) > 0.9 * gone * FILE_BYTES, 30_000)
  expect(isBack).toBe(true)
  await expectWhole(mount, source, kept)
}
