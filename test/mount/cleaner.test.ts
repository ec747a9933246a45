/** The cleaner at work on a mount: space comes back, and nobody notices, whatever is killed meanwhile. */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { sleep, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"
import { search } from "../helpers/searching.ts"

const MIB = 1 << 20
const FILES = 1200

function logBytes(mount: Mount): number {
  const directory = join(mount.store, "segments")
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
}

/** 1,200 files of 200 KB that a checksum describes; then two of three are deleted. */
async function halfEmpty(mount: Mount): Promise<string> {
  const script = `
    cd ${mount.work}
    head -c 200000 /dev/urandom > seed
    for i in $(seq ${FILES}); do { echo $i; cat seed; } > f$i; done
    ls f* | awk 'NR % 3 == 0' | xargs sha256sum > ${join(mount.scratch, "sums")}
    ls f* | awk 'NR % 3 != 0' | xargs rm`
  await mount.run("bash", ["-ec", script])
  return join(mount.scratch, "sums")
}

async function expectWhole(mount: Mount, sums: string): Promise<void> {
  await mount.remount()
  // Anything but 0 is an error here.
  await mount.run("bash", ["-c", `cd ${mount.work} && sha256sum --quiet -c ${sums}`])
}

test("clawfs gc --now gives back what is dead, and every file that is left is the same", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  const sums = await halfEmpty(mount)
  const { stdout } = await mount.clawfs(["gc", "--now", "--json", mount.mountpoint])
  const { deadBytes, liveBytes } = JSON.parse(stdout) as Record<string, number>
  expect(deadBytes).toBeLessThan(0.03 * (liveBytes ?? 0) + MIB)
  const isSmall = await waitUntil(() => logBytes(mount) < FILES * 0.33 * 200_000 + 70 * MIB, 15_000)
  expect(isSmall, `${logBytes(mount)} bytes are left`).toBe(true)
  await expectWhole(mount, sums)
})

/** Deleted segments that some process of the mount still has open: their room has not come back. */
async function heldSegments(mount: Mount): Promise<string> {
  // A descriptor that is closed meanwhile is a line less.
  const script = `for p in $(pgrep -f "$1"); do ls -l /proc/$p/fd 2>/dev/null; done | grep -F "$1/segments/" | grep -F "(deleted)" || :`
  return (await mount.run("bash", ["-c", script, "held", mount.store])).stdout
}

test("no process of the mount keeps a deleted segment open, the search index's included", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs({ index: true })
  const write = `cd ${mount.work}; for i in $(seq 8); do yes "a heldword in line $i" | head -c 200000 > f$i; done`
  await mount.run("bash", ["-ec", write])
  const { results } = await search(mount, "heldword", "--fresh", "-m", "words")
  expect(results).not.toEqual([])
  await mount.run("bash", ["-ec", `rm ${mount.work}/f*; sync ${mount.work}`])
  await mount.clawfs(["gc", "--now", mount.mountpoint])
  const isGone = await waitUntil(() => logBytes(mount) < MIB, 60_000)
  expect(isGone, `${logBytes(mount)} bytes are left`).toBe(true)
  await waitUntil(async () => (await heldSegments(mount)) === "", 60_000)
  expect(await heldSegments(mount)).toBe("")
})

test("clawfs gc --now tells of what meta.db gives back too", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  // As much as a file may have in the database; less in all than what is given back without an order.
  await mount.run("bash", [
    "-ec",
    `cd ${mount.work}; for i in $(seq 600); do head -c 16000 /dev/zero > f$i; done; sync .; rm f*`,
  ])
  const freeBytes = async (): Promise<number> =>
    (
      JSON.parse((await mount.clawfs(["status", mount.mountpoint, "--json"])).stdout) as {
        database: { freeBytes: number }
      }
    ).database.freeBytes
  await waitUntil(async () => (await freeBytes()) > 8 * MIB, 10_000)
  const { stdout } = await mount.clawfs(["gc", "--now", "--json", mount.mountpoint])
  const { givenBackBytes } = JSON.parse(stdout) as Record<string, number>
  expect(givenBackBytes).toBeGreaterThan(8 * MIB)
})

test("it happens by itself too, and goes on where a killed server left it", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  const sums = await halfEmpty(mount)
  for (let kill = 0; kill < 8; kill += 1) {
    await sleep(400 + 50 * kill)
    await mount.killServerAndWait()
  }
  // 80 MB are live: with the slack and the segment that is being filled, no more than this.
  const most = 1.25 * FILES * 0.33 * 200_000 + 2 * 64 * MIB
  const isSmall = await waitUntil(() => logBytes(mount) < most, 60_000)
  expect(isSmall, `${logBytes(mount)} bytes are left`).toBe(true)
  await expectWhole(mount, sums)
})
