/** The scrub of a mounted store: it ends, it finds damage once, it goes on where it was, and the cleaner may work meanwhile. */
import { closeSync, openSync, readFileSync, readSync, readdirSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"

interface Scrub {
  readonly state: "running" | "stopped" | "idle"
  readonly doneBytes: number
  readonly errors: number
  readonly findings: readonly { readonly path?: string; readonly kind: string }[]
  readonly last?: { readonly finished: number; readonly bytes: number; readonly errors: number }
}

const FILES = 60

async function fill(mount: Mount): Promise<void> {
  const script = `
    cd ${mount.work}
    for i in $(seq ${FILES}); do head -c 300000 /dev/urandom > f$i; done
    echo small > small
    sync -f small`
  await mount.run("bash", ["-ec", script])
}

async function statusOf(mount: Mount): Promise<Scrub> {
  // With damage the status is "no".
  const { stdout } = await mount.clawfsAnyway(["scrub", "status", "--json", mount.mountpoint])
  return JSON.parse(stdout) as Scrub
}

/** Flips a bit in the middle of the first segment. */
function damage(mount: Mount): void {
  const [name = ""] = readdirSync(join(mount.store, "segments"))
  const path = join(mount.store, "segments", name)
  const fd = openSync(path, "r+")
  const byte = Buffer.alloc(1)
  const at = Math.floor(statSync(path).size / 2)
  readSync(fd, byte, 0, 1, at)
  writeSync(fd, Buffer.from([byte.readUInt8() ^ 4]), 0, 1, at)
  closeSync(fd)
}

function told(mount: Mount): number {
  const log = readFileSync(join(mount.store, "clawfs.log"), "utf8")
  return log.split("\n").filter((line) => line.includes("the store is damaged")).length
}

test("a whole store is found whole, and damage is named and logged once", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await fill(mount)
  await mount.clawfs(["scrub", "start", "--wait", "--limit", "0", mount.mountpoint])
  const whole = await statusOf(mount)
  expect(whole).toMatchObject({ state: "idle", errors: 0, findings: [] })
  expect(whole.last?.bytes).toBeGreaterThan(FILES * 250_000)
  damage(mount)
  for (let pass = 0; pass < 2; pass += 1) {
    const { code, stdout } = await mount.clawfsAnyway([
      "scrub",
      "start",
      "--wait",
      "--limit",
      "0",
      "--json",
      mount.mountpoint,
    ])
    const found = JSON.parse(stdout) as Scrub
    expect([code, found.errors]).toEqual([1, 1])
    expect(found.findings[0]?.path).toMatch(/\/f\d+$/)
    expect(told(mount)).toBe(1)
  }
  const { stdout } = await mount.clawfs(["status", mount.mountpoint])
  expect(stdout).toMatch(/scrub +idle\n.*1 damaged/)
})

test("it goes on where it was, after an order, a kill and an unmount, and the cleaner may delete what it reads", async (context) => {
  skipIf(context, requireFuse())
  await using mount = await mountClawfs()
  await fill(mount)
  await mount.clawfs(["scrub", "start", "--limit", "4", mount.mountpoint])
  await mount.clawfsAnyway(["scrub", "start", mount.mountpoint])
  expect((await statusOf(mount)).state).toBe("running")
  await mount.clawfs(["scrub", "stop", mount.mountpoint])
  expect((await statusOf(mount)).state).toBe("stopped")
  await mount.killServerAndWait()
  expect((await statusOf(mount)).state).toBe("stopped")
  await mount.clawfs(["scrub", "start", "--limit", "4", mount.mountpoint])
  await mount.killServerAndWait()
  expect(await waitUntil(async () => (await statusOf(mount)).state === "running", 10_000)).toBe(true)
  await mount.run("bash", ["-ec", `rm ${join(mount.work, "f[1-5]*")}`])
  await mount.clawfs(["gc", "--now", mount.mountpoint])
  await mount.remount()
  const isDone = await waitUntil(async () => (await statusOf(mount)).state === "idle", 60_000)
  expect(isDone, JSON.stringify(await statusOf(mount))).toBe(true)
  expect(await statusOf(mount)).toMatchObject({ state: "idle", errors: 0 })
})
