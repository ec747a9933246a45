import { readdirSync } from "node:fs"
import { beforeEach, expect, test } from "vitest"
import { shortSocketPath } from "../../clawfs/sys/socket-path.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import { Random, runs, seed } from "../unit/support/random.ts"
import { RawClient, answers, requestLine } from "../unit/support/socket.ts"

beforeEach((context) => {
  skipIf(
    context,
    plainDirectory === undefined ? undefined : "the control socket needs a mount",
    requireFuse(),
  )
})

/** The daemon answers as before, it is the same process, and the mount works. */
async function expectWell(mount: Mount, path: string, server: number): Promise<void> {
  expect(await answers(path, "status")).toBe(true)
  expect(await answers(path, "sync")).toBe(true)
  expect((await mount.status()).server).toMatchObject({ pid: server, restarts: 0 })
  expect((await mount.run("sh", ["-c", "echo well >f && cat f"], { cwd: mount.work })).stdout).toBe("well\n")
}

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

test("noise, bent requests and endless lines on the control socket leave daemon and mount unharmed", async () => {
  await using mount = await mountClawfs()
  const server = await mount.serverPid()
  using socket = shortSocketPath(mount.store, "control.sock")
  const random = new Random(seed)
  const valid = Buffer.from(requestLine(1, "status"))
  for (let i = 0; i < runs(60); i += 1) {
    await using client = await RawClient.connect(socket.path)
    for (let pieces = random.below(8); pieces >= 0; pieces -= 1) {
      const bent = Buffer.from(valid)
      bent[random.below(bent.length)] = random.below(256)
      client.send(
        random.pick([random.bytes(random.below(3000)), bent, valid.subarray(0, random.below(valid.length))]),
      )
      if (random.below(2) === 0) await new Promise(setImmediate)
    }
    if (random.below(3) > 0) continue
    client.send(`\n${requestLine(4711, "status")}`)
    await client.lines(1)
  }
  await using endless = await RawClient.connect(socket.path)
  for (let i = 0; i < 256; i += 1) endless.send(Buffer.alloc(64 * 1024, "["))
  await endless.closed()
  await expectWell(mount, socket.path, server)
})

test("many clients, half-open and silent ones too, leave room for others and no descriptor behind", async () => {
  await using mount = await mountClawfs()
  const server = await mount.serverPid()
  using socket = shortSocketPath(mount.store, "control.sock")
  const before = descriptors(server)
  const clients: RawClient[] = []
  for (let i = 0; i < 200; i += 1) {
    const client = await RawClient.connect(socket.path)
    client.send(i % 3 === 0 ? requestLine(i, "status") : '{"v":1,')
    if (i % 5 === 0) client.endWriting()
    clients.push(client)
  }
  // Programs on the mount don't notice that the socket is crowded.
  expect((await mount.run("ls", [mount.mountpoint])).stdout).toContain("workspaces")
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
  expect(await waitUntil(() => descriptors(server) <= before, 30_000)).toBe(true)
  await expectWell(mount, socket.path, server)
})

test("clients that are in the middle of something do not hold up an unmount", async () => {
  await using mount = await mountClawfs()
  using socket = shortSocketPath(mount.store, "control.sock")
  await using silent = await RawClient.connect(socket.path)
  await using half = await RawClient.connect(socket.path)
  half.send('{"v":1,"id":1,"method":"st')
  await using asking = await RawClient.connect(socket.path)
  asking.send(requestLine(1, "status").repeat(50))
  await mount.unmount()
  for (const client of [silent, half, asking]) await client.closed()
  await mount.mountAgain()
  using again = shortSocketPath(mount.store, "control.sock")
  expect(await answers(again.path, "status")).toBe(true)
})
