/** What a tool can reach that was granted one port of one host, and what not. */
import { createSocket } from "node:dgram"
import { readdirSync } from "node:fs"
import { createServer, type AddressInfo, type Server } from "node:net"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { sleep, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { controlOf } from "../tools/events.ts"
import {
  hostileProgram,
  installTool,
  lastRecord,
  leftovers,
  requireTools,
  runTool,
  runnerOf,
} from "../tools/tools.ts"

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
/** Tells who has come. */
const linked = createServer((socket) => {
  socket.on("error", () => undefined)
  socket.end(`${socket.remoteAddress}\n`)
})
/** Nobody has granted this one. */
const other = createServer((socket) => socket.destroy())
let now = 0
let most = 0
let port = 0
let otherPort = 0
let linkPort = 0

const listen = (server: Server, host: string): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port))
  })

beforeAll(async () => {
  if (missing() !== undefined) return
  port = await listen(echo, "127.0.0.1")
  otherPort = await listen(other, "::")
  linkPort = await listen(linked, "0.0.0.0")
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
    {
      ...{ tool_id: "linked", interpreter: "/bin/bash", pids_limit: 50, cpu_quota_percent: 100 },
      capabilities: ["process:spawn", `network:link:${linkPort}`, `network:outbound:127.0.0.1:${port}`],
    },
    { script: 'eval "$1"\n' },
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
  linked.close()
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

const links = (): string[] => readdirSync("/sys/class/net").filter((name) => /^clawfs\d+$/.test(name))

test("a tool with a link reaches one port of the machine by an interface of its own, and other grants besides", async (context) => {
  const control = await controlOf(mount, "link")
  skipIf(context, control.state === "absent" ? control.detail : undefined)
  const before = new Set(links())
  const run = async (text: string): Promise<string> => {
    const { stdout, stderr } = await runTool(mount, "linked", [text])
    return stdout + stderr
  }
  expect(await run(`exec 3<>/dev/tcp/clawfs-host/${linkPort}; read -r line <&3; echo "$line"`)).toMatch(
    /^10\.213\.\d+\.\d+\n$/,
  )
  const { packets } = await lastRecord(mount)
  expect(packets?.passed).toBeGreaterThan(4)
  const echoed = `exec 3<>/dev/tcp/127.0.0.1/${port}; echo hello >&3; read -r line <&3; echo "$line"`
  expect(await run(echoed)).toBe("hello\n")
  expect(await run(`exec 3<>/dev/tcp/clawfs-host/${otherPort}`)).toMatch(/denied|not permitted/)
  expect(await run("exec 3<>/dev/tcp/10.255.255.1/80")).toMatch(/denied|not permitted|unreachable/)
  const datagrams = createSocket("udp4")
  let heard = 0
  datagrams.on("message", () => (heard += 1))
  await new Promise<void>((resolve) => void datagrams.bind(linkPort, "0.0.0.0", resolve))
  await run(
    `ip link set eth0 down; ip addr add 10.9.9.9 dev eth0; echo x >/dev/udp/clawfs-host/${linkPort}; sleep 0.2`,
  )
  datagrams.close()
  expect([heard, (await lastRecord(mount)).packets?.dropped]).toEqual([0, expect.any(Number)])
  // Two at a time have an address each.
  const both = `exec 3<>/dev/tcp/clawfs-host/${linkPort}; read -r line <&3; sleep 1; echo "$line"`
  const addresses = await Promise.all([run(both), run(both)])
  expect(new Set(addresses).size).toBe(2)
  expect(await waitUntil(() => links().every((name) => before.has(name)), 30_000)).toBe(true)
})

test("without a port a link is to PostgreSQL's; a port that is none is refused", async () => {
  const asked = { tool_id: "database", capabilities: ["network:link"] }
  await installTool(mount, asked, { script: "#!/bin/sh\n" })
  const { stdout } = await mount.clawfs(["tool", "show", "database", "--mount", mount.mountpoint])
  expect(stdout).toContain("network:link")
  for (const capability of ["network:link:0", "network:link:65536", "network:link:x", "network:link:80:80"])
    await expect(
      installTool(mount, { tool_id: "wrong", capabilities: [capability] }, { script: "#!/bin/sh\n" }),
    ).rejects.toThrow("it must name one port")
  const twice = { tool_id: "wrong", capabilities: ["network:link", "network:link:5432"] }
  await expect(installTool(mount, twice, { script: "#!/bin/sh\n" })).rejects.toThrow("granted twice")
})
