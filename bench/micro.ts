/** The rows of the C client: single operations, small writes, sequential input and output, and idle memory. */
import { join } from "node:path"
import { dropAll, megabytesOf } from "./disk.ts"
import type { Bench, Group } from "./group.ts"
import { client, dropArgument, freshDir, microseconds, on, touchMemory } from "./group.ts"
import type { Target } from "./targets.ts"

const mebibytesPerSecond = (nanosecondsPerMebibyte: number | undefined): number =>
  1e9 / (nanosecondsPerMebibyte ?? NaN)

/** First of all groups: the servers have answered nothing but their mount. */
export const memory = (): Group => ({
  name: "memory",
  rows: ["memory.idle"],
  targets: ["clawfs", "passthrough", "gocryptfs", "fuse-native"],
  rounds: 3,
  budgetSeconds: 10,
  round: async (_bench, target) => new Map([["memory.idle", megabytesOf((await target.serverPid?.()) ?? 0)]]),
})

async function microRun(
  bench: Bench,
  target: Target,
  files: number,
  batches: number,
): Promise<Map<string, number>> {
  await touchMemory(bench, 128)
  const dir = await freshDir(target, "micro")
  return microseconds("", await client(bench, target, ["micro", dir, dropArgument(target), files, batches]))
}

/** The first run of each target is not counted: servers in JavaScript are compiled while they run. */
export const micro = ({ isQuick }: { isQuick: boolean }): Group => ({
  name: "micro",
  rows: ["uncached", "hot"],
  targets: ["clawfs", "ext4", "passthrough", "gocryptfs", "fuse-native"],
  rounds: isQuick ? 3 : 7,
  budgetSeconds: isQuick ? 15 : 150,
  prepare: async (bench, target) => {
    await microRun(bench, target, 500, isQuick ? 1 : 2)
  },
  round: (bench, target) => microRun(bench, target, isQuick ? 300 : 500, isQuick ? 1 : 3),
})

const bigFile = (target: Target): string => join(target.dir, "big")

export const small = ({ isQuick }: { isQuick: boolean }): Group => ({
  name: "small",
  rows: ["small"],
  targets: ["clawfs", "ext4", "passthrough", "gocryptfs"],
  rounds: isQuick ? 3 : 5,
  budgetSeconds: isQuick ? 12 : 60,
  prepare: async (bench, target) => {
    const mebibytes = isQuick ? 128 : 1024
    await touchMemory(bench, mebibytes)
    await client(bench, target, ["seq-write", bigFile(target), mebibytes])
  },
  round: async (bench, target) => {
    const [appends, writes, syncs] = bench.isQuick ? [1000, 500, 30] : [5000, 2000, 100]
    await touchMemory(bench, 256)
    const dir = await freshDir(target, "small")
    return microseconds(
      "",
      await client(bench, target, ["small", dir, bigFile(target), appends, writes, syncs]),
    )
  },
  finish: async (_bench, target) => {
    await on(target, ["rm", "-f", bigFile(target)])
  },
})

export const sequential = ({ isQuick }: { isQuick: boolean }): Group => ({
  name: "seq",
  rows: ["seq"],
  targets: ["clawfs", "ext4", "passthrough", "gocryptfs"],
  rounds: 3,
  budgetSeconds: isQuick ? 15 : 150,
  round: async (bench, target) => {
    const mebibytes = bench.isQuick ? 128 : 1024
    const file = join(await freshDir(target, "seq"), "file")
    await touchMemory(bench, mebibytes * 2.5)
    const written = await client(bench, target, ["seq-write", file, mebibytes])
    await dropAll()
    await touchMemory(bench, mebibytes * 2.5)
    const cold = await client(bench, target, ["seq-read", file])
    const warm = await client(bench, target, ["seq-read", file])
    await on(target, ["rm", "-f", file])
    return new Map([
      ["seq.write", mebibytesPerSecond(written.get("write"))],
      ["seq.sync", mebibytesPerSecond(written.get("sync"))],
      ["seq.read.cold", mebibytesPerSecond(cold.get("read"))],
      ["seq.read.warm", mebibytesPerSecond(warm.get("read"))],
    ])
  },
})
