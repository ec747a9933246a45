/** What a tool can reach that was granted one port of one host, and what not. */
import { createSocket } from "node:dgram"
import { createServer, type AddressInfo, type Server } from "node:net"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { sleep, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { hostileProgram, installTool, leftovers, requireTools, runTool, runnerOf } from "../tools/tools.ts"

const missing = (): string | undefined =>
  requireTools() ??
  (process.getuid?.() === 0 ? undefined : "only root's daemon can grant network connections")

let mount: Mount
/** Answers with what it is told; how many it had at the same time. */
const echo = createServer((socket) => {
  most = Math.max(most, ++now)
  socket.on("error", () => undefined)
  socket.once("close", () => (now -= 1))
  socket.pipe(socket)
})
/** Nobody has granted this one. */
const other = createServer((socket) => socket.destroy())
let now = 0
let most = 0
let port = 0
let otherPort = 0

const listen = (server: Server, host: string): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port))
  })

beforeAll(async () => {
  if (missing() !== undefined) return
  port = await listen(echo, "127.0.0.1")
  otherPort = await listen(other, "::")
  mount = await mountClawfs({ limitSeconds: 300 })
  const capabilities = [
    ...["process:spawn", `network:outbound:127.0.0.1:${port}`],
    ...["network:outbound:nobody.example.invalid:443", "network:outbound:10.255.255.1:80"],
  ]
  const manifest = { capabilities, pids_limit: 200, cpu_quota_percent: 100 }
  await installTool(
    mount,
    { tool_id: "shell", ...manifest, interpreter: "/bin/bash" },
    { script: 'eval "$1"\n' },
    "--yes",
  )
  await installTool(
    mount,
    { tool_id: "hostile", ...manifest },
    { path: await hostileProgram(mount) },
    "--yes",
  )
})
afterAll(async () => {
  echo.close()
  other.close()
  if (missing() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, missing()))

const shell = async (text: string): Promise<string> => {
  const { stdout, stderr } = await runTool(mount, "shell", [text])
  return stdout + stderr
}

test("a program reaches what is granted, as if it were there, half-closed connections too", async () => {
  const said = await shell(
    `exec 3<>/dev/tcp/127.0.0.1/${port}; echo hello >&3; read -r line <&3; echo "$line"`,
  )
  expect(said).toBe("hello\n")
  const much = await shell(
    `exec 3<>/dev/tcp/127.0.0.1/${port}; (head -c 2000000 /dev/zero >&3) & head -c 2000000 <&3 | wc -c`,
  )
  expect(much.trim()).toBe("2000000")
})

test("nothing else: other ports, addresses, IPv6, UDP, names", async () => {
  // Denied by Landlock where the kernel has it; else nobody listens there.
  expect(await shell(`exec 3<>/dev/tcp/127.0.0.1/${otherPort}`)).toMatch(/Permission denied|refused/)
  expect(await shell(`exec 3<>/dev/tcp/::1/${otherPort}`)).toMatch(/denied|refused|unreachable|assign/)
  expect(await shell(`exec 3<>/dev/tcp/1.1.1.1/${port}`)).toContain("Network is unreachable")
  expect(await shell(`exec 3<>/dev/tcp/10.255.255.2/80`)).toContain("Network is unreachable")
  expect(await shell("getent hosts example.org || echo none")).toBe("none\n")
  const socket = createSocket("udp4")
  let heard = 0
  socket.on("message", () => (heard += 1))
  await new Promise<void>((resolve) => void socket.bind(port, "127.0.0.1", resolve))
  await shell(`echo x >/dev/udp/127.0.0.1/${port}`)
  await sleep(100)
  socket.close()
  expect(heard).toBe(0)
  for (const [attack, argument] of [
    ...[
      ["bind-port", String(port)],
      ["tcp6", String(otherPort)],
      ["tcp", String(otherPort)],
      ["internet", ""],
    ],
    ...[
      ["dns", ""],
      ["from-5432", ""],
      ["raw-socket", ""],
      ["packet-socket", ""],
      ["netlink-socket", ""],
    ],
    ["descriptors", ""],
  ] as const)
    expect([attack, (await runTool(mount, "hostile", [attack, argument])).code]).toEqual([attack, 0])
})

test("a granted name has an address inside; where it leads is found out outside", async () => {
  expect(await shell("getent hosts nobody.example.invalid")).toMatch(/^127\.101\.0\.1 +nobody/)
  const said = await shell("exec 3<>/dev/tcp/nobody.example.invalid/443; read -r line <&3 || echo over")
  expect(said).toContain("over")
})

test("so many connections at a time and no more, and none when the tool has ended", async () => {
  most = 0
  const open = `for i in $(seq 80); do exec {fd}<>/dev/tcp/127.0.0.1/${port}; done; sleep 0.3; echo done`
  expect(await shell(open)).toContain("done")
  expect(most).toBeGreaterThan(32)
  expect(most).toBeLessThanOrEqual(64)
  expect(await waitUntil(() => now === 0, 30_000)).toBe(true)
  const runner = runnerOf(await mount.serverPid())
  expect(await waitUntil(() => leftovers(runner).length === 0, 30_000)).toBe(true)
})

test("an address of a private network is granted by --yes alone", async () => {
  const manifest = { tool_id: "private", capabilities: ["network:outbound:169.254.169.254:80"] }
  await expect(installTool(mount, manifest, { script: "#!/bin/sh\n" })).rejects.toThrow("wants a lot")
})
