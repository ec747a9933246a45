/** Processes with control groups, made ahead: what takes time and is the same for every tool is done when one is called. */
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { CgroupLimits } from "./cgroup-files.ts"
import type { Cgroup, Cgroups } from "./cgroup.ts"
import type { Keeper, Slot } from "./keeper.ts"

/** Waiting at the same time. Each has some 100 KiB; tools that are called together beyond that wait for theirs. */
export const MOST_READY = 2

export interface Prepared {
  readonly slot: Slot
  /** Undefined where there are none. The slot's process is in it, or will be before it runs anything. */
  readonly cgroup: Cgroup | undefined
}

export class Ready implements AsyncDisposable {
  readonly #keeper: Keeper
  readonly #cgroups: Cgroups
  readonly #log: Log
  readonly #waiting: Prepared[] = []
  readonly #leaving = new Set<Promise<void>>()
  #nextName = 1
  /** Of the last tool: as a rule those of the next. */
  #limits: CgroupLimits = {
    memory_limit_mb: 64,
    cpu_quota_percent: 10,
    pids_limit: 16,
    io_limit_mb: null,
  }
  #isEnding = false
  /** After a failure until the next tool: what fails again and again is not tried all the time. */
  #isPaused = false
  #refill: NodeJS.Immediate | undefined

  constructor(keeper: Keeper, cgroups: Cgroups, log: Log) {
    this.#keeper = keeper
    this.#cgroups = cgroups
    this.#log = log
  }

  /** One for a tool, which is its owner: limited from here on. */
  take(limits: CgroupLimits): Prepared {
    this.#isPaused = false
    const prepared = this.#waiting.shift() ?? this.#prepare()
    try {
      prepared.cgroup?.limit(limits)
      this.#limits = limits
    } catch (thrown) {
      this.#leave(prepared)
      throw thrown
    }
    return prepared
  }

  #prepare(): Prepared {
    const name = `run-${this.#nextName}`
    this.#nextName += 1
    const cgroup = this.#cgroups.hierarchy.controls.size === 0 ? undefined : this.#cgroups.make(name)
    const prepared = { slot: this.#keeper.prepare(cgroup?.directories ?? []), cgroup }
    void prepared.slot.ended.then(() => this.#forget(prepared))
    return prepared
  }

  /** One that ends while it waits, which it has no reason to. */
  #forget(prepared: Prepared): void {
    const at = this.#waiting.indexOf(prepared)
    if (at < 0) return
    this.#log.error("a process that waited for a tool has ended", { reason: prepared.slot.failure() ?? "" })
    this.#waiting.splice(at, 1)
    this.#isPaused = true
    this.#leave(prepared)
  }

  /** Makes new ones, when nothing else is to be done. */
  fill(): void {
    const isEnough = this.#isPaused || this.#waiting.length >= MOST_READY
    if (this.#isEnding || this.#refill !== undefined || isEnough) return
    this.#refill = setImmediate(() => {
      this.#refill = undefined
      try {
        const prepared = this.#prepare()
        this.#waiting.push(prepared)
        prepared.cgroup?.limit(this.#limits)
      } catch (thrown) {
        this.#log.error("nothing can be prepared for tools", { reason: describe(thrown) })
        this.#isPaused = true
      }
      this.fill()
    })
  }

  #leave({ slot, cgroup }: Prepared): void {
    slot[Symbol.dispose]()
    const left = slot.ended
      .then(() => cgroup?.remove())
      .catch((thrown: unknown) => this.#log.error("a control group stays", { reason: describe(thrown) }))
    this.#leaving.add(left)
    void left.finally(() => this.#leaving.delete(left))
  }

  /** Ends those that wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    if (this.#refill !== undefined) clearImmediate(this.#refill)
    for (const prepared of this.#waiting.splice(0)) this.#leave(prepared)
    await Promise.all(this.#leaving)
  }
}
