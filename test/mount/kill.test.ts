import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { childrenOf } from "../../clawfs/sys/processes.ts"
import { variant, type Patch } from "../crash/variants.ts"
import { sleep } from "../helpers/exec.ts"
import { killAgainAndAgain, loadWhile, printLoad } from "../helpers/kill-load.ts"
import { mountClawfs, temporaryDirectory } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no server to kill in a plain directory"

test("no operation fails and no byte is wrong while the server is killed twenty times under load", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  printLoad(await loadWhile(mount, { trees: 3, seconds: 120 }, () => killAgainAndAgain(mount, 20, 200)))
})

test("no operation fails when the server dies between a commit and its answer", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ env: { CLAWFS_TEST_KILL_AFTER_COMMIT: "400" } })
  const untilItDiedOften = async () => {
    const end = performance.now() + 50_000
    let restarts = 0
    while (restarts <= 10 && performance.now() < end) {
      await sleep(2000)
      restarts = (await mount.status()).server.restarts
    }
    console.log(`${restarts} deaths`)
    expect(restarts).toBeGreaterThan(10)
  }
  printLoad(await loadWhile(mount, { trees: 3, seconds: 60 }, untilItDiedOften))
})

test("with the writeback cache nothing is lost either when the server is killed", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ flags: ["--writeback"] })
  printLoad(await loadWhile(mount, { trees: 2, seconds: 60 }, () => killAgainAndAgain(mount, 7, 300)))
})

test("no operation on an encrypted tree fails and no byte is wrong while the server is killed", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ encrypted: true })
  printLoad(await loadWhile(mount, { trees: 2, seconds: 60 }, () => killAgainAndAgain(mount, 8, 200)))
})

test("a server that is killed while nothing happens is replaced, and locks are still held", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const lock = `${mount.work}/lock`
  const holder = mount.run("flock", [
    "-x",
    lock,
    "sh",
    "-c",
    `touch ${lock}ed; while [ ! -e ${lock}-release ]; do sleep 0.1; done`,
  ])
  await sleep(500)
  await mount.killServerAndWait()
  expect((await mount.exec("flock", ["-n", "-x", lock, "true"])).code).toBe(1)
  await mount.run("touch", [`${lock}-release`])
  await holder
  expect((await mount.exec("flock", ["-n", "-x", lock, "true"])).code).toBe(0)
})

test("a server that is killed while the kernel is made to forget is replaced, though programs wait for both", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  const tree = `${mount.work}/tree`
  await mount.run("sh", ["-c", `mkdir ${tree} && seq 200 | sed 's|^|${tree}/kept-|' | xargs touch`])
  await mount.clawfs(["snapshot", "create", "before", tree])
  // Holds the directory's lock most of the time, which forgetting names takes, and makes names that restoring takes away.
  const script = `until [ -e ${mount.scratch}/stop ]; do seq 40 | sed 's|^|${tree}/new-|' | xargs touch; done`
  const busy = [1, 2].map(() => mount.run("sh", ["-c", script], { timeoutSeconds: 100 }))
  const over = new AbortController()
  const restoring = (async () => {
    // Without a server there is nobody to restore.
    while (!over.signal.aborted) await mount.clawfsAnyway(["snapshot", "restore", "--yes", "before", tree])
  })()
  await killAgainAndAgain(mount, 8, 300)
  over.abort()
  await restoring
  await mount.run("touch", [`${mount.scratch}/stop`])
  await Promise.all(busy)
  await mount.clawfs(["snapshot", "restore", "--yes", "before", tree])
  const { stdout } = await mount.run("sh", ["-c", `ls ${tree} | sort -u | grep -c kept; ls ${tree} | wc -l`])
  expect(stdout).toBe("200\n200\n")
})

/** Empty for a process that has ended. */
function commandOf(pid: number): string {
  const file = `/proc/${pid}/cmdline`
  return existsSync(file) ? readFileSync(file, "latin1") : ""
}

test("the first server is killed before it serves: the mount becomes usable all the same", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  await mount.unmount()
  const state = join(mount.store, "supervisor.json")
  const first = (): number | undefined => {
    if (!existsSync(state)) return undefined
    const { pid } = JSON.parse(readFileSync(state, "utf8")) as { pid: number }
    return childrenOf(pid).find((child) => commandOf(child).includes("server/main.js"))
  }
  const mounted = mount.mountAgain()
  let killed = 0
  await expect.poll(() => (killed = first() ?? 0), { timeout: 30_000, interval: 1 }).not.toBe(0)
  process.kill(killed, "SIGKILL")
  await mounted
  const { server } = await mount.status()
  expect(server.restarts).toBe(1)
})

test("a mount whose servers all die before one serves is none, and a sentence says so", async (context) => {
  skipIf(context, noMount, requireFuse())
  const directory = temporaryDirectory()
  try {
    const patch = { module: "server/fuse-worker", from: "raisePriority(log);", to: "throw new TypeError();" }
    const changed = variant(directory, [patch])
    await using mount = await mountClawfs()
    await mount.unmount()
    const args = [changed, "mount", "--no-index", mount.store, mount.mountpoint]
    const { code, stderr } = await mount.exec(process.execPath, args)
    expect([code, stderr]).toEqual([74, expect.stringContaining("the server died 5 times while it started")])
    expect((await mount.clawfsAnyway(["status", mount.mountpoint])).code).toBe(66)
    await mount.mountAgain()
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test("a server that stands still before it serves is replaced too", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ env: { CLAWFS_TEST_STANDSTILL_MS: "3000" } })
  const supervisor = await mount.supervisorPid()
  const before = await mount.serverPid()
  await mount.killServer()
  // Between fork and exec it is the supervisor's own, which waits for it then.
  const next = (): number | undefined =>
    childrenOf(supervisor).find((pid) => pid !== before && commandOf(pid).includes("server/main.js"))
  let stopped = 0
  await expect.poll(() => (stopped = next() ?? 0), { timeout: 30_000, interval: 1 }).not.toBe(0)
  process.kill(stopped, "SIGSTOP")
  await expect.poll(() => childrenOf(supervisor).includes(stopped), { timeout: 60_000 }).toBe(false)
  const { server } = await mount.status(60_000)
  expect(server.pid).not.toBe(stopped)
  expect(server.restarts).toBeGreaterThanOrEqual(2)
  expect(mount.log()).toContain("the new server stands still: it is killed")
})

/** Kills itself, once asked by a thread of its own: that thread would wait for an answer after the kill, and for ever. */
const TALKS_TO_ITSELF: Patch = {
  module: "server/fuse-worker",
  from: "const opcode = request.readUInt32LE(4);",
  to: `const opcode = request.readUInt32LE(4);
        if (process.getBuiltinModule("node:fs").existsSync("/proc/self/task/" + request.readUInt32LE(32)))
            process.kill(process.pid, "SIGKILL");`,
}

test("no thread of the server waits for its own mount: a killed one could not end", async (context) => {
  skipIf(context, noMount, requireFuse())
  const directory = temporaryDirectory()
  try {
    const changed = variant(directory, [TALKS_TO_ITSELF])
    await using mount = await mountClawfs({ cli: changed, encrypted: true })
    await mount.run("sh", [
      "-c",
      `mkdir -p ${mount.mountpoint}/tools && echo '{}' >${mount.mountpoint}/tools/registry.json`,
    ])
    await mount.dropCaches()
    await mount.killServerAndWait()
    await mount.clawfs(["lock", mount.work])
    await mount.clawfs(["unlock", "--key-file", mount.keyFile, mount.work])
    await mount.clawfs(["snapshot", "create", "now", mount.work])
    await mount.clawfsAnyway(["sandbox", "status", mount.mountpoint])
    expect((await mount.status()).server.restarts).toBe(1)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
