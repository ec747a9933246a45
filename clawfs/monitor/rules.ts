/** What is worth a look, although it may be nothing: rules over the events of a run, each of which speaks once in a while. */
import { isIP } from "node:net"
import type { Severity } from "../../schema/events.ts"
import { TOOL_EVENT_FORMAT, type AnomalyRule, type ToolEvent } from "../../schema/tool-event.ts"

/** Refusals in a second; P1.3 has 1000 calls of any kind, of which a program that reads files makes more. */
const MOST_REFUSALS = 100
const SECOND_NS = 1_000_000_000n
const SIGSYS = 31
/** One rule says so much of one run, and no more. */
const MOST_OF_A_RULE = 10
/** Programs that are remembered of one tool. */
const MOST_PROGRAMS = 256

/** Programs that tools have started before; kept from run to run. */
export class KnownPrograms {
  readonly #byTool = new Map<string, Set<string>>()
  /** Tools that were never run before: whatever they start is new. */
  readonly #learning = new Set<string>()

  begin(tool: string): void {
    if (!this.#byTool.has(tool)) {
      this.#byTool.set(tool, new Set())
      this.#learning.add(tool)
    } else this.#learning.delete(tool)
  }

  /** Remembers it. True when this tool has been run before without it. */
  isNew(tool: string, path: string): boolean {
    const programs = this.#byTool.get(tool)
    if (programs === undefined || programs.has(path)) return false
    if (programs.size < MOST_PROGRAMS) programs.add(path)
    return !this.#learning.has(tool)
  }
}

interface Found {
  readonly rule: AnomalyRule
  readonly severity: Severity
  readonly detail: string
}

/** The rules of one run. */
export class Rules {
  readonly #tool: string
  readonly #programs: KnownPrograms
  readonly #vaults: readonly string[]
  readonly #places: ReadonlySet<string>
  readonly #said = new Map<AnomalyRule, number>()
  /** Before the tool's program starts, the sandbox's own works with what it takes away. */
  #hasBegun = false
  /** The sandbox's first process, bubblewrap's own, which makes a run's first event. */
  #first: number | undefined
  #windowStart = 0n
  #refusals = 0

  /**
   * `mountpoint`: of the filesystem, whose vault has that name in sandboxes, too. `granted`: what the tool may connect to, as
   * ADDRESS:PORT.
   */
  constructor(tool: string, mountpoint: string, programs: KnownPrograms, granted: readonly string[] = []) {
    this.#places = new Set(granted)
    this.#tool = tool
    this.#programs = programs
    this.#vaults = [`${mountpoint}/vault`, "/clawfs/vault"]
  }

  /** What `event` gives rise to. */
  judge(event: ToolEvent): ToolEvent[] {
    this.#first ??= event.pid
    this.#hasBegun ||= event.type === "PROCESS_START" && event.file !== undefined
    if (!this.#hasBegun) return []
    return [
      this.#refusalRate(event),
      this.#program(event),
      this.#vault(event),
      this.#host(event),
      this.#call(event),
      setuid(event),
    ]
      .filter((found) => found !== undefined)
      .filter(({ rule }) => this.#maySay(rule))
      .map((found) => anomaly(event, found))
  }

  #maySay(rule: AnomalyRule): boolean {
    const said = this.#said.get(rule) ?? 0
    this.#said.set(rule, said + 1)
    return said < MOST_OF_A_RULE
  }

  #refusalRate({ type, monotonic_ns }: ToolEvent): Found | undefined {
    if (type !== "POLICY_VIOLATION") return undefined
    const now = BigInt(monotonic_ns)
    if (now - this.#windowStart >= SECOND_NS) {
      this.#windowStart = now
      this.#refusals = 0
    }
    this.#refusals += 1
    if (this.#refusals !== MOST_REFUSALS) return undefined
    return { rule: "refusal-rate", severity: "MEDIUM", detail: `${MOST_REFUSALS} refusals in a second` }
  }

  #program({ type, file }: ToolEvent): Found | undefined {
    if (type !== "PROCESS_START" || file === undefined) return undefined
    if (!this.#programs.isNew(this.#tool, file.path)) return undefined
    return { rule: "new-executable", severity: "LOW", detail: `it started ${file.path} for the first time` }
  }

  #vault({ file, error }: ToolEvent): Found | undefined {
    const path = file?.path
    if (path === undefined || !this.#vaults.some((each) => path === each || path.startsWith(`${each}/`)))
      return undefined
    const severity = error === undefined ? "CRITICAL" : "HIGH"
    return { rule: "vault-access", severity, detail: `${file?.operation ?? ""} ${path}` }
  }

  #call(event: ToolEvent): Found | undefined {
    // It takes its own rights away beside the program that it has just started, and may come later.
    const isOwnLast = event.call === "capset" && event.pid === this.#first
    return isOwnLast ? undefined : call(event)
  }

  #host({ network }: ToolEvent): Found | undefined {
    if (network?.direction !== "OUTBOUND" || isLoopback(network.address)) return undefined
    const { protocol, address, port } = network
    if (protocol !== "UDP" && this.#places.has(`${address}:${port}`)) return undefined
    return { rule: "unknown-host", severity: "HIGH", detail: `${protocol} to ${address}, port ${port}` }
  }
}

function call({ type, call: name, layer, process, error }: ToolEvent): Found | undefined {
  if (type === "PROCESS_EXIT" && process?.signal === SIGSYS)
    return {
      rule: "killed-for-call",
      severity: "HIGH",
      detail: `${process.name} used another architecture's call`,
    }
  if (type !== "SYSTEM_CALL" || name === undefined || layer !== undefined || error !== undefined)
    return undefined
  return { rule: "privileged-call", severity: "HIGH", detail: `${name} was not refused` }
}

const SETUID_OR_SETGID = 0o6000

function setuid({ type, file }: ToolEvent): Found | undefined {
  if (type !== "PROCESS_START" || file === undefined || ((file.mode ?? 0) & SETUID_OR_SETGID) === 0)
    return undefined
  return { rule: "setuid-program", severity: "MEDIUM", detail: `it started ${file.path}` }
}

function isLoopback(address: string): boolean {
  return isIP(address) === 4 ? address.startsWith("127.") : address === "::1"
}

function anomaly({ time, monotonic_ns, run, tool, pid, tid }: ToolEvent, found: Found): ToolEvent {
  return {
    format: TOOL_EVENT_FORMAT,
    time,
    monotonic_ns,
    type: "SYSCALL_ANOMALY",
    run,
    tool,
    pid,
    tid,
    anomaly: found,
  }
}
