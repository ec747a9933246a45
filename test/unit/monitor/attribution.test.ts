/** Which layer refused, what is worth a look, and which limit is near. */
import { describe, expect, test } from "vitest"
import { KnownPrograms, Rules } from "../../../clawfs/monitor/rules.ts"
import { tell, type Watched } from "../../../clawfs/monitor/tell.ts"
import { Thresholds } from "../../../clawfs/monitor/thresholds.ts"
import { Verdicts } from "../../../clawfs/monitor/verdicts.ts"
import { toolList } from "../../../clawfs/seccomp/tool-list.ts"
import {
  EventId,
  type FileAccessEvent,
  type NetworkEvent,
  type SyscallTraceEvent,
} from "../../../schema/events.ts"
import type { ToolEvent } from "../../../schema/tool-event.ts"
import { hasLibseccomp } from "../../../clawfs/sys/libseccomp.ts"
import { skipIf } from "../../helpers/requirements.ts"

const missing = hasLibseccomp ? undefined : "libseccomp is not installed"
/** x86-64 */
const CALL = {
  openat: 257,
  mount: 165,
  socket: 41,
  clone: 56,
  clone3: 435,
  setuid: 105,
  capset: 126,
  kill: 62,
  mknodat: 259,
} as const
const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EACCES: 13,
  EROFS: 30,
  ENOSYS: 38,
  ENETUNREACH: 101,
  ECONNREFUSED: 111,
} as const

const run = (): Watched => ({ id: "r1", tool: "t", verdicts: new Verdicts(toolList(false)) })
const head = { run: 1, call: 0, error: 0, isDenied: false, timestampNs: 5_000_000n, pid: 9, tid: 9 } as const

function call(sysnum: number, error: number, args: readonly bigint[] = []): SyscallTraceEvent {
  const rest = { returnValue: BigInt(-error), durationNs: 0n, comm: "prog" }
  return { ...head, id: EventId.SYSCALL, source: "call", call: sysnum, sysnum, error, args, ...rest }
}

function file(error: number, more: Partial<FileAccessEvent> = {}): FileAccessEvent {
  const place = { uid: 0, gid: 0, inode: 0n, device: 0, mode: 0, path: "/x" }
  const rest = { source: "call", call: CALL.openat, operation: "READ", isGranted: error === 0 } as const
  return { ...head, id: EventId.FILE, error, ...place, ...rest, ...more }
}

function network(error: number, destination_ip = "127.0.0.1"): NetworkEvent {
  const ends = { source_ip: "0.0.0.0", destination_ip, source_port: 0, destination_port: 80 }
  return {
    ...head,
    id: EventId.NETWORK,
    source: "connect",
    protocol: "TCP",
    direction: "OUTBOUND",
    error,
    ...ends,
  }
}

const layers = (record: SyscallTraceEvent | FileAccessEvent | NetworkEvent): unknown[] => {
  const { type, layer } = tell(record, run(), 0)
  return [type, layer]
}

describe("the layer that refused", () => {
  test.each([
    ["a call that no list has", call(CALL.mount, ERRNO.EPERM), ["POLICY_VIOLATION", "seccomp"]],
    ["a socket of another family", call(CALL.socket, ERRNO.EPERM, [16n]), ["POLICY_VIOLATION", "seccomp"]],
    [
      "a socket that the list allows",
      call(CALL.socket, ERRNO.EPERM, [2n]),
      ["POLICY_VIOLATION", "permissions"],
    ],
    [
      "a process, without process:spawn",
      call(CALL.clone, ERRNO.EPERM, [17n]),
      ["POLICY_VIOLATION", "seccomp"],
    ],
    ["clone3, which nobody needs", call(CALL.clone3, ERRNO.ENOSYS), ["SYSTEM_CALL", "seccomp"]],
    ["a signal to another's process", call(CALL.kill, ERRNO.EPERM), ["POLICY_VIOLATION", "permissions"]],
    ["a privileged call that worked", call(CALL.setuid, 0), ["SYSTEM_CALL", undefined]],
    ["a file that is not there", file(ERRNO.ENOENT), ["FILE_ACCESS", undefined]],
    ["a file of somebody else's", file(ERRNO.EACCES), ["POLICY_VIOLATION", "permissions"]],
    ["a file of the read-only system", file(ERRNO.EROFS), ["POLICY_VIOLATION", "mounts"]],
    ["a device node", file(ERRNO.EPERM, { call: CALL.mknodat }), ["POLICY_VIOLATION", "seccomp"]],
    [
      "a file that the monitor denies",
      file(ERRNO.EPERM, { isDenied: true, source: "open" }),
      ["POLICY_VIOLATION", "bpf-lsm"],
    ],
    ["a host without a way there", network(ERRNO.ENETUNREACH), ["POLICY_VIOLATION", "network"]],
    ["a port that nobody listens at", network(ERRNO.ECONNREFUSED), ["NETWORK_ACCESS", undefined]],
  ])("%s", (_what, record, expected) => {
    expect(layers(record)).toEqual(expected)
  })

  test("a refusal by the list is told by the call's name, its arguments and errno", (context) => {
    skipIf(context, missing)
    expect(tell(call(CALL.mount, ERRNO.EPERM, [1n, 255n]), run(), 1000)).toEqual({
      format: 1,
      time: "1970-01-01T00:00:01.005Z",
      monotonic_ns: "5000000",
      type: "POLICY_VIOLATION",
      run: "r1",
      tool: "t",
      pid: 9,
      tid: 9,
      error: "EPERM",
      layer: "seccomp",
      call: "mount",
      args: ["0x1", "0xff"],
      process: { name: "prog" },
    })
  })

  test("an end tells the status, or the signal that killed", () => {
    const ended = (status: bigint): unknown =>
      tell({ ...call(231, 0, [status]), source: "exit" }, run(), 0).process
    expect([ended(0x300n), ended(31n), ended(0x8bn)]).toEqual([
      { name: "prog", status: 3 },
      { name: "prog", signal: 31 },
      { name: "prog", signal: 11 },
    ])
  })
})

describe("rules", () => {
  const begun: ToolEvent = told(file(0, { source: "exec", operation: "EXECUTE", path: "/run/tool/t" }))
  function told(record: SyscallTraceEvent | FileAccessEvent | NetworkEvent): ToolEvent {
    return tell(record, run(), 0)
  }
  function rulesOf(programs = new KnownPrograms()): { judge: (event: ToolEvent) => unknown[] } {
    programs.begin("t")
    const rules = new Rules("t", "/mnt", programs)
    rules.judge(begun)
    return { judge: (event) => rules.judge(event).map(({ anomaly }) => [anomaly?.rule, anomaly?.severity]) }
  }

  test("the vault, by either of its names, whether it is there or not", () => {
    const { judge } = rulesOf()
    expect(judge(told(file(ERRNO.ENOENT, { path: "/mnt/vault/secrets" })))).toEqual([
      ["vault-access", "HIGH"],
    ])
    expect(judge(told(file(0, { path: "/clawfs/vault" })))).toEqual([["vault-access", "CRITICAL"]])
    expect(judge(told(file(0, { path: "/clawfs/vaults" })))).toEqual([])
  })

  test("hosts other than this one", () => {
    const { judge } = rulesOf()
    expect(judge(told(network(0, "1.1.1.1")))).toEqual([["unknown-host", "HIGH"]])
    expect(judge(told(network(0, "127.1.2.3")))).toEqual([])
  })

  test("not a place that the tool has been granted, but other ports of the same host", () => {
    const programs = new KnownPrograms()
    programs.begin("t")
    const event = told(network(0, "10.213.0.1"))
    const rules = new Rules("t", "/mnt", programs, [`10.213.0.1:${event.network?.port ?? 0}`])
    rules.judge(begun)
    expect(rules.judge(event)).toEqual([])
    const other = new Rules("t", "/mnt", programs, ["10.213.0.1:9"])
    other.judge(begun)
    expect(other.judge(event)).toHaveLength(1)
  })

  test("a privileged call that works", () => {
    expect(rulesOf().judge(told(call(CALL.setuid, 0)))).toEqual([["privileged-call", "HIGH"]])
  })

  test("a setuid program, which has no effect", () => {
    const mode = 0o104755
    const exec = told(file(0, { source: "exec", operation: "EXECUTE", path: "/x", inode: 1n, mode }))
    expect(rulesOf().judge(exec)).toEqual([["setuid-program", "MEDIUM"]])
  })

  test("what the sandbox does before the tool begins is not the tool's", () => {
    const programs = new KnownPrograms()
    programs.begin("t")
    expect(new Rules("t", "/mnt", programs).judge(told(call(CALL.setuid, 0)))).toEqual([])
  })

  test("what the sandbox's first process takes away from itself, while the tool begins, is not the tool's", () => {
    const programs = new KnownPrograms()
    programs.begin("t")
    const rules = new Rules("t", "/mnt", programs)
    const by = (pid: number, event: ToolEvent): number => rules.judge({ ...event, pid }).length
    by(1, told({ ...call(56, 0), source: "fork" }))
    by(2, begun)
    const dropped = told(call(CALL.capset, 0))
    expect([by(1, dropped), by(1, told(call(CALL.setuid, 0))), by(2, dropped)]).toEqual([0, 1, 1])
  })

  test("a program is new once, and not when the tool itself is", () => {
    const programs = new KnownPrograms()
    const exec = told(file(0, { source: "exec", operation: "EXECUTE", path: "/usr/bin/curl" }))
    rulesOf(programs)
    const second = rulesOf(programs)
    expect([second.judge(exec), second.judge(exec)]).toEqual([[["new-executable", "LOW"]], []])
    expect(rulesOf().judge(exec)).toEqual([])
  })

  test("a hundred refusals in a second, not in two", () => {
    const refused = (timestampNs: bigint): ToolEvent =>
      told({ ...call(CALL.mount, ERRNO.EPERM), timestampNs })
    const { judge } = rulesOf()
    const slow = Array.from({ length: 150 }, (_, n) => judge(refused(BigInt(n) * 20_000_000n))).flat()
    const fast = Array.from({ length: 150 }, (_, n) => judge(refused(10_000_000_000n + BigInt(n)))).flat()
    expect([slow, fast]).toEqual([[], [["refusal-rate", "MEDIUM"]]])
  })

  test("a rule does not flood the log", () => {
    const { judge } = rulesOf()
    const all = Array.from({ length: 100 }, () => judge(told(network(0, "1.1.1.1")))).flat()
    expect(all.length).toBe(10)
  })
})

test("each level of a limit is told once, the higher one alone when both are reached", () => {
  const thresholds = new Thresholds("r", "t", { memoryBytes: 1000, cpuPercent: 10, pids: 16 })
  const look = (memoryBytes: number | null, cpuPercent: number | null, pids: number | null): unknown[] =>
    thresholds
      .look({ memoryBytes, cpuPercent, pids })
      .map(({ threshold }) => [threshold?.metric, threshold?.percent])
  expect(look(899, 7.9, 12)).toEqual([])
  expect(look(900, 8, 13)).toEqual([
    ["MEMORY_USAGE", 90],
    ["CPU_USAGE", 80],
    ["PID_COUNT", 81],
  ])
  expect(look(910, 8.5, 13)).toEqual([])
  expect(look(990, null, null)).toEqual([["MEMORY_USAGE", 99]])
  expect(look(990, 9.5, 16)).toEqual([
    ["CPU_USAGE", 95],
    ["PID_COUNT", 100],
  ])
})
