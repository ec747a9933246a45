/** What a link lets pass, packet by packet, in a network namespace that nothing else is in; tool-network.test.ts has tools with one. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdirSync, readlinkSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { createServer, type AddressInfo } from "node:net"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { Link, machineAddress, otherRouteIn } from "../../clawfs/runner/link.ts"
import { LinkProgram } from "../../clawfs/runner/link-program.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { bindSocket, socket, write } from "../../clawfs/sys/libc.ts"
import { inNetworkOf, ipv4Bytes } from "../../clawfs/sys/network-namespace.ts"
import { interfaceIndex } from "../../clawfs/sys/rtnetlink.ts"
import { exec, waitUntil } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"

const AF_PACKET = 17
const SOCK_RAW = 3
const TCP = 6
const UDP = 17
/** In a network of their own, so that tools of other tests are not among them. */
const NETWORK = "10.212"
const MACHINE = machineAddress({ network: NETWORK })

const program = LinkProgram.load(false)
const missing = (): string | undefined =>
  program instanceof LinkProgram ? requirePrograms("unshare", "nsenter") : program.detail

const server = createServer((one) => {
  one.on("error", () => undefined)
  one.pipe(one)
})
let port = 0
let sandbox: ChildProcess
let link: Link
/** Of the machine's end. */
let name = ""
let tool = ""

beforeAll(async () => {
  if (missing() !== undefined || !(program instanceof LinkProgram)) return
  port = await new Promise((resolve) => {
    server.listen(0, "0.0.0.0", () => resolve((server.address() as AddressInfo).port))
  })
  sandbox = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" })
  expect(await waitUntil(() => isApart(sandbox), 30_000)).toBe(true)
  link = new Link(pid(), {
    program,
    grant: { ports: [port], network: NETWORK },
    others: [],
    group: undefined,
  })
  ;({ name, tool } = link)
})
afterAll(async () => {
  server.close()
  if (!(program instanceof LinkProgram)) return
  link[Symbol.dispose]()
  sandbox.kill("SIGKILL")
  // It goes with the namespace, at the latest.
  expect(await waitUntil(() => !existsSync(`/sys/class/net/${name}`), 30_000)).toBe(true)
  program[Symbol.dispose]()
})
beforeEach((context) => skipIf(context, missing()))

const pid = (): number => sandbox.pid ?? -1

interface Frame {
  readonly from?: string
  readonly to?: string
  readonly fromPort?: number
  readonly toPort?: number
  readonly protocol?: number
  readonly fragment?: number
  readonly version?: number
}

/** The beginning of a connection, or what is said otherwise. */
function frame(type: number, frame: Frame): Buffer {
  const ip = Buffer.alloc(20)
  ip[0] = frame.version ?? 0x45
  ip.writeUInt16BE(40, 2)
  ip.writeUInt16BE(frame.fragment ?? 0, 6)
  ip[8] = 64
  ip[9] = frame.protocol ?? TCP
  ipv4Bytes(frame.from ?? tool).copy(ip, 12)
  ipv4Bytes(frame.to ?? MACHINE).copy(ip, 16)
  const tcp = Buffer.alloc(20)
  tcp.writeUInt16BE(frame.fromPort ?? 40_000, 0)
  tcp.writeUInt16BE(frame.toPort ?? port, 2)
  tcp[12] = 0x50
  return Buffer.concat([head(type), ip, tcp])
}

function arp(sender: string, target: string): Buffer {
  const body = Buffer.alloc(28)
  body.writeUInt16BE(1, 0)
  body.writeUInt16BE(0x0800, 2)
  body[4] = 6
  body[5] = 4
  body.writeUInt16BE(1, 6)
  ipv4Bytes(sender).copy(body, 14)
  ipv4Bytes(target).copy(body, 24)
  return Buffer.concat([head(0x0806), body])
}

/** To everybody, from a made-up address. */
function head(type: number): Buffer {
  const bytes = Buffer.from("ffffffffffff020000000001", "hex")
  return Buffer.concat([bytes, Buffer.from([type >> 8, type & 0xff])])
}

/** Puts a frame on the wire as no socket of TCP would. */
function sendRaw(side: "tool" | "machine", bytes: Buffer): void {
  const send = (device: string): void => {
    const fd = checked("socket", socket(AF_PACKET, SOCK_RAW, 0))
    try {
      const address = Buffer.alloc(20)
      address.writeUInt16LE(AF_PACKET, 0)
      address.writeInt32LE(interfaceIndex(device), 4)
      checked("bind", bindSocket(fd, address, address.length))
      checked("write", write(fd, bytes, bytes.length))
    } finally {
      closeSync(fd)
    }
  }
  if (side === "machine") send(name)
  else inNetworkOf(pid(), () => send("eth0"))
}

/** Whether the frame has passed; one of the two counters must tell. */
async function passes(side: "tool" | "machine", bytes: Buffer): Promise<boolean> {
  const before = link.counts
  sendRaw(side, bytes)
  // IPv6 of the kernel's own is dropped meanwhile, now and then: that counts there alone.
  await waitUntil(() => link.counts.passed + link.counts.dropped > before.passed + before.dropped, 30_000)
  return link.counts.passed > before.passed
}

const inside = (text: string): ReturnType<typeof exec> =>
  exec("nsenter", ["--target", String(pid()), "--net", "timeout", "30", "bash", "-c", text])

test("a connection to a granted port of the machine, with as much as is wanted", async () => {
  const { stdout } = await inside(
    `exec 3<>/dev/tcp/${MACHINE}/${port}; (head -c 3000000 /dev/zero >&3) & head -c 3000000 <&3 | wc -c`,
  )
  expect(stdout.trim()).toBe("3000000")
})

test("nothing that was not granted leaves the tool's end", async () => {
  expect(await passes("tool", frame(0x0800, {}))).toBe(true)
  const evil: Frame[] = [
    { toPort: port + 1 },
    // From the granted port: it would reach anything if that counted.
    { fromPort: port, toPort: 22 },
    { to: "10.255.255.1" },
    { to: "127.0.0.1" },
    { from: MACHINE, to: tool },
    { from: "10.255.255.1" },
    { protocol: UDP },
    { protocol: 1 },
    // More of them follow; the second one, whose ports are data; options, behind which ports would lie elsewhere.
    { fragment: 0x2000 },
    { fragment: 3 },
    { version: 0x46 },
  ]
  for (const each of evil) expect([each, await passes("tool", frame(0x0800, each))]).toEqual([each, false])
  for (const type of [0x86dd, 0x8100, 0x88a8, 0x8847])
    expect([type, await passes("tool", frame(type, {}))]).toEqual([type, false])
  expect(await passes("tool", frame(0x0800, {}).subarray(0, 33))).toBe(false)
  expect(await passes("tool", arp(tool, MACHINE))).toBe(true)
  expect(await passes("tool", arp("10.255.255.1", MACHINE))).toBe(false)
  expect(await passes("tool", arp(tool, "10.255.255.1"))).toBe(false)
})

test("nothing but answers reaches the tool's end", async () => {
  const answer = { from: MACHINE, to: tool, fromPort: port, toPort: 40_000 }
  expect(await passes("machine", frame(0x0800, answer))).toBe(true)
  const evil: Frame[] = [
    { ...answer, fromPort: port + 1 },
    { ...answer, fromPort: 40_000, toPort: port },
    { ...answer, from: "10.255.255.1" },
    { ...answer, protocol: UDP },
    { ...answer, fragment: 0x2000 },
  ]
  for (const each of evil) expect([each, await passes("machine", frame(0x0800, each))]).toEqual([each, false])
})

test("a connection to a port that is not granted ends in nothing, from either side", async () => {
  const { code } = await inside(`timeout 2 bash -c 'exec 3<>/dev/tcp/${MACHINE}/22'`)
  expect(code).not.toBe(0)
  const { dropped } = link.counts
  const { code: refused } = await exec("timeout", ["2", "bash", "-c", `exec 3<>/dev/tcp/${tool}/${port}`])
  expect(refused).not.toBe(0)
  expect(link.counts.dropped).toBeGreaterThan(dropped)
})

test("a link that has been closed lets nothing pass any more", async () => {
  if (!(program instanceof LinkProgram)) throw new Error("no program")
  const other = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" })
  try {
    expect(await waitUntil(() => isApart(other), 30_000)).toBe(true)
    const grant = { ports: [port], network: NETWORK }
    const second = new Link(other.pid ?? -1, { program, grant, others: [], group: undefined })
    const connect = (): ReturnType<typeof exec> =>
      exec("nsenter", [
        ...["--target", String(other.pid), "--net", "timeout", "3", "bash", "-c"],
        `exec 3<>/dev/tcp/${MACHINE}/${port}; echo hello >&3; read -r line <&3; echo "$line"`,
      ])
    expect((await connect()).stdout).toBe("hello\n")
    second[Symbol.dispose]()
    expect((await connect()).stdout).toBe("")
    second.remove()
    expect(existsSync(`/sys/class/net/${second.name}`)).toBe(false)
    // Nothing is left to remove.
    second.remove()
  } finally {
    other.kill("SIGKILL")
  }
})

/** Of control groups of version 2, which machines with version 1 may have beside them. */
const groupRoot = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((each) =>
  existsSync(join(each, "cgroup.controllers")),
)

test("with control groups of version 2 connect(2) itself is refused", async (context) => {
  skipIf(context, groupRoot === undefined ? "no control groups of version 2" : undefined)
  const group = join(groupRoot ?? "", `clawfs-test-${process.pid}`)
  mkdirSync(group)
  using both = LinkProgram.load(true) as LinkProgram
  const other = spawn("unshare", ["--net", "bash", "-c", "ip link set lo up; sleep 600"], { stdio: "ignore" })
  try {
    expect(await waitUntil(() => isApart(other), 30_000)).toBe(true)
    const grant = { ports: [port], network: NETWORK }
    const others = [{ address: "127.0.0.1", port: 7 }]
    using _ = new Link(other.pid ?? -1, { program: both, grant, others, group })
    const attempt = async (to: string): Promise<string> => {
      const text = `echo $$ >${group}/cgroup.procs; exec nsenter --target ${other.pid} --net timeout 5 bash -c '${to}'`
      return (await exec("bash", ["-c", text])).stderr
    }
    expect(await attempt(`exec 3<>/dev/tcp/${MACHINE}/${port}`)).toBe("")
    expect(await attempt(`exec 3<>/dev/tcp/127.0.0.1/7`)).toContain("Connection refused")
    for (const place of [
      `tcp/${MACHINE}/22`,
      `udp/${MACHINE}/${port}`,
      "tcp/127.0.0.1/22",
      "tcp/10.1.1.1/443",
      "tcp/::1/443",
    ])
      expect([place, await attempt(`exec 3<>/dev/${place}`)]).toEqual([
        place,
        expect.stringContaining("Operation not permitted"),
      ])
  } finally {
    other.kill("SIGKILL")
    expect(await waitUntil(() => isRemoved(group), 30_000)).toBe(true)
  }
})

const isApart = ({ pid: of }: ChildProcess): boolean =>
  readlinkSync(`/proc/${of}/ns/net`) !== readlinkSync("/proc/self/ns/net")

function isRemoved(directory: string): boolean {
  try {
    rmdirSync(directory)
    return true
  } catch {
    // The last process is still being taken out of it.
    return false
  }
}

test("a network that another interface has a route into is noticed", () => {
  const title = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
  const line = (device: string, destination: string, mask: string): string =>
    `${device} ${destination} 00000000 0001 0 0 0 ${mask} 0 0 0\n`
  // 10.213.5.0/24, 10.213.0.0/16; 10.0.0.0/8 and the default route are wider: ours are more exact.
  expect(otherRouteIn("10.213", title + line("vpn0", "0005D50A", "00FFFFFF"))).toBe("vpn0")
  expect(otherRouteIn("10.213", title + line("vpn0", "0000D50A", "0000FFFF"))).toBe("vpn0")
  expect(otherRouteIn("10.213", title + line("vpn0", "0000000A", "000000FF"))).toBeUndefined()
  expect(otherRouteIn("10.213", title + line("eth0", "00000000", "00000000"))).toBeUndefined()
  expect(otherRouteIn("10.213", title + line("clawfs7", "0705D50A", "FFFFFFFF"))).toBeUndefined()
  expect(otherRouteIn("10.214", title + line("vpn0", "0005D50A", "00FFFFFF"))).toBeUndefined()
})

test("what the kernel still wants to send keeps the namespace, but not the interfaces", async () => {
  if (!(program instanceof LinkProgram)) throw new Error("no program")
  const script = `read -r go; exec 3<>/dev/tcp/${MACHINE}/${port}; echo hello >&3; read -r line <&3; echo "$line"; read -r go`
  const other = spawn("unshare", ["--net", "bash", "-c", script], { stdio: ["pipe", "pipe", "ignore"] })
  try {
    expect(await waitUntil(() => isApart(other), 30_000)).toBe(true)
    const grant = { ports: [port], network: NETWORK }
    const third = new Link(other.pid ?? -1, { program, grant, others: [], group: undefined })
    const heard = once(other.stdout, "data")
    other.stdin.write("go\n")
    expect(String(await heard)).toBe("hello\n")
    // The end of its connection reaches nobody: the kernel would try for minutes.
    third[Symbol.dispose]()
    const ended = once(other, "exit")
    other.kill("SIGKILL")
    await ended
    third.remove()
    expect(existsSync(`/sys/class/net/${third.name}`)).toBe(false)
  } finally {
    other.kill("SIGKILL")
  }
})
