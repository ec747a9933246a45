/**
 * Secrets for tools (docs/TOOLS.md), whose sandbox this process can't make: the runner of a mount brings pipes that lead into it,
 * this process writes the values to them and filters what comes out. No value is ever in the runner.
 */
import { closeSync, writeSync } from "node:fs"
import { Socket } from "node:net"
import type { Readable } from "node:stream"
import { Fault, describe } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { fcntl } from "../../clawfs/sys/libc.ts"
import type { ToolSecretsReport, VaultParams } from "../../schema/vault-api.ts"
import { MOST_EXPANSION } from "../encodings.ts"
import { LeakFilter, LeakScanner } from "../leaks.ts"
import type { Vault } from "../vault.ts"
import { descriptorOf } from "./answers.ts"
import { writeAllFrom } from "./descriptors.ts"
import type { WithValue } from "./exec.ts"
import type { LeakGuard } from "./leak-guard.ts"
import { pass } from "./passing.ts"

const F_DUPFD_CLOEXEC = 1030

interface Stream {
  readonly from: Readable
  readonly to: number
  readonly filter: LeakFilter
}

export class ToolSecrets {
  readonly #vault: Vault
  readonly #log: Log
  readonly #leaks: LeakGuard
  readonly #running = new Set<AbortController>()

  /** `leaks` teaches a scanner what shall be noticed besides the values that a tool gets. */
  constructor(vault: Vault, { log, leaks }: { readonly log: Log; readonly leaks: LeakGuard }) {
    this.#vault = vault
    this.#log = log
    this.#leaks = leaks
  }

  /**
   * Writes the values, then passes on output until it ends, or until `gone`'s function is called. Throws if a use is refused:
   * whoever brought the pipes gives none of them to anybody then. `onLeaks` is told when something was taken out.
   */
  give(
    { uses, output, report }: VaultParams<"tool.exec">,
    fds: readonly number[],
    withValue: WithValue,
    gone: (stop: () => void) => void,
    onLeaks: (report: ToolSecretsReport) => void,
  ): void {
    const scanner = new LeakScanner()
    const pipes = uses.map(({ fd }) => descriptorOf(fds, fd))
    for (const [at, { name }] of uses.entries())
      withValue(name, (value) => {
        this.#vault.values.borrow(MOST_EXPANSION * value.length, (room) => scanner.add(name, value, room))
        writeAllFrom(pipes[at] ?? -1, value, "the value")
      })
    this.#leaks.addCanaries(scanner)
    const own: number[] = []
    const streams: Stream[] = []
    try {
      for (const { from, to } of output) {
        const [reading, writing] = [copyOf(descriptorOf(fds, from)), copyOf(descriptorOf(fds, to))]
        own.push(writing)
        const source = new Socket({ fd: reading, readable: true, writable: false })
        streams.push({ from: source, to: writing, filter: new LeakFilter(scanner) })
      }
      own.push(copyOf(descriptorOf(fds, report)))
    } catch (thrown) {
      for (const { from } of streams) from.destroy()
      for (const fd of own) closeSync(fd)
      throw thrown
    }
    const controller = new AbortController()
    gone(() => controller.abort())
    void this.#pass(streams, own, controller, onLeaks)
  }

  /** Nothing is thrown: who waits sees the report's pipe end. */
  async #pass(
    streams: readonly Stream[],
    own: readonly number[],
    controller: AbortController,
    onLeaks: (report: ToolSecretsReport) => void,
  ): Promise<void> {
    this.#running.add(controller)
    const { signal } = controller
    signal.addEventListener("abort", () => {
      for (const { from } of streams) from.destroy()
    })
    try {
      await Promise.all(streams.map(({ from, filter, to }) => pass(from, filter, to, signal)))
      const filters = streams.map(({ filter }) => filter)
      const leaks = filters.reduce((sum, { count }) => sum + count, 0)
      const report = { leaks, leaked: [...new Set(filters.flatMap(({ names }) => names))].sort() }
      if (leaks > 0) onLeaks(report)
      writeSync(own.at(-1) ?? -1, `${JSON.stringify(report)}\n`)
    } catch (thrown) {
      if (!signal.aborted) this.#log.error("a tool's output was not passed on", { reason: describe(thrown) })
    } finally {
      this.#running.delete(controller)
      for (const fd of own) closeSync(fd)
    }
  }

  /** Ends all: their tools end, too. */
  stop(): void {
    for (const controller of this.#running) controller.abort()
  }
}

function copyOf(fd: number): number {
  const copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)
  if (copy < 0) throw new Fault("busy", "the vault has too many descriptors open")
  return checked("fcntl", copy)
}
