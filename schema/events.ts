/**
 * What the monitor's program sends (bpf/records.h): the structures of P1.3 v1.1, as read in docs/EVENTS.md. Every record begins
 * with whose it is, then the twelve-byte header of P1.3, then one structure. Little-endian; all sizes are of whole structures.
 */

export const EVENT_VERSION = 1

/** P1.3: the header's event_id. */
export const EventId = { ANOMALY: 1, SYSCALL: 2, FILE: 3, NETWORK: 4, CGROUP: 5 } as const
/** Bytes of each structure, without what is before it. */
export const EVENT_BYTES = { ANOMALY: 1056, SYSCALL: 104, FILE: 304, NETWORK: 64, CGROUP: 304 } as const
/** Whose it is (16), and P1.3's header (12). */
export const HEADER_BYTES = 28

export const EVENT_TYPES = [
  "UNKNOWN",
  "SYSCALL_ANOMALY",
  "FILE_ACCESS_VIOLATION",
  "NETWORK_SUSPICIOUS",
  "CGROUP_THRESHOLD",
  "PROCESS_ANOMALY",
  "SECURITY_VIOLATION",
] as const
export const SEVERITIES = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const
export const FILE_OPERATIONS = ["READ", "WRITE", "EXECUTE", "DELETE", "CREATE", "RENAME"] as const
export const PROTOCOLS = ["UNKNOWN", "TCP", "UDP", "ICMP", "ICMPV6"] as const
export const DIRECTIONS = ["UNKNOWN", "INBOUND", "OUTBOUND"] as const
export const METRICS = [
  "UNKNOWN",
  "MEMORY_USAGE",
  "CPU_USAGE",
  "PID_COUNT",
  "IO_READ_BYTES",
  "IO_WRITE_BYTES",
  "NETWORK_RX_BYTES",
  "NETWORK_TX_BYTES",
] as const

/** What records become (schema/tool-event.ts). The first five are claw_event_subscribe's (P1.8); the others are ours. */
export const TOOL_EVENT_TYPES = [
  "SYSCALL_ANOMALY",
  "THRESHOLD_EXCEEDED",
  "POLICY_VIOLATION",
  "PROCESS_EXIT",
  "FILE_ACCESS",
  "PROCESS_START",
  "NETWORK_ACCESS",
  "SYSTEM_CALL",
] as const
export type ToolEventType = (typeof TOOL_EVENT_TYPES)[number]

/** Which hook of the monitor's program saw it. */
export const SOURCES = [
  "none",
  "fork",
  "exec",
  "exit",
  "call",
  "open",
  "execute",
  "connect",
  "bind",
  "send",
] as const

export type EventType = (typeof EVENT_TYPES)[number]
export type Severity = (typeof SEVERITIES)[number]
export type FileOperation = (typeof FILE_OPERATIONS)[number]
export type Protocol = (typeof PROTOCOLS)[number]
export type Direction = (typeof DIRECTIONS)[number]
export type Metric = (typeof METRICS)[number]
export type Source = (typeof SOURCES)[number]

/** Before each structure. */
export interface Attribution {
  /** The run's number in this monitor, from 1. */
  readonly run: number
  /** The system call's number; 0 where a hook saw it that has none. */
  readonly call: number
  /** A positive errno; 0 when it was granted. */
  readonly error: number
  readonly source: Source
  /** The monitor's own program refused it. */
  readonly isDenied: boolean
  /** CLOCK_MONOTONIC */
  readonly timestampNs: bigint
}

export interface SyscallTraceEvent extends Attribution {
  readonly id: typeof EventId.SYSCALL
  readonly sysnum: number
  readonly pid: number
  readonly tid: number
  readonly returnValue: bigint
  /** Always 0: calls are looked at when they return, and only then. */
  readonly durationNs: bigint
  readonly args: readonly bigint[]
  readonly comm: string
}

export interface FileAccessEvent extends Attribution {
  readonly id: typeof EventId.FILE
  readonly operation: FileOperation
  readonly isGranted: boolean
  readonly pid: number
  readonly tid: number
  readonly uid: number
  readonly gid: number
  /** With the kernel's device number (12 bits major, 20 minor) names the file; 0 where no file was reached. */
  readonly inode: bigint
  readonly device: number
  readonly mode: number
  readonly path: string
}

export interface NetworkEvent extends Attribution {
  readonly id: typeof EventId.NETWORK
  readonly protocol: Protocol
  readonly direction: Direction
  readonly pid: number
  readonly tid: number
  readonly source_ip: string
  readonly destination_ip: string
  readonly source_port: number
  readonly destination_port: number
}

export type MonitorRecord = SyscallTraceEvent | FileAccessEvent | NetworkEvent

const PATH_BYTES = 256
const COMM_BYTES = 16
const DENIED = 1
/** Offsets in the structures' tables. */
const AT = { syscallArgs: 0x28, comm: 0x58, path: 0x30 } as const

/**
 * The record of `length` bytes at `at`. Undefined for what is no record of this version: a wrong length, a value outside of its
 * enumeration. Half a million of these are read in a second: each object is written out as a whole, as spreading one into
 * another takes V8 a hundred times as long.
 */
export function readRecord(
  bytes: Buffer,
  view: DataView,
  at: number,
  length: number,
): MonitorRecord | undefined {
  if (length < HEADER_BYTES || view.getUint8(at + 16) !== EVENT_VERSION) return undefined
  const source = SOURCES[view.getUint8(at + 8)]
  if (source === undefined) return undefined
  const rest = length - HEADER_BYTES
  switch (view.getUint8(at + 17)) {
    case EventId.SYSCALL:
      return rest === EVENT_BYTES.SYSCALL ? readSyscall(bytes, view, at, source) : undefined
    case EventId.FILE:
      return readFile(bytes, view, at, rest, source)
    case EventId.NETWORK:
      return rest === EVENT_BYTES.NETWORK ? readNetwork(bytes, view, at, source) : undefined
    default:
      return undefined
  }
}

function readSyscall(bytes: Buffer, view: DataView, head: number, source: Source): SyscallTraceEvent {
  const at = head + HEADER_BYTES
  const args: bigint[] = []
  const count = Math.min(view.getUint8(at + 36), 6)
  for (let n = 0; n < count; n += 1) args.push(view.getBigUint64(at + AT.syscallArgs + 8 * n, true))
  return {
    id: EventId.SYSCALL,
    run: view.getUint32(head, true),
    call: view.getUint16(head + 4, true),
    error: view.getUint16(head + 6, true),
    source,
    isDenied: (view.getUint8(head + 9) & DENIED) !== 0,
    timestampNs: view.getBigUint64(head + 20, true),
    sysnum: view.getUint16(at + 2, true),
    pid: view.getUint32(at + 12, true),
    tid: view.getUint32(at + 16, true),
    returnValue: view.getBigInt64(at + 20, true),
    durationNs: view.getBigUint64(at + 28, true),
    args,
    comm: textOf(bytes, at + AT.comm, COMM_BYTES),
  }
}

function readFile(
  bytes: Buffer,
  view: DataView,
  head: number,
  rest: number,
  source: Source,
): FileAccessEvent | undefined {
  const at = head + HEADER_BYTES
  if (rest < AT.path || rest > EVENT_BYTES.FILE) return undefined
  const operation = FILE_OPERATIONS[view.getUint8(at + 1)]
  const length = view.getUint16(at + 44, true)
  if (operation === undefined || length > Math.min(PATH_BYTES - 1, rest - AT.path)) return undefined
  return {
    id: EventId.FILE,
    run: view.getUint32(head, true),
    call: view.getUint16(head + 4, true),
    error: view.getUint16(head + 6, true),
    source,
    isDenied: (view.getUint8(head + 9) & DENIED) !== 0,
    timestampNs: view.getBigUint64(head + 20, true),
    operation,
    isGranted: view.getUint8(at + 2) === 1,
    pid: view.getUint32(at + 12, true),
    tid: view.getUint32(at + 16, true),
    uid: view.getUint32(at + 20, true),
    gid: view.getUint32(at + 24, true),
    inode: view.getBigUint64(at + 28, true),
    device: view.getUint32(at + 36, true),
    mode: view.getUint32(at + 40, true),
    path: bytes.toString("utf8", at + AT.path, at + AT.path + length),
  }
}

function readNetwork(bytes: Buffer, view: DataView, head: number, source: Source): NetworkEvent | undefined {
  const at = head + HEADER_BYTES
  const protocol = PROTOCOLS[view.getUint8(at + 1)]
  const direction = DIRECTIONS[view.getUint8(at + 2)]
  if (protocol === undefined || direction === undefined) return undefined
  const isIpv4 = view.getUint8(at + 60) === 1
  const ip = (from: number): string => (isIpv4 ? ipv4(bytes, at + from) : ipv6(view, at + from))
  return {
    id: EventId.NETWORK,
    run: view.getUint32(head, true),
    call: view.getUint16(head + 4, true),
    error: view.getUint16(head + 6, true),
    source,
    isDenied: (view.getUint8(head + 9) & DENIED) !== 0,
    timestampNs: view.getBigUint64(head + 20, true),
    protocol,
    direction,
    pid: view.getUint32(at + 12, true),
    tid: view.getUint32(at + 16, true),
    source_ip: ip(20),
    destination_ip: ip(36),
    source_port: view.getUint16(at + 52, true),
    destination_port: view.getUint16(at + 54, true),
  }
}

/** Up to the NUL. */
function textOf(bytes: Buffer, at: number, most: number): string {
  const text = bytes.toString("utf8", at, at + most)
  const end = text.indexOf("\0")
  return end < 0 ? text : text.slice(0, end)
}

function ipv4(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join(".")
}

/** RFC 5952, without the dotted form for mapped addresses. */
function ipv6(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, n) => view.getUint16(at + 2 * n).toString(16))
  const text = groups.join(":")
  const [longest] = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length)
  if (longest === undefined) return text
  const [before, after] = [text.slice(0, longest.index), text.slice(longest.index + longest[0].length)]
  return `${before}::${after.replace(/^:/, "")}`
}
