/** One execution of a tool, from its caller's words to the exit status and the record. */
import { createHash } from "node:crypto"
import { closeSync } from "node:fs"
import { basename } from "node:path"
import { setImmediate } from "node:timers/promises"
import { isatty } from "node:tty"
import { RUN_FORMAT, type RunRecord } from "../../schema/run-record.ts"
import type { ToolDefinition } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import type { Monitor } from "../monitor/monitor.ts"
import type { Peer } from "../sys/unix-listener.ts"
import { SCRIPT_DIRECTORY, TOOL_DIRECTORY, shownAs } from "./bwrap.ts"
import type { AppArmor, LoadedProfile } from "./apparmor.ts"
import { openGrant, requireNoDirectory } from "./binaries.ts"
import { NO_USAGE } from "./cgroup-files.ts"
import type { Hierarchy } from "./cgroup-hierarchy.ts"
import type { Cgroup } from "./cgroup.ts"
import { endingOf, notStarted, type Cancelled, type Ending, type Executed, type Outcome } from "./ending.ts"
import { Link } from "./link.ts"
import { LinkProgram, type LinkCounts } from "./link-program.ts"
import { Network, placesInside } from "./network.ts"
import { toldOf, type Told } from "./outcome.ts"
import type { SandboxPlan } from "./plan.ts"
import type { Prepared, Ready } from "./ready.ts"
import { Sandbox, type SandboxOptions } from "./sandbox.ts"
import { Secrets } from "./secrets.ts"
import { isGeneral, leave, type Held, type Warm } from "./warm.ts"
import { Watch } from "./watch.ts"
import { bytesOf, joinWords, type Word, type Words } from "./wire.ts"

/** Of hashes in definitions. */
const MIB = 1024 * 1024
const HASH_PREFIX = "sha256:"
const SLASH = 0x2f

/** Disposing of it closes its descriptors. */
export interface RunRequest extends Disposable {
  readonly words: Words
  readonly peer: Peer
  readonly stdio: readonly [number, number, number]
  /** The script that the tool is the interpreter of: its place among the arguments, and its descriptor. */
  readonly script: { readonly at: number; readonly fd: number } | undefined
}

export interface RunMeans {
  readonly ready: Ready
  /** Undefined where each sandbox is made for its call. */
  readonly warm: Warm | undefined
  /** Of control groups. */
  readonly hierarchy: Hierarchy
  readonly mountpoint: string
  /** Opens the filter for tools that may start programs, or may not. */
  readonly seccomp: (maySpawn: boolean) => number
  /** The version that is used; 0 for none. */
  readonly landlock: number
  /** Undefined where there is none. */
  readonly apparmor?: AppArmor | undefined
  /** Or why there are no links. */
  readonly link: LinkProgram | { readonly detail: string; readonly hint?: string | undefined }
  /** Directory of the vault that secrets come from. */
  readonly vault: string
  /** Undefined where there is none. */
  readonly monitor: Monitor | undefined
  /** Called with the sandbox's first process, which waits for it. */
  readonly attach?: (pid: number) => Promise<unknown>
}

interface RunFiles {
  readonly tool: number
  readonly grants: readonly number[]
  readonly secrets: Secrets | undefined
}

export class Run {
  readonly id: string
  readonly #definition: ToolDefinition
  readonly #plan: SandboxPlan
  readonly #request: RunRequest
  readonly #started = Date.now()
  #ended: number | undefined
  #sandbox: Sandbox | undefined
  #network: Network | undefined
  #link: Link | undefined
  #packets: LinkCounts | undefined
  #secrets: Secrets | undefined
  #profile: LoadedProfile | undefined
  #isOver = false
  /** Of the sandbox's first process. */
  #pid = 0
  #cancelled: Cancelled | undefined
  #isGone: Promise<void> = Promise.resolve()
  #watched = Watch.NONE

  constructor(id: string, definition: ToolDefinition, plan: SandboxPlan, request: RunRequest) {
    this.id = id
    this.#definition = definition
    this.#plan = plan
    this.#request = request
  }

  get toolName(): string {
    return this.#definition.tool_id
  }

  /** Nothing of the sandbox is left: processes are reaped, its control group is removed. */
  get isGone(): Promise<void> {
    return this.#isGone
  }

  /**
   * Starts the sandbox and waits for its end. Then every process in it has been killed; `isGone` tells when the kernel has
   * done it. `root` and `tool` stay the caller's.
   */
  async execute(means: RunMeans, root: number, tool: number): Promise<Executed> {
    requireNoDirectory(this.#request.stdio)
    if (this.#plan.network.length > 0 && process.getuid?.() !== 0)
      throw new Fault("unsupported", "only root's daemon can grant network connections", {
        hint: "mount as root",
      })
    if (this.#plan.link !== undefined && !(means.link instanceof LinkProgram))
      throw new Fault("unsupported", `it can't have a link: ${means.link.detail}`, means.link)
    const opened: number[] = []
    try {
      const grants = this.#plan.grants.map((grant) => {
        const fd = openGrant(root, grant)
        opened.push(fd)
        return fd
      })
      this.#profile = await means.apparmor?.use(this.#plan, this.#request.stdio)
      this.#secrets = await this.#openSecrets(means)
      return await this.#inSandbox(means, { tool, grants, secrets: this.#secrets })
    } finally {
      this.#secrets?.[Symbol.dispose]()
      const done = (): void => this.#profile?.[Symbol.dispose]()
      void this.#isGone.then(done, done)
      for (const fd of opened) closeSync(fd)
    }
  }

  /** Undefined when the tool has none. */
  async #openSecrets({ vault }: RunMeans): Promise<Secrets | undefined> {
    const { secrets: uses } = this.#plan
    if (uses.length === 0) return undefined
    const { stdio, words, peer } = this.#request
    const { tool_id: tool, binary_hash } = this.#definition
    return await Secrets.open({
      ...{ vault, uses, tool, program: binary_hash.slice(HASH_PREFIX.length), args: words.args.map(String) },
      caller: { uid: peer.uid, pid: peer.pid },
      ...{ stdout: stdio[1], stderr: stdio[2] },
    })
  }

  async #inSandbox(means: RunMeans, files: RunFiles): Promise<Executed> {
    const { prepared, sandbox } = this.#warm(means, files) ?? this.#cold(means, files)
    let executed: Executed | undefined
    try {
      this.#sandbox = sandbox
      this.#begin(sandbox, means, files, prepared)
      if (this.#cancelled !== undefined) sandbox.kill()
      // The sandbox has its own then; a reader of the caller's pipe must not wait for ours.
      await sandbox.handedOver
      this.#request[Symbol.dispose]()
      files.secrets?.handedOver()
      executed = await this.#watch(sandbox, prepared.cgroup, files.secrets)
      return executed
    } finally {
      this.#isGone = cleanUp(sandbox, prepared, executed?.outcome ?? this.#watched.end())
    }
  }

  /** One that has been waiting for this tool. */
  #warm({ warm }: RunMeans, { tool, grants }: RunFiles): Held | undefined {
    // bubblewrap shows a terminal, which it must have for that.
    if (this.#request.script !== undefined || isatty(this.#request.stdio[1])) return undefined
    if (!isGeneral(this.#plan)) return undefined
    return warm?.take({ definition: this.#definition, plan: this.#plan }, [tool, ...grants])
  }

  #cold(means: RunMeans, { tool, grants, secrets }: RunFiles): Held {
    const { ready, mountpoint, landlock, hierarchy } = means
    const { script, stdio } = this.#request
    const prepared = ready.take(this.#plan.limits)
    const seccomp = means.seccomp(this.#plan.maySpawn)
    try {
      const sandbox = new Sandbox({
        slot: prepared.slot,
        plan: this.#plan,
        place: { mountpoint, toolName: this.#definition.tool_id, scriptName: this.#scriptName },
        files: {
          terminal: isatty(stdio[1]) ? stdio[1] : undefined,
          ...{ tool, script: script?.fd, grants, seccomp, secrets: secrets?.values ?? [] },
        },
        landlock,
        ungrouped: ungroupedIn(hierarchy),
      })
      return { prepared, sandbox }
    } catch (thrown) {
      this.#isGone = leave(undefined, prepared)
      throw thrown
    } finally {
      closeSync(seccomp)
    }
  }

  #begin(
    sandbox: Sandbox,
    { mountpoint, monitor, link, attach }: RunMeans,
    { tool, secrets }: RunFiles,
    { cgroup }: Held["prepared"],
  ): void {
    const [stdin, stdout, stderr] = this.#request.stdio
    this.#watched = new Watch(monitor, this.id, this.#definition, this.#plan, cgroup)
    sandbox.begin({
      stdio: [stdin, ...(secrets?.output ?? ([stdout, stderr] as const))],
      command: this.#command(this.#scriptName),
      environment: this.#plan.environment,
      directory: this.#directory(mountpoint),
      profile: this.#profile?.name,
      onRegistered: async (pid) => {
        this.#openLink(pid, link, cgroup)
        await this.#openNetwork(pid)
        await attach?.(pid)
      },
      onFirst: (first, origin) => {
        this.#pid = first.pid
        this.#watched.begin(origin, origin === first, tool)
      },
    })
  }

  /** As the sandbox has it. */
  get #scriptName(): string | undefined {
    const { script, words } = this.#request
    return script === undefined ? undefined : basename(String(words.args[script.at] ?? "script"))
  }

  /** Before the tool has begun: it can't take the place of what listens. */
  async #openNetwork(pid: number): Promise<void> {
    const { network } = this.#plan
    if (network.length === 0) return
    this.#network = await Network.open(pid, network)
    // It has been killed meanwhile: nobody else would close it.
    if (this.#isOver) this.#network[Symbol.dispose]()
  }

  /** The same, of the interfaces. */
  #openLink(pid: number, program: RunMeans["link"], cgroup: Cgroup | undefined): void {
    const { link: grant, network } = this.#plan
    if (grant === undefined || !(program instanceof LinkProgram)) return
    this.#link = new Link(pid, {
      program,
      grant,
      others: placesInside(network),
      group: cgroup?.directories[0],
    })
    if (!this.#isOver) return
    this.#link[Symbol.dispose]()
    this.#link.remove()
  }

  #command(scriptName: string | undefined): Word[] {
    const { interpreter, kind, tool_id } = this.#definition
    const args = this.#request.words.args.map((word, at) =>
      at === this.#request.script?.at ? `${SCRIPT_DIRECTORY}/${scriptName ?? ""}` : word,
    )
    const own = `${TOOL_DIRECTORY}/${tool_id}`
    return kind === "script" && interpreter !== undefined ? [interpreter, own, ...args] : [own, ...args]
  }

  /** The caller's, where the tool can see it. */
  #directory(mountpoint: string): Word {
    const directory = bytesOf(this.#request.words.directory)
    const isSeen = this.#plan.grants.some(({ path }) => {
      const granted = Buffer.from(`${mountpoint}/${path}`)
      const behind = directory[granted.length]
      return (
        directory.subarray(0, granted.length).equals(granted) && (behind === undefined || behind === SLASH)
      )
    })
    if (!isSeen) return "/tmp"
    return Buffer.concat([
      Buffer.from(shownAs(mountpoint)),
      directory.subarray(Buffer.byteLength(mountpoint)),
    ])
  }

  async #watch(
    sandbox: Sandbox,
    cgroup: Cgroup | undefined,
    secrets: Secrets | undefined,
  ): Promise<Executed> {
    const { timeout_seconds } = this.#plan.limits
    const timer = setTimeout(() => this.cancel("TIMEOUT"), timeout_seconds * 1000)
    try {
      void secrets?.done.then((report) => {
        if (report === undefined) this.cancel("LOCKED")
      })
      const { status, wasStarted } = await sandbox.ended
      const { failure } = sandbox
      sandbox.kill()
      this.#isOver = true
      this.#network?.[Symbol.dispose]()
      this.#packets = this.#link?.counts
      this.#link?.[Symbol.dispose]()
      // What it has written reaches the caller first.
      await secrets?.done
      this.#ended = Date.now()
      const isStarted = wasStarted || this.#cancelled !== undefined
      const ending = isStarted
        ? endingOf(status, this.#cancelled, cgroup, this.#plan.limits)
        : notStarted(failure)
      return { ending, outcome: this.#counted(ending, cgroup) }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Not before its caller has been told: that takes a processor, too. */
  async #counted(ending: Ending, cgroup: Cgroup | undefined): Promise<Outcome> {
    await setImmediate()
    this.#link?.remove()
    // The monitor's reader counts meanwhile.
    const counted = this.#watched.end()
    const usage = cgroup?.usage() ?? NO_USAGE
    return { ...ending, usage, events: await counted }
  }

  /** What its caller hears of it. */
  told({ status, reason, detail }: Ending): Told {
    const durationMs = this.#end - this.#started
    return toldOf({ runId: this.id, status, reason, detail, pid: this.#pid, durationMs })
  }

  get #end(): number {
    return this.#ended ?? Date.now()
  }

  /** Kills everything in the sandbox. */
  cancel(reason: Cancelled): void {
    this.#cancelled ??= reason
    // A caller that has gone waits for no output.
    if (reason === "CANCELLED") this.#secrets?.[Symbol.dispose]()
    this.#sandbox?.kill()
  }

  signal(signal: number, isForGroup: boolean): void {
    if (this.#sandbox === undefined) this.cancel("CANCELLED")
    else this.#sandbox.signal(signal, isForGroup)
  }

  /** As it stands when it begins, and with an outcome when it has ended. */
  record(outcome?: Outcome): RunRecord {
    const { tool_id, version, binary_hash } = this.#definition
    const { args } = this.#request.words
    const { uid, gid, pid } = this.#request.peer
    const now = this.#end
    const isEnded = outcome !== undefined
    return {
      format: RUN_FORMAT,
      run_id: this.id,
      tool_id,
      version,
      binary_hash,
      caller: { uid, gid, pid },
      arguments: { count: args.length, sha256: hashOf(args) },
      limits: { ...this.#plan.limits, tmp_limit_mb: this.#plan.tmpBytes / MIB },
      state: isEnded ? "ended" : "running",
      started_at: new Date(this.#started).toISOString(),
      ended_at: isEnded ? new Date(now).toISOString() : null,
      duration_ms: isEnded ? now - this.#started : null,
      exit_status: outcome?.status ?? null,
      reason: outcome?.reason ?? null,
      detail: outcome?.detail ?? null,
      usage: outcome?.usage ?? NO_USAGE,
      packets: this.#packets ?? null,
      events: outcome?.events ?? null,
    }
  }
}

/** `counted`: its control group and its marks are there until then. */
async function cleanUp(sandbox: Sandbox, prepared: Prepared, counted: Promise<unknown>): Promise<void> {
  try {
    await counted
  } finally {
    await leave(sandbox, prepared)
  }
}

/** What no group limits. */
export function ungroupedIn({ controls }: Hierarchy): SandboxOptions["ungrouped"] {
  return { memory: !controls.has("memory"), pids: !controls.has("pids") }
}

function hashOf(words: readonly Word[]): string {
  return createHash("sha256").update(joinWords(words)).digest("hex")
}
