/**
 * Sandboxes made before anybody calls: what a tool that has just run is likely to need again. Each stands where its
 * last process becomes the program, in its namespaces and control group, under its filter, with its grants mounted, and serves one call.
 */
import { fstatSync } from "node:fs"
import type { ToolDefinition } from "../../schema/tool.ts"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { closeAll } from "../sys/pipes.ts"
import { openGrant, openRoot } from "./binaries.ts"
import type { SandboxPlan } from "./plan.ts"
import type { Prepared, Ready } from "./ready.ts"
import { Sandbox, type SandboxOptions } from "./sandbox.ts"

/** Waiting at the same time, of one tool; each has some 0.1 MiB. */
export const MOST_OF_A_TOOL = 2
/** Nobody calls: what it has mounted, which may have been removed since, is let go. */
const IDLE_MS = 60_000
/** What waits has the mount mounted, too: unmounted, that lives on until it ends. */
const LOOK_MS = 200

/** What is to be run, and how. */
export interface Wanted {
  readonly definition: ToolDefinition
  readonly plan: SandboxPlan
}

/** A sandbox and what it has been given; its owner leaves it with `leave`. */
export interface Held {
  readonly sandbox: Sandbox
  readonly prepared: Prepared
}

export interface WarmMeans {
  /** Waiting at the same time, of all tools. */
  readonly most: number
  readonly ready: Ready
  readonly mountpoint: string
  readonly landlock: number
  readonly ungrouped: SandboxOptions["ungrouped"]
  /** Whether the mount is still where it was. */
  readonly isMounted: () => boolean
  /** Opens the tool's file below the root of the mount; throws when it is not what was installed. */
  readonly openTool: (root: number, definition: ToolDefinition) => number
  /** Opens the filter for tools that may start programs, or may not. */
  readonly seccomp: (maySpawn: boolean) => number
  readonly log: Log
}

interface Waiting extends Held {
  readonly tool: string
  /** What it was made of: equal for what may be run in it. */
  readonly key: string
  /** Its tool and grants, which may have been replaced since. */
  readonly files: string
  readonly timer: NodeJS.Timeout
}

export class Warm implements AsyncDisposable {
  readonly #means: WarmMeans
  #waiting: readonly Waiting[] = []
  readonly #leaving = new Set<Promise<void>>()
  #filling: NodeJS.Immediate | undefined
  #look: NodeJS.Timeout | undefined
  #isMaking = false
  #isEnding = false

  constructor(means: WarmMeans) {
    this.#means = means
  }

  /**
   * One for a call, which is its owner: made of the same, with the same files, `files` (the tool's, then its grants' in their
   * order). Those of the tool that do not fit any more are ended.
   */
  take(wanted: Wanted, files: readonly number[]): Held | undefined {
    const [key, identity] = [keyOf(wanted), identityOf(files)]
    const own = this.#waiting.filter(({ tool }) => tool === wanted.definition.tool_id)
    for (const each of own) if (each.key !== key || each.files !== identity) this.#drop(each)
    const found = this.#waiting.find((each) => each.key === key)
    if (found === undefined) return undefined
    this.#forget(found)
    return found
  }

  /** Makes some for a tool that has run, when nothing else is to be done. */
  fill(wanted: Wanted): void {
    if (this.#isEnding || this.#isMaking || this.#filling !== undefined) return
    if (this.#means.most === 0 || !isGeneral(wanted.plan)) return
    this.#filling = setImmediate(() => {
      this.#filling = undefined
      this.#isMaking = true
      void this.#make(wanted).then((isMore) => {
        this.#isMaking = false
        this.#means.ready.fill()
        if (isMore) this.fill(wanted)
      })
    })
  }

  /** Whether there may be room for another one. */
  async #make(wanted: Wanted): Promise<boolean> {
    const key = keyOf(wanted)
    const tool = wanted.definition.tool_id
    const { most, log } = this.#means
    if (this.#waiting.filter((each) => each.key === key).length >= Math.min(MOST_OF_A_TOOL, most))
      return false
    const [oldest] = this.#waiting
    if (this.#waiting.length >= most && oldest !== undefined) this.#drop(oldest)
    try {
      const { held, files } = this.#start(wanted)
      const timer = setTimeout(() => this.#drop(waiting), IDLE_MS).unref()
      const waiting = { ...held, tool, key, files, timer }
      this.#waiting = [...this.#waiting, waiting]
      this.#look ??= setInterval(() => this.#lookAtMount(), LOOK_MS).unref()
      void held.sandbox.ended.then(() => this.#drop(waiting))
      return await held.sandbox.waiting
    } catch (thrown) {
      // The next call hears of it, if it is not over by then.
      log.info("no sandbox can be made ahead", { tool, reason: describe(thrown) })
      return false
    }
  }

  #start({ definition, plan }: Wanted): { held: Held; files: string } {
    const { ready, mountpoint, landlock, ungrouped, openTool, seccomp } = this.#means
    const opened = [openRoot(mountpoint)]
    const keep = (fd: number): number => (opened.push(fd), fd)
    try {
      const [root = -1] = opened
      const tool = keep(openTool(root, definition))
      const grants = plan.grants.map((grant) => keep(openGrant(root, grant)))
      const filter = keep(seccomp(plan.maySpawn))
      const prepared = ready.take(plan.limits)
      try {
        const sandbox = new Sandbox({
          ...{ slot: prepared.slot, plan, landlock, ungrouped },
          place: { mountpoint, toolName: definition.tool_id, scriptName: undefined },
          files: { terminal: undefined, tool, script: undefined, grants, seccomp: filter, secrets: [] },
        })
        return { held: { sandbox, prepared }, files: identityOf([tool, ...grants]) }
      } catch (thrown) {
        this.#leave(leave(undefined, prepared))
        throw thrown
      }
    } finally {
      closeAll(opened)
    }
  }

  /** One that ends while it waits, or is not wanted any more; nothing happens to one that has been taken. */
  #drop(waiting: Waiting): void {
    if (!this.#forget(waiting)) return
    this.#leave(leave(waiting.sandbox, waiting.prepared))
  }

  #forget(waiting: Waiting): boolean {
    clearTimeout(waiting.timer)
    const others = this.#waiting.filter((each) => each !== waiting)
    const isThere = others.length < this.#waiting.length
    this.#waiting = others
    if (others.length === 0) {
      clearInterval(this.#look)
      this.#look = undefined
    }
    return isThere
  }

  #lookAtMount(): void {
    if (!this.#means.isMounted()) void this[Symbol.asyncDispose]()
  }

  #leave(leaving: Promise<void>): void {
    const left = leaving.catch((thrown: unknown) =>
      this.#means.log.error("a sandbox stays", { reason: describe(thrown) }),
    )
    this.#leaving.add(left)
    void left.finally(() => this.#leaving.delete(left))
  }

  /** Ends those that wait, and makes no more: what they have mounted would keep the mount alive. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    if (this.#filling !== undefined) clearImmediate(this.#filling)
    for (const each of this.#waiting) this.#drop(each)
    await Promise.all(this.#leaving)
  }
}

/** Whether any call can use it: secrets and scripts are known when somebody calls. Users' mounts would be kept busy by it. */
export function isGeneral({ secrets }: SandboxPlan): boolean {
  return secrets.length === 0 && process.getuid?.() === 0
}

/** Ends a sandbox and waits until nothing of it is left, its control group included. */
export async function leave(sandbox: Sandbox | undefined, { slot, cgroup }: Prepared): Promise<void> {
  await sandbox?.[Symbol.asyncDispose]()
  slot[Symbol.dispose]()
  await slot.ended
  await cgroup?.remove()
}

/** All that a sandbox is made of. The environment is the call's. */
function keyOf({ definition, plan }: Wanted): string {
  const { tool_id, version, binary_hash } = definition
  return JSON.stringify([tool_id, version, binary_hash, { ...plan, environment: {} }])
}

function identityOf(files: readonly number[]): string {
  return files
    .map((fd) => fstatSync(fd, { bigint: true }))
    .map(({ dev, ino }) => `${dev}:${ino}`)
    .join(" ")
}
