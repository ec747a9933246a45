/** The monitor's program in the kernel: loaded with as many of its hooks as this kernel lets it have, and its maps. */
import { existsSync } from "node:fs"
import { arch } from "node:os"
import { fileURLToPath } from "node:url"
import { Fault, describe } from "../core/fault.ts"
import { BpfObject, bytes32, bytes64, hasLibbpf, possibleCpus, type BpfMap } from "../sys/libbpf.ts"
import type { Totals } from "./messages.ts"

const OBJECT = fileURLToPath(new URL("../../bpf/monitor.bpf.o", import.meta.url))
const TYPES = "/sys/kernel/btf/vmlinux"

const TRACEPOINTS = ["on_fork", "on_exec", "on_exit"] as const
/** Makes every call on the machine some 30 ns longer: attached only while somebody is watched. */
const CALLS = "on_return"
const LSM_HOOKS = ["lsm_open", "lsm_execute", "lsm_connect", "lsm_bind", "lsm_send"] as const

/** bpf/monitor.bpf.c: struct mark, its flags, struct run_state. */
const MARK_BYTES = 16
export const MarkFlag = { EXEC_LISTED: 1, NO_NETWORK: 2, SETTING_UP: 4 } as const
const STATE_BYTES = 13 * 8
const STATE_CAP_AT = 16
const STATE_COUNTS_AT = 32
export const MOST_RUNS = 1024
export const RING_BYTES = 1024 * 1024

export interface Mark {
  /** Place among the runs, below MOST_RUNS; free again when the run has ended. */
  readonly slot: number
  /** From 1, never given again. */
  readonly run: number
  readonly flags: number
}

/** Exact, whatever was sent. */
export interface RunCounts {
  readonly opened: number
  readonly written: number
  readonly executed: number
  readonly forked: number
  readonly connected: number
  readonly denied: number
  readonly sent: number
  readonly capped: number
  readonly dropped: number
}

/** Why there is no monitor here. */
export interface Absent {
  readonly reason: string
  readonly hint?: string
}

export class MonitorProgram implements Disposable {
  readonly #object: BpfObject
  /** Undefined: the hooks of the BPF LSM are attached. Else why they are not; nothing is denied then. */
  readonly withoutLsm: string | undefined
  readonly #marks: BpfMap
  readonly #groups: BpfMap
  readonly #runs: BpfMap
  readonly #totals: BpfMap
  readonly ring: BpfMap

  private constructor(object: BpfObject, withoutLsm: string | undefined) {
    this.#object = object
    this.withoutLsm = withoutLsm
    const hooks = withoutLsm === undefined ? [...TRACEPOINTS, ...LSM_HOOKS] : TRACEPOINTS
    for (const name of hooks) object.attach(name)
    // Tried once, so that a kernel that lacks it is known before a tool runs.
    this.looksAtCalls = true
    this.looksAtCalls = false
    this.#marks = object.map("marks")
    this.#groups = object.map("groups")
    this.#runs = object.map("runs")
    this.#totals = object.map("totals")
    this.ring = object.map("ring")
  }

  /** Loads and attaches it. `hasGroups`: sandboxes have control groups of version 2. */
  static load(hasGroups: boolean, ringBytes = RING_BYTES): MonitorProgram | Absent {
    const missing = requirements()
    if (missing !== undefined) return missing
    try {
      return MonitorProgram.#with(true, hasGroups, ringBytes)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      const reason = `no program of it can be loaded as an LSM (${describe(thrown)})`
      try {
        return MonitorProgram.#with(false, hasGroups, ringBytes, reason)
      } catch (again) {
        if (!(again instanceof Fault)) throw again
        return { reason: `the kernel does not take the monitor's program (${describe(again)})` }
      }
    }
  }

  static #with(hasLsm: boolean, hasGroups: boolean, ringBytes: number, reason?: string): MonitorProgram {
    const settings = Buffer.alloc(8)
    settings.writeUInt32LE(hasLsm ? 1 : 0, 0)
    settings.writeUInt32LE(hasGroups ? 1 : 0, 4)
    const object = new BpfObject(OBJECT, {
      without: hasLsm ? [] : LSM_HOOKS,
      constants: { ".rodata.settings": settings },
      sizes: { ring: ringBytes },
    })
    try {
      return new MonitorProgram(object, reason)
    } catch (thrown) {
      object[Symbol.dispose]()
      throw thrown
    }
  }

  /** Marks a process, and with it whatever it starts from now on. `group`: inode of its control group. */
  mark(pidFd: number, mark: Mark, recordsPerSecond: number, group: bigint | undefined): void {
    const state = Buffer.alloc(STATE_BYTES)
    state.writeBigUInt64LE(BigInt(recordsPerSecond), STATE_CAP_AT)
    this.#runs.set(bytes32(mark.slot), state)
    const value = Buffer.alloc(MARK_BYTES)
    value.writeUInt32LE(mark.slot, 0)
    value.writeUInt32LE(mark.run, 4)
    value.writeUInt32LE(mark.flags, 8)
    this.#marks.set(bytes32(pidFd), value)
    if (group === undefined) return
    // What has no mark but this is not bubblewrap's process.
    value.writeUInt32LE(mark.flags & ~MarkFlag.SETTING_UP, 8)
    this.#groups.set(bytes64(group), value)
  }

  /** Whether calls are looked at as they return. */
  set looksAtCalls(isWanted: boolean) {
    if (isWanted === this.#object.isAttached(CALLS)) return
    if (isWanted) this.#object.attach(CALLS)
    else this.#object.detach(CALLS)
  }

  forget(group: bigint | undefined): void {
    if (group !== undefined) this.#groups.delete(bytes64(group))
  }

  counts({ slot }: Mark): RunCounts {
    const state = Buffer.alloc(STATE_BYTES)
    this.#runs.get(bytes32(slot), state)
    const [opened, written, executed, forked, connected, denied, sent, capped, dropped] = Array.from(
      { length: 9 },
      (_, n) => Number(state.readBigUInt64LE(STATE_COUNTS_AT + 8 * n)),
    ) as [number, number, number, number, number, number, number, number, number]
    return { opened, written, executed, forked, connected, denied, sent, capped, dropped }
  }

  totals(): Totals {
    const total = (index: number): number => {
      const values = Buffer.alloc(8 * possibleCpus())
      this.#totals.get(bytes32(index), values)
      let sum = 0
      for (let at = 0; at < values.length; at += 8) sum += Number(values.readBigUInt64LE(at))
      return sum
    }
    return { sent: total(0), dropped: total(1), capped: total(2), unmarked: total(3) }
  }

  /** Opening this file fails with EPERM in every sandbox, where there are LSM hooks. */
  denyFile({ device, inode }: FileId): void {
    this.#object.map("deny_files").set(fileKey({ device, inode }, 0), Buffer.alloc(4))
  }

  allowExec(file: FileId, run: number, isAllowed: boolean): void {
    const map = this.#object.map("exec_files")
    if (isAllowed) map.set(fileKey(file, run), Buffer.alloc(4))
    else map.delete(fileKey(file, run))
  }

  allowPort(port: number, run: number, isAllowed: boolean): void {
    const key = Buffer.alloc(8)
    key.writeUInt32LE(run, 0)
    key.writeUInt16LE(port, 4)
    const map = this.#object.map("allowed_ports")
    if (isAllowed) map.set(key, Buffer.alloc(4))
    else map.delete(key)
  }

  [Symbol.dispose](): void {
    this.#object[Symbol.dispose]()
  }
}

/** As stat(2) tells it. */
export interface FileId {
  readonly device: bigint
  readonly inode: bigint
}

/** The kernel keeps device numbers in another way than it tells them (kdev_t.h). */
export function kernelDevice(device: bigint): number {
  const major = Number((device >> 8n) & 0xfffn)
  const minor = Number((device & 0xffn) | ((device >> 12n) & 0xf_ff00n))
  return major * 0x10_0000 + minor
}

function fileKey({ device, inode }: FileId, run: number): Buffer {
  const key = Buffer.alloc(16)
  key.writeBigUInt64LE(inode, 0)
  key.writeUInt32LE(kernelDevice(device), 8)
  key.writeUInt32LE(run, 12)
  return key
}

function requirements(): Absent | undefined {
  if (arch() !== "x64") return { reason: "the monitor's program is for x86-64 only" }
  if (process.getuid?.() !== 0) return { reason: "loading it takes root", hint: "mount as root" }
  if (!hasLibbpf) return { reason: "libbpf is not installed", hint: "apt-get install libbpf1" }
  if (!existsSync(TYPES)) return { reason: `this kernel does not tell its types (${TYPES})` }
  return existsSync(OBJECT) ? undefined : { reason: `${OBJECT} is missing`, hint: "make build" }
}
