/** The program in the kernel: whom it watches, what it counts, and, where BPF LSM loads, what it denies. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { MarkFlag, MonitorProgram, RING_BYTES, type Mark } from "../../../clawfs/monitor/program.ts"
import { BpfRing } from "../../../clawfs/sys/bpf-ring.ts"
import { ProcessHandle } from "../../../clawfs/sys/processes.ts"
import { readRecord, type MonitorRecord } from "../../../schema/events.ts"
import { skipIf } from "../../helpers/requirements.ts"

let directory: string
let program: MonitorProgram | undefined
let ring: BpfRing
let missing: string | undefined
let nextRun = 1

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "monitor-"))
  const loaded = MonitorProgram.load(false)
  if (loaded instanceof MonitorProgram) {
    program = loaded
    loaded.looksAtCalls = true
    ring = new BpfRing(loaded.ring.fd, RING_BYTES)
  } else missing = `no monitor here: ${loaded.reason}`
})
afterAll(() => {
  if (missing === undefined) ring[Symbol.dispose]()
  program?.[Symbol.dispose]()
  rmSync(directory, { recursive: true })
})
beforeEach((context) => skipIf(context, missing))

function loaded(): MonitorProgram {
  if (program === undefined) throw new Error("not loaded")
  return program
}

const requireLsm = (): string | undefined =>
  program?.withoutLsm === undefined ? undefined : `BPF LSM: ${program.withoutLsm}`

interface Watched {
  readonly mark: Mark
  readonly stdout: string
  readonly records: readonly MonitorRecord[]
  readonly discarded: number
}

/** Marks a process that has printed "ready" and waits for a line, lets it go on, and returns what it prints then. */
async function runMarked([name = "", ...args]: string[], mark: Mark, cap: number): Promise<string> {
  const child = spawn(name, args, { stdio: ["pipe", "pipe", "inherit"] })
  let stdout = ""
  const isReady = new Promise((resolve) => child.stdout.once("data", resolve))
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  const closed = new Promise((resolve) => child.once("close", resolve))
  await isReady
  using handle = new ProcessHandle(child.pid ?? 0)
  loaded().mark(handle.fd, mark, cap, undefined)
  child.stdin.end("go\n")
  await closed
  return stdout.replace("ready\n", "")
}

/** Runs a shell's text, marked before it begins. `before`: what is to be set for the run. */
async function watch(
  text: string,
  {
    flags = 0,
    cap = 1_000_000,
    before,
  }: { flags?: number; cap?: number; before?: (run: number) => void } = {},
): Promise<Watched> {
  const mark: Mark = { slot: nextRun, run: nextRun, flags }
  nextRun += 1
  before?.(mark.run)
  const stdout = await runMarked(["/bin/sh", "-c", `echo ready; read go; ${text}`], mark, cap)
  const records: MonitorRecord[] = []
  let discarded = 0
  ring.drain(Number.MAX_SAFE_INTEGER, (bytes, view, at, length) => {
    const record = readRecord(bytes, view, at, length)
    if (record === undefined) discarded += 1
    else if (record.run === mark.run) records.push(record)
  })
  return { mark, stdout, records, discarded }
}

const paths = (records: readonly MonitorRecord[]): string[] =>
  records.flatMap((record) => ("path" in record ? [record.path] : []))

test("children of a marked process are watched, and theirs; nobody else is", async () => {
  const [, { mark, records, discarded }] = await Promise.all([
    new Promise((resolve) => spawn("cat", ["/no/stranger"], { stdio: "ignore" }).once("close", resolve)),
    watch('(sh -c "cat /no/grandchild" 2>/dev/null & wait); cat /no/child 2>/dev/null; :'),
  ])
  expect(paths(records).filter((path) => path.startsWith("/no/"))).toEqual(["/no/grandchild", "/no/child"])
  expect(discarded).toBe(0)
  expect(loaded().counts(mark).sent).toBe(records.length)
})

test("counts are exact when a run may tell nothing of it", async () => {
  const { mark, records } = await watch(
    "for i in 1 2 3 4 5 6 7 8 9 10; do : < /dev/null; : > /dev/null; done",
    {
      cap: 5,
    },
  )
  const counts = loaded().counts(mark)
  expect([counts.opened, counts.written]).toEqual([20, 10])
  expect(records.length).toBe(counts.sent)
  expect(counts.sent).toBe(5)
  expect(counts.capped).toBeGreaterThanOrEqual(16)
})

test("what is refused is told when ordinary things have used up what a run may tell", async () => {
  const { records } = await watch("for i in 1 2 3 4 5 6 7 8 9 10; do : < /dev/null; done; chroot / true", {
    cap: 3,
  })
  expect(records.some((record) => "sysnum" in record && record.sysnum === 161)).toBe(true)
})

test("a file is denied by what it is, not by its name, wherever it lies", async (context) => {
  skipIf(context, requireLsm())
  const [secret, link, free] = ["secret", "link", "free"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [secret, free]) writeFileSync(path, "text")
  const { dev, ino } = statSync(secret, { bigint: true })
  loaded().denyFile({ device: dev, inode: ino })
  const { stdout, records, mark } = await watch(
    `ln ${secret} ${link}; for f in ${secret} ${link} ${free}; do cat $f 2>&1; echo " $?"; done`,
  )
  const refused = (path: string): string => `cat: ${path}: Operation not permitted\n 1\n`
  expect(stdout).toBe(`${refused(secret)}${refused(link)}text 0\n`)
  const denied = records.filter(({ isDenied }) => isDenied)
  expect(paths(denied)).toEqual([secret, link])
  expect(loaded().counts(mark).denied).toBe(2)
  // Each once: the call's return is not told again.
  expect(paths(records).filter((path) => path === secret || path === link).length).toBe(3)
})

test("programs that are not listed do not start", async (context) => {
  skipIf(context, requireLsm())
  const allow = (path: string) => (run: number) => {
    const { dev, ino } = statSync(path, { bigint: true })
    loaded().allowExec({ device: dev, inode: ino }, run, true)
  }
  const { stdout, records } = await watch("/usr/bin/true && echo listed; /usr/bin/id; echo $?", {
    flags: MarkFlag.EXEC_LISTED,
    before: allow("/usr/bin/true"),
  })
  expect(stdout).toBe("listed\n126\n")
  expect(paths(records.filter(({ isDenied }) => isDenied))).toEqual(["/usr/bin/id"])
})

test("addresses are out of reach but for ports that are allowed", async (context) => {
  skipIf(context, requireLsm())
  const server = createServer((socket) => socket.end("hello\n"))
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  try {
    const reach = (to: number | string): string => `perl -MIO::Socket::INET -e '
      my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:${to}"); print $s ? <$s> : "$!\\n"'`
    const datagram = `perl -MIO::Socket::INET -e '
      my $s = IO::Socket::INET->new(Proto => "udp"); print send($s, "x", 0, pack_sockaddr_in(53, inet_aton("127.0.0.1"))) ? "sent" : "$!", "\\n"'`
    const { stdout, records } = await watch(`${reach(port)}; ${reach(port + 1)}; ${datagram}`, {
      flags: MarkFlag.NO_NETWORK,
      before: (run) => loaded().allowPort(port, run, true),
    })
    expect(stdout).toBe("hello\nOperation not permitted\nOperation not permitted\n")
    const told = records.flatMap((record) =>
      "destination_port" in record ? [[record.protocol, record.destination_port, record.isDenied]] : [],
    )
    expect(told).toEqual([
      ["TCP", port, false],
      ["TCP", port + 1, true],
      ["UDP", 53, true],
    ])
  } finally {
    server.close()
  }
})

test("connections are told with their protocol and counted, those that fail too", async () => {
  const { records, mark } = await watch(`perl -MIO::Socket::INET -e '
    IO::Socket::INET->new(PeerAddr => "127.0.0.1:1");
    send(IO::Socket::INET->new(Proto => "udp"), "x", 0, pack_sockaddr_in(9, inet_aton("127.0.0.1")))'`)
  const told = records.flatMap((record) =>
    "destination_port" in record ? [[record.protocol, record.destination_port]] : [],
  )
  expect(told).toEqual([
    ["TCP", 1],
    ["UDP", 9],
  ])
  expect(loaded().counts(mark).connected).toBe(2)
})

test("a ring that nobody reads loses records, and counts them exactly", async () => {
  const before = loaded().totals()
  const mark: Mark = { slot: nextRun, run: nextRun, flags: 0 }
  nextRun += 1
  const text =
    '$| = 1; print "ready\\n"; readline(STDIN); for (1..20000) { open(F, "<", "/dev/null"); close(F) }'
  await runMarked(["perl", "-e", text], mark, 1_000_000)
  let drained = 0
  ring.drain(Number.MAX_SAFE_INTEGER, () => (drained += 1))
  const [counts, after] = [loaded().counts(mark), loaded().totals()]
  expect(counts.opened).toBe(20_000)
  expect(counts.dropped).toBeGreaterThan(0)
  expect(drained).toBe(counts.sent)
  expect([after.sent - before.sent, after.dropped - before.dropped]).toEqual([counts.sent, counts.dropped])
  // All are opens, but for the end of the process.
  expect(counts.sent + counts.dropped).toBe(20_001)
})
