/**
 * Cost per operation in a directory of 10^3, 10^4, 10^5 (and with --million 10^6) files, uncached, and the server's
 * memory with a million. Every size has a store and a server of its own, so that the sizes can be interleaved.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { megabytesOf } from "./disk.ts"
import { message } from "./command.ts"
import type { Bench, Group } from "./group.ts"
import { client, dropArgument, freshDir, touchMemory } from "./group.ts"
import type { Target } from "./targets.ts"
import { startClawfs } from "./targets.ts"

const million = 1_000_000
const fileBytes = 100
const operations = 500

interface Place {
  readonly size: number
  readonly target: Target
  readonly dir: string
}

const label = (size: number): string => `1e${Math.log10(size)}`

async function startPlace(bench: Bench, target: Target, size: number): Promise<Place> {
  if (target.name !== "clawfs") return { size, target, dir: await freshDir(target, `growth-${label(size)}`) }
  const base = join(bench.disk, `clawfs-${label(size)}`)
  mkdirSync(base)
  const instance = await startClawfs(base, bench.guard)
  return { size, target: instance, dir: await freshDir(instance, "growth") }
}

/** The server's memory after a million creates and after a walk over them, whichever is more. */
async function memoryOfMillion(bench: Bench, place: Place): Promise<number> {
  const pid = (await place.target.serverPid?.()) ?? 0
  const filled = megabytesOf(pid)
  await client(bench, place.target, ["walk", place.dir], 60_000 + million)
  return Math.max(filled, megabytesOf(pid))
}

async function measure(
  bench: Bench,
  { size, target, dir }: Place,
  batches: number,
): Promise<Map<string, number>> {
  return client(bench, target, ["grow", dir, dropArgument(target), size, operations, batches], 60_000 + size)
}

/** Warms a server up with as many operations whatever its size: a large fill alone would compile more of it. */
async function prepare(
  bench: Bench,
  target: Target,
  size: number,
  result: Map<string, number>,
): Promise<Place> {
  await touchMemory(bench, size >= 100_000 ? 512 : 64)
  const place = await startPlace(bench, target, size)
  await client(bench, place.target, ["fill", place.dir, 0, size, fileBytes], 60_000 + size)
  if (size === million && target.name === "clawfs") {
    result.set("memory.million", await memoryOfMillion(bench, place))
  }
  await measure(bench, place, bench.isQuick ? 1 : 4)
  return place
}

export const growth = ({ isQuick, wantsMillion }: { isQuick: boolean; wantsMillion: boolean }): Group => {
  const sizes = [1_000, 10_000, ...(isQuick ? [] : [100_000]), ...(wantsMillion ? [million] : [])]
  const places = new Map<Target, Place[]>()
  const once = new Map<Target, Map<string, number>>()
  return {
    name: "growth",
    rows: ["growth", ...(wantsMillion ? ["memory.million"] : [])],
    targets: ["clawfs", "ext4"],
    rounds: isQuick ? 3 : 5,
    budgetSeconds: isQuick ? 10 : 90,
    prepare: async (bench, target) => {
      const result = new Map<string, number>()
      const started: Place[] = []
      for (const size of sizes) {
        try {
          started.push(await prepare(bench, target, size, result))
        } catch (error) {
          throw new Error(`${label(size)} files: ${message(error)}`, { cause: error })
        }
      }
      places.set(target, started)
      once.set(target, result)
    },
    round: async (bench, target) => {
      const measured: [Place, Map<string, number>][] = []
      for (const place of places.get(target) ?? [])
        measured.push([place, await measure(bench, place, isQuick ? 1 : 2)])
      const result = new Map(once.get(target))
      once.delete(target)
      const [, smallest = new Map<string, number>()] = measured[0] ?? []
      for (const [row, base] of smallest) {
        for (const [{ size }, figures] of measured) {
          result.set(`growth.${row}.${label(size)}`, (figures.get(row) ?? NaN) / 1000)
        }
        for (const [{ size }, figures] of measured.slice(1)) {
          result.set(`growth.${row}.${label(size)}.ratio`, (figures.get(row) ?? NaN) / base)
        }
      }
      return result
    },
  }
}
