/** Limits of directories on a mount: with many programs, with caches in between, and whatever is killed. */
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { sleep, together } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { program } from "../helpers/programs.ts"
import { seed } from "../helpers/reports.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"
import { brokenInvariants } from "../unit/support/invariants.ts"

const MIB = 1 << 20
/** Node 20 has no name for it. */
const EDQUOT = 122
const BYTES = 4 * MIB
const WRITERS = 3

interface Quota {
  readonly limitBytes: number
  readonly usedBytes: number
  readonly usedInodes: number
}

interface Report {
  readonly done: number
  readonly refused: number
  readonly files: number
  readonly bytes: number
  readonly problems: readonly string[]
}

async function limit(mount: Mount, ...options: string[]): Promise<string> {
  const directory = join(mount.work, "limited")
  mkdirSync(directory)
  await mount.clawfs(["quota", "set", directory, ...options])
  return directory
}

async function quotaOf(mount: Mount, directory: string): Promise<Quota> {
  return JSON.parse((await mount.clawfs(["quota", "show", "--json", directory])).stdout) as Quota
}

async function writer(mount: Mount, directory: string, number: number, seconds: number): Promise<Report> {
  const words = ["--seed", String(seed + number), "--seconds", String(seconds), join(directory, `w${number}`)]
  const script = program("test/model/limit-writer.ts")
  const { stdout } = await mount.run(process.execPath, [script, ...words], { timeoutSeconds: seconds + 60 })
  return JSON.parse(stdout) as Report
}

/** Programs write at the limit while `meanwhile` runs; then what they know must be what the quota says. */
async function writeAtLimit(mount: Mount, seconds: number, meanwhile: () => Promise<void>): Promise<void> {
  const directory = await limit(mount, "--bytes", String(BYTES), "--inodes", "14")
  for (let number = 0; number < WRITERS; number += 1) mkdirSync(join(directory, `w${number}`))
  const writers = Array.from({ length: WRITERS }, (_, number) => writer(mount, directory, number, seconds))
  const running = together(writers)
  await meanwhile()
  const reports = await running
  for (const { problems, refused, done } of reports) {
    expect(problems).toEqual([])
    expect(refused).toBeGreaterThan(20)
    expect(done).toBeGreaterThan(20)
  }
  const total = (of: (report: Report) => number): number => reports.reduce((sum, each) => sum + of(each), 0)
  const { usedBytes, usedInodes } = await quotaOf(mount, directory)
  expect(usedInodes).toBe(1 + WRITERS + total(({ files }) => files))
  expect(usedBytes).toBeLessThanOrEqual(BYTES)
  // Holes that an inline piece fills count, and there is no other difference.
  expect(usedBytes).toBe(total(({ bytes }) => bytes))
  console.log(JSON.stringify({ done: total(({ done }) => done), refused: total(({ refused }) => refused) }))
  await mount.unmount()
  expect(brokenInvariants(mount.store)).toEqual([])
  await mount.mountAgain()
  expect(await quotaOf(mount, directory)).toMatchObject({ usedBytes, usedInodes })
}

test("several programs at the limit never exceed it, and what is refused has changed nothing", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await writeAtLimit(mount, 6, async () => {
    for (let look = 0; look < 10; look += 1) {
      await sleep(300)
      const { usedBytes, limitBytes } = await quotaOf(mount, join(mount.work, "limited"))
      expect(usedBytes).toBeLessThanOrEqual(limitBytes)
    }
  })
})

test("the same while the server is killed again and again", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await writeAtLimit(mount, 12, async () => {
    for (let kill = 0; kill < 8; kill += 1) {
      await sleep(300)
      await mount.killServerAndWait()
    }
  })
})

test("what was deleted can be written again at once, a hundred times", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  const directory = await limit(mount, "--bytes", "4M", "--inodes", "2")
  const script = `
    const fs = require("node:fs"), data = Buffer.alloc(${4 * MIB})
    for (let i = 0; i < 100; i += 1) { fs.writeFileSync("file", data); fs.unlinkSync("file") }`
  await mount.run(process.execPath, ["-e", script], { cwd: directory })
})

test("df shows the limit, and truncating makes room", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  const directory = await limit(mount, "--bytes", "8M", "--inodes", "100")
  const file = join(directory, "file")
  writeFileSync(file, Buffer.alloc(3 * MIB))
  const shown = async (what: string): Promise<string[]> =>
    (await mount.run("df", [`--output=${what}`, file])).stdout.trim().split(/\s+/).slice(-3)
  expect(await shown("size,used,avail")).toEqual(["8192", "3072", "5120"])
  expect(await shown("itotal,iused,iavail")).toEqual(["100", "2", "98"])
  expect(() => writeFileSync(join(directory, "other"), Buffer.alloc(6 * MIB))).toThrow(
    expect.objectContaining({ errno: -EDQUOT }),
  )
  expect(statSync(join(directory, "other")).size).toBe(5 * MIB)
  rmSync(join(directory, "other"))
  expect((await mount.exec("fallocate", ["-l", "9M", file])).stderr).toContain("Disk quota exceeded")
  await mount.run("truncate", ["-s", "1T", file])
  expect(await shown("size,used,avail")).toEqual(["8192", "3072", "5120"])
})

test("with the writeback cache fsync tells", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs({ flags: ["--writeback"] })
  const directory = await limit(mount, "--bytes", "1M")
  const { stderr, code } = await mount.exec("dd", [
    ...["if=/dev/zero", `of=${directory}/file`, "bs=64k", "count=32", "conv=fsync", "status=none"],
  ])
  expect([code, stderr]).toEqual([1, expect.stringMatching(/Disk quota exceeded/)])
  const { usedBytes } = await quotaOf(mount, directory)
  expect(usedBytes).toBeGreaterThan(0)
  expect(usedBytes).toBeLessThanOrEqual(MIB)
})
