/**
 * Keeps idle CPUs awake while programs are being served. A program that waits for an answer leaves its CPU idle for some
 * ten microseconds; if the CPU halts in that time, waking it costs more than the whole request, most of all in a virtual
 * machine, where it takes the hypervisor (measured: every operation 1.6 to 2 × faster with this). The kernel's interface
 * for it is /dev/cpu_dma_latency (Documentation/power/pm_qos_interface.rst); it takes root, and the request ends with the
 * process however that ends.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import type { Log } from "../core/log.ts"
import { describe } from "../core/fault.ts"

const DEVICE = "/dev/cpu_dma_latency"
/** What the device reads as "no wish": 2,000 seconds, in microseconds. */
const ANY = 2_000_000_000

export class CpuLatency implements Disposable {
  readonly #fd: number | undefined
  readonly #word = Buffer.alloc(4)
  #isHeld = false

  /** Without the device or the permission this object does nothing. */
  constructor(log: Log) {
    this.#fd = openDevice(log)
    if (this.#fd !== undefined) this.#ask(ANY)
  }

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Idle CPUs poll from now on. */
  hold(): void {
    if (this.#isHeld || this.#fd === undefined) return
    this.#isHeld = true
    this.#ask(0)
  }

  /** Idle CPUs may sleep as they like. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#ask(ANY)
  }

  #ask(microseconds: number): void {
    this.#word.writeInt32LE(microseconds, 0)
    if (this.#fd !== undefined) writeSync(this.#fd, this.#word)
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
  }
}

function openDevice(log: Log): number | undefined {
  try {
    return openSync(DEVICE, "r+")
  } catch (cause) {
    log.debug("idle CPUs sleep as they like", { reason: describe(cause) })
    return undefined
  }
}
