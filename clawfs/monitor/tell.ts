/** What the kernel's program recorded, as an event: of which kind it is, and which layer refused what was refused. */
import { getSystemErrorName } from "node:util"
import {
  EventId,
  type FileAccessEvent,
  type MonitorRecord,
  type NetworkEvent,
  type SyscallTraceEvent,
  type ToolEventType,
} from "../../schema/events.ts"
import { TOOL_EVENT_FORMAT, type Layer, type ToolEvent } from "../../schema/tool-event.ts"
import { systemCallName } from "../sys/libseccomp.ts"
import type { Verdicts } from "./verdicts.ts"

/** A run that is being watched. */
export interface Watched {
  readonly id: string
  readonly tool: string
  readonly verdicts: Verdicts
}

const ERRNO = { EPERM: 1, EACCES: 13, EROFS: 30, ENOSYS: 38 } as const
/** ENETDOWN, ENETUNREACH, EHOSTUNREACH: there is no way there. */
const NO_WAY: ReadonlySet<number> = new Set([100, 101, 113])
const NANOSECONDS = 1_000_000n

/** `clockOffsetMs`: of CLOCK_MONOTONIC to the time of day. */
export function tell(record: MonitorRecord, run: Watched, clockOffsetMs: number): ToolEvent {
  const { type, ...rest } = specific(record, run)
  return {
    format: TOOL_EVENT_FORMAT,
    time: new Date(Number(record.timestampNs / NANOSECONDS) + clockOffsetMs).toISOString(),
    monotonic_ns: record.timestampNs.toString(),
    type,
    run: run.id,
    tool: run.tool,
    pid: record.pid,
    tid: record.tid,
    ...(record.error === 0 ? {} : { error: errorName(record.error) }),
    ...rest,
  }
}

type Specific = Omit<ToolEvent, "format" | "time" | "monotonic_ns" | "run" | "tool" | "pid" | "tid">

function specific(record: MonitorRecord, run: Watched): Specific {
  switch (record.id) {
    case EventId.SYSCALL:
      return ofCall(record, run)
    case EventId.FILE:
      return ofFile(record, run)
    case EventId.NETWORK:
      return ofNetwork(record)
  }
}

function ofCall(record: SyscallTraceEvent, run: Watched): Specific {
  const { source, args, comm } = record
  const name = comm
  if (source === "fork")
    return { type: "PROCESS_START", process: { name, child: Number(record.returnValue) } }
  if (source === "exit") {
    const status = Number(args[0] ?? 0n)
    const signal = status & 0x7f
    return { type: "PROCESS_EXIT", process: signal === 0 ? { name, status: status >> 8 } : { name, signal } }
  }
  const layer = layerOfCall(record, run)
  // clone3 is answered so that C libraries use clone: nobody wanted anything that is not granted.
  const isFallback = record.error === ERRNO.ENOSYS && systemCallName(record.sysnum) === "clone3"
  const type: ToolEventType = layer === undefined || isFallback ? "SYSTEM_CALL" : "POLICY_VIOLATION"
  return {
    type,
    ...(layer === undefined ? {} : { layer }),
    call: systemCallName(record.sysnum),
    args: args.map((each) => `0x${each.toString(16)}`),
    process: { name },
  }
}

function layerOfCall({ isDenied, error, sysnum, args }: SyscallTraceEvent, run: Watched): Layer | undefined {
  if (isDenied) return "bpf-lsm"
  const mayBeFilter = error === ERRNO.EPERM || error === ERRNO.ENOSYS
  if (mayBeFilter && run.verdicts.refuses(sysnum, args)) return "seccomp"
  return layerOfError(error)
}

function ofFile(record: FileAccessEvent, run: Watched): Specific {
  const { source, operation, path, uid, gid, inode, device, mode, isGranted, call } = record
  const layer = isGranted ? undefined : layerOfFile(record, run)
  const granted: ToolEventType = source === "exec" ? "PROCESS_START" : "FILE_ACCESS"
  return {
    type: layer === undefined ? granted : "POLICY_VIOLATION",
    ...(layer === undefined ? {} : { layer }),
    ...(call === 0 ? {} : { call: systemCallName(call) }),
    file: {
      operation,
      path,
      uid,
      gid,
      ...(inode === 0n ? {} : { inode: inode.toString(), device, mode }),
    },
  }
}

/** Files that are not there are no refusal by themselves: programs look for things in many places. */
function layerOfFile({ isDenied, error, call }: FileAccessEvent, run: Watched): Layer | undefined {
  if (isDenied) return "bpf-lsm"
  if (error === ERRNO.EPERM && call !== 0 && run.verdicts.refuses(call, [])) return "seccomp"
  return layerOfError(error)
}

function layerOfError(error: number): Layer | undefined {
  if (NO_WAY.has(error)) return "network"
  if (error === ERRNO.EROFS) return "mounts"
  return error === ERRNO.EPERM || error === ERRNO.EACCES ? "permissions" : undefined
}

function ofNetwork(record: NetworkEvent): Specific {
  const { protocol, direction, error, isDenied, call } = record
  const isOut = direction === "OUTBOUND"
  const layer = isDenied ? "bpf-lsm" : layerOfError(error)
  return {
    type: layer === undefined ? "NETWORK_ACCESS" : "POLICY_VIOLATION",
    ...(layer === undefined ? {} : { layer }),
    ...(call === 0 ? {} : { call: systemCallName(call) }),
    network: {
      protocol,
      direction,
      address: isOut ? record.destination_ip : record.source_ip,
      port: isOut ? record.destination_port : record.source_port,
    },
  }
}

function errorName(errno: number): string {
  return getSystemErrorName(-errno)
}
