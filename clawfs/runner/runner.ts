/**
 * Takes callers at a socket, runs their tools, answers. One runner serves one mount; it is a process of its own, so that
 * nothing that a tool or caller does happens where files are served or keys are held.
 */
import { closeSync, statSync } from "node:fs"
import { Socket } from "node:net"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import type { RegistryEntry, ToolDefinition } from "../../schema/tool.ts"
import { SandboxPolicy, type Control, type ControlName, type SandboxStatus } from "../../schema/sandbox.ts"
import { Fault, describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { Monitor } from "../monitor/monitor.ts"
import type { Absent } from "../monitor/program.ts"
import { UnixListener, peerOf, receiveFirst } from "../sys/unix-listener.ts"
import { ToolPlaces } from "../tools/places.ts"
import { readPolicy } from "../tools/policy.ts"
import { entryOf, readDefinition, readRegistry } from "../tools/registry.ts"
import { mountAt } from "../sys/mountinfo.ts"
import { requireAsSigned } from "../manifest/signed-manifest.ts"
import type { RunnerConfig } from "./messages.ts"
import { AppArmor } from "./apparmor.ts"
import { Binaries, isSameFile, openRoot } from "./binaries.ts"
import { Cgroups, removeStaleGroups } from "./cgroup.ts"
import { Conversation, type Caller, type Incoming } from "./conversation.ts"
import { notBegun, type Ending, type Outcome } from "./ending.ts"
import { Filters } from "./filters.ts"
import { planOf } from "./plan.ts"
import { findBwrap } from "./find-programs.ts"
import { Keeper } from "./keeper.ts"
import { LinkProgram } from "./link-program.ts"
import { KnownFiles } from "./known-files.ts"
import { probe } from "./probe.ts"
import { Ready } from "./ready.ts"
import { Requests } from "./requests.ts"
import { Records, newRunId } from "./records.ts"
import { refusal, type Told } from "./outcome.ts"
import { Run, ungroupedIn, type RunMeans, type RunRequest } from "./run.ts"
import { socketName } from "./wire.ts"
import { Warm } from "./warm.ts"
import { hasGroups, monitorOptions } from "./watch.ts"

const HELLO_MS = 10_000
/** What the vault has signed of these must be as it was, or no tool runs (docs/VAULT.md). */
const SIGNED = ["specs", "tools"] as const
/** Clients that have not yet said what they want; another one waits in the kernel's queue. */
const MOST_UNHEARD = 128
/** Runs that are over, but not yet recorded and cleared away; who calls again and again is no faster than that. */
const MOST_FINISHING = 8

export class Runner implements AsyncDisposable {
  readonly #places: ToolPlaces
  readonly #vault: string
  readonly #log: Log
  #listener: UnixListener | undefined
  readonly #records: Records
  readonly #binaries = new Binaries()
  readonly #files = new KnownFiles()
  readonly #cgroups: Cgroups
  readonly #keeper: Keeper | undefined
  readonly #ready: Ready | undefined
  #warm: Warm | undefined
  readonly #filters = new Filters()
  readonly #runs = new Set<Run>()
  /** Those of them whose callers have been told: until they are recorded and gone. */
  readonly #finishing = new Map<Run, Promise<void>>()
  readonly #pending = new Set<Promise<void>>()
  #controls: readonly Control[] = []
  #landlock = 0
  readonly #link: ReturnType<typeof LinkProgram.load>
  #apparmor: AppArmor | undefined
  #monitor: Monitor | undefined
  #requests: Requests | undefined
  #unheard = 0

  private constructor({ mountpoint, vault }: RunnerConfig, log: Log, onDeath: () => void) {
    this.#places = new ToolPlaces(mountpoint)
    this.#vault = vault
    this.#log = log
    this.#cgroups = new Cgroups(policyOf(this.#places, log).total)
    const bwrap = findBwrap()
    this.#keeper = bwrap === undefined ? undefined : new Keeper(bwrap, onDeath)
    this.#ready = this.#keeper === undefined ? undefined : new Ready(this.#keeper, this.#cgroups, log)
    this.#records = new Records(this.#places.runs, log)
    this.#link = LinkProgram.load(hasGroups(this.#cgroups))
  }

  /**
   * Tries what this machine can do, then takes callers. Throws when another runner serves this mount. `onDeath`: no tool can
   * be run any more.
   */
  static async start(config: RunnerConfig, log: Log, onDeath: () => void): Promise<Runner> {
    const { mountpoint } = config
    await removeStaleGroups()
    const runner = new Runner(config, log, onDeath)
    runner.#records.complete()
    runner.#records.trim()
    const starting = Monitor.start(monitorOptions(config, runner.#places, runner.#cgroups, log), log)
    const policy = policyOf(runner.#places, log)
    const apparmor = AppArmor.start(mountpoint, policy.apparmor)
    const { reason: noFilters } = runner.#filters
    const probed = await probe({
      keeper: runner.#keeper,
      cgroups: runner.#cgroups,
      seccomp: noFilters === undefined ? () => runner.#filters.open(true) : { reason: noFilters },
      mountpoint,
      apparmor,
      link: runner.#link,
      unconfined: config.unconfined,
    })
    runner.#controls = probed.controls
    runner.#landlock = probed.landlock
    runner.#apparmor = probed.apparmor
    runner.#watch(await starting)
    runner.#ready?.fill()
    runner.#makeAhead(policy.waiting)
    runner.#requests = runner.#takeRequests()
    // Callers that came earlier are trying again.
    runner.#listener = new UnixListener(socketName(statSync(mountpoint).dev), (fd) => runner.#accept(fd))
    return runner
  }

  #makeAhead(most: number): void {
    const [{ mountpoint }, ready] = [this.#places, this.#ready]
    if (ready === undefined) return
    const device = mountAt(mountpoint)?.device
    this.#warm = new Warm({
      ...{ ready, mountpoint, landlock: this.#landlock, log: this.#log },
      ...{ most, ungrouped: ungroupedIn(this.#cgroups.hierarchy) },
      isMounted: () => mountAt(mountpoint)?.device === device,
      openTool: (root, definition) => this.#binaries.open(root, definition),
      seccomp: (maySpawn) => this.#filters.open(maySpawn),
    })
  }

  #watch(started: Monitor | Absent): void {
    if (started instanceof Monitor) this.#monitor = started
    else {
      const { reason: detail, ...more } = started
      this.#controls = this.#controls.map((each) =>
        each.name === "ebpf" ? { name: "ebpf", state: "absent", detail, ...more } : each,
      )
    }
  }

  /** Whoever could put a file there could have executed the tool. A store that is read-only has none. */
  #takeRequests(): Requests | undefined {
    const serve = (caller: Caller, request: RunRequest): Promise<void> =>
      this.#serve(caller, request, () => undefined)
    try {
      return new Requests(this.#places, serve, this.#log)
    } catch (thrown) {
      this.#log.error("requests for tools can't be taken", { reason: describe(thrown) })
      return undefined
    }
  }

  /** What is over by now is recorded and gone then. */
  async status(): Promise<SandboxStatus> {
    const { required } = this.#policy()
    await Promise.all(this.#finishing.values())
    return {
      controls: this.#controlsNow(),
      lacking: this.#lacking(required),
      running: this.#runs.size - this.#finishing.size,
    }
  }

  #policy(): SandboxPolicy {
    return this.#files.get(this.#places.policy, () => readPolicy(this.#places))
  }

  #controlsNow(): readonly Control[] {
    const monitor = this.#monitor
    if (monitor === undefined) return this.#controls
    return this.#controls.map((each) => (each.name === "ebpf" ? monitor.control : each))
  }

  #lacking(required: readonly ControlName[]): ControlName[] {
    const controls = this.#controlsNow()
    return required.filter((name) => controls.find((each) => each.name === name)?.state !== "enforced")
  }

  #accept(fd: number): void {
    if (this.#unheard >= MOST_UNHEARD) {
      closeSync(fd)
      return
    }
    this.#unheard += 1
    const done = this.#hear(fd).catch((thrown: unknown) =>
      this.#log.info("a caller was not understood", { reason: describe(thrown) }),
    )
    this.#pending.add(done)
    void done.finally(() => this.#pending.delete(done))
  }

  async #hear(fd: number): Promise<void> {
    let isHeard = false
    const heard = (): void => {
      if (!isHeard) this.#unheard -= 1
      isHeard = true
    }
    const socket = { peer: peerOf(fd) }
    try {
      const first = await receiveFirst(fd, Conversation.FIRST_BYTES, HELLO_MS)
      const conversation = new Conversation(new Socket({ fd }), first, HELLO_MS)
      using incoming = await conversation.incoming
      heard()
      const request = Object.assign(incoming, { peer: socket.peer })
      await this.#serve(conversation, request, () => this.#requireProof(incoming))
    } finally {
      heard()
    }
  }

  /** `requireMay` throws when this caller may not run the tool. */
  async #serve(caller: Caller, request: RunRequest, requireMay: () => void): Promise<void> {
    const { name } = request.words
    let run: Run | undefined
    try {
      const registry = this.#files.get(this.#places.registry, () => readRegistry(this.#places))
      const entry = entryOf(registry, name)
      if (!entry.enabled) throw new Fault("denied", "it is disabled", { hint: `clawfs tool enable ${name}` })
      requireMay()
      await this.#run(caller, request, entry, (begun) => (run = begun))
    } catch (thrown) {
      if (!(thrown instanceof Fault))
        this.#log.error("a tool can't be run", { name, reason: describe(thrown) })
      await tell(caller, name, refusal(thrown, run?.id))
    }
  }

  /** Who hands over the file that runs the tool has been able to reach it; the socket alone anybody could. */
  #requireProof({ words, proof }: Incoming): void {
    if (!isSameFile(proof, this.#places.command(words.name)))
      throw new Fault("denied", "it was not called by its file in tools/bin", { hint: "install it again" })
  }

  async #run(
    caller: Caller,
    request: RunRequest,
    entry: RegistryEntry,
    onBegun: (run: Run) => void,
  ): Promise<void> {
    while (this.#finishing.size >= MOST_FINISHING) await Promise.race(this.#finishing.values())
    const policy = this.#policy()
    const lacking = this.#lacking(policy.required)
    if (lacking.length > 0)
      throw new Fault(
        "unsupported",
        `this machine does not enforce what is required: ${lacking.join(", ")}`,
        {
          hint: "clawfs sandbox status tells why",
        },
      )
    for (const kind of SIGNED) requireAsSigned(this.#vault, kind, join(this.#places.mountpoint, kind))
    const running = this.#runs.size - this.#finishing.size
    if (running >= policy.total.runs)
      throw new Fault("busy", `${running} tools are running already`, { hint: "try again later" })
    const { words } = request
    const definition = this.#definition(words.name, entry)
    const plan = planOf(definition, policy, words.env)
    const run = new Run(newRunId(), definition, plan, request)
    onBegun(run)
    this.#runs.add(run)
    try {
      caller.listen({
        signal: (signal, isForGroup) => run.signal(signal, isForGroup),
        gone: () => run.cancel("CANCELLED"),
      })
      const { ending, recorded } = await this.#executed(run, definition)
      // Who learns the run's number finds its record complete.
      if (caller.wantsOutcome) await recorded
      // Before: whoever asks for what runs, once the caller has been told, waits for it.
      void this.#finish(run, recorded)
      await tell(caller, words.name, run.told(ending))
    } finally {
      // Not earlier: the tool needs the processors.
      this.#ready?.fill()
      this.#warm?.fill({ definition, plan })
      await this.#finish(run)
    }
  }

  /** Resolves when nothing is left to do for a run that is over. */
  #finish(run: Run, recorded?: Promise<void>): Promise<void> {
    const finishing = this.#finishing.get(run) ?? this.#cleared(run, recorded)
    if (this.#runs.has(run)) this.#finishing.set(run, finishing)
    return finishing
  }

  async #cleared(run: Run, recorded: Promise<void> | undefined): Promise<void> {
    try {
      await recorded
      await run.isGone
    } catch (thrown) {
      this.#log.error("something of a tool stays", { run: run.id, reason: describe(thrown) })
    }
    this.#runs.delete(run)
    this.#finishing.delete(run)
    this.#records.trim()
  }

  #definition(name: string, entry: RegistryEntry): ToolDefinition {
    const path = this.#places.definitionOf(name, entry.current)
    // It has been compared with the hash that the registry had then.
    return this.#files.get(
      path,
      () => readDefinition(this.#places, name, entry),
      JSON.stringify(entry.versions),
    )
  }

  /** Resolves when its caller can be told; it is recorded behind that. Rejects, recorded, when it could not begin. */
  async #executed(
    run: Run,
    definition: ToolDefinition,
  ): Promise<{ readonly ending: Ending; readonly recorded: Promise<void> }> {
    const root = openRoot(this.#places.mountpoint)
    try {
      const tool = this.#binaries.open(root, definition)
      try {
        if (this.#ready === undefined) throw new Fault("unsupported", "bubblewrap is not installed")
        const means: RunMeans = {
          ready: this.#ready,
          warm: this.#warm,
          hierarchy: this.#cgroups.hierarchy,
          mountpoint: this.#places.mountpoint,
          seccomp: (maySpawn) => this.#filters.open(maySpawn),
          landlock: this.#landlock,
          apparmor: this.#apparmor,
          link: this.#link,
          vault: this.#vault,
          monitor: this.#monitor,
        }
        const executing = run.execute(means, root, tool)
        const recorded = this.#recorded(
          run,
          executing.then(({ outcome }) => outcome),
        )
        try {
          const { ending } = await executing
          return { ending, recorded }
        } catch (thrown) {
          await recorded
          throw thrown
        }
      } finally {
        closeSync(tool)
      }
    } finally {
      closeSync(root)
    }
  }

  /** Its record is begun while the sandbox is being set up, and not before: what serves the mount needs a processor for it. */
  async #recorded(run: Run, outcome: Promise<Outcome>): Promise<void> {
    const begun = setImmediate().then(() => this.#records.begin(run.record()))
    const ended = await outcome.catch((thrown: unknown) => notBegun(thrown, run.id))
    const record = await begun
    record.end(run.record(ended))
  }

  /** Ends every tool, and waits until nothing of them is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.[Symbol.dispose]()
    for (const run of this.#runs) run.cancel("CANCELLED")
    await Promise.all(this.#pending)
    await this.#requests?.[Symbol.asyncDispose]()
    await this.#monitor?.[Symbol.asyncDispose]()
    await this.#warm?.[Symbol.asyncDispose]()
    await this.#ready?.[Symbol.asyncDispose]()
    this.#apparmor?.[Symbol.dispose]()
    if (this.#link instanceof LinkProgram) this.#link[Symbol.dispose]()
    await this.#keeper?.[Symbol.asyncDispose]()
    await this.#cgroups[Symbol.asyncDispose]()
  }
}

function tell(caller: Caller, name: string, told: Told): Promise<void> {
  return caller.answer(told, told.message === "" ? "" : `clawfs: ${name}: ${told.message}\n`)
}

/** One that can't be understood keeps tools from running one by one, with its reason. */
function policyOf(places: ToolPlaces, log: Log): SandboxPolicy {
  try {
    return readPolicy(places)
  } catch (thrown) {
    log.error("the policy can't be read", { reason: describe(thrown) })
    return SandboxPolicy.parse({})
  }
}
