/**
 * Profiles of tools in the kernel, where it has AppArmor: made when a tool is called that has none yet, named after the runner
 * and what they say, removed with the runner. The starter enters them as the tool's program begins.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { fstatSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"
import type { Control } from "../../schema/sandbox.ts"
import { Fault } from "../core/fault.ts"
import { isRunning, ownStartTime } from "../sys/process-identity.ts"
import { profileText } from "./apparmor-profile.ts"
import { findApparmorParser } from "./find-programs.ts"
import type { SandboxPlan } from "./plan.ts"

const ENABLED = "/sys/module/apparmor/parameters/enabled"
const PROFILES = "/sys/kernel/security/apparmor/profiles"
const REMOVE = "/sys/kernel/security/apparmor/.remove"
const PREFIX = "clawfs-tool-"
const OWNED = /^(clawfs-tool-(\d+)-(\d+)-[0-9a-f]+) \(/
const NAME_DIGITS = 16

export type AppArmorMode = "enforce" | "complain" | "off"

/** A profile that is loaded. Disposing of it removes one that was made for a single call. */
export interface LoadedProfile extends Disposable {
  readonly name: string
}

export class AppArmor implements Disposable {
  readonly #parser: string
  readonly #mountpoint: string
  readonly #complains: boolean
  readonly #base = `${PREFIX}${process.pid}-${ownStartTime()}-`
  readonly #loaded = new Map<string, Loaded>()

  private constructor(parser: string, mountpoint: string, mode: AppArmorMode) {
    this.#parser = parser
    this.#mountpoint = mountpoint
    this.#complains = mode === "complain"
  }

  /** Takes away what runners that were killed have left. Where there is no AppArmor, the reason is told. */
  static start(mountpoint: string, mode: AppArmorMode): AppArmor | Pick<Control, "detail" | "hint"> {
    if (mode === "off") return { detail: "system/sandbox.json turns it off" }
    if (!isEnabled())
      return { detail: "this kernel does not have it", hint: "boot with lsm=...,apparmor (docs/TOOLS.md)" }
    if (process.getuid?.() !== 0) return { detail: "loading profiles takes root", hint: "mount as root" }
    const parser = findApparmorParser()
    if (parser === undefined)
      return { detail: "apparmor_parser is not installed", hint: "apt-get install apparmor" }
    for (const name of staleProfiles()) remove(name)
    return new AppArmor(parser, mountpoint, mode)
  }

  get control(): Control {
    const name = "apparmor"
    if (!this.#complains) return { name, state: "enforced", detail: "a profile of what a tool is granted" }
    const detail = "a profile of what a tool is granted; what is not is told to the kernel's log alone"
    return { name, state: "degraded", detail, hint: 'system/sandbox.json: "apparmor": "enforce"' }
  }

  /**
   * The profile of a plan; `stdio`: the caller's. One without files of a caller stays for the next call. Throws
   * `Fault("unsupported")` when the kernel refuses it.
   */
  async use(plan: SandboxPlan, stdio: readonly number[]): Promise<LoadedProfile> {
    const given = [...new Set(stdio.filter((fd) => fstatSync(fd).isFile()).map(pathOf))]
    const text = (name: string): string =>
      profileText(plan, { name, given, complains: this.#complains, mountpoint: this.#mountpoint })
    const hash = createHash("sha256").update(text("")).digest("hex")
    const name = `${this.#base}${hash.slice(0, NAME_DIGITS)}`
    const loaded = this.#loaded.get(name) ?? { users: 0, loading: this.#load(text(name)) }
    this.#loaded.set(name, loaded)
    loaded.users += 1
    const leave = (): void => {
      loaded.users -= 1
      if (loaded.users === 0 && given.length > 0) this.#remove(name)
    }
    try {
      await loaded.loading
    } catch (thrown) {
      this.#loaded.delete(name)
      throw thrown
    }
    return { name, [Symbol.dispose]: leave }
  }

  /** From its standard input: nothing of it is written to a file. */
  #load(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#parser, ["--replace", "--skip-cache", "--quiet"], {
        ...{ cwd: "/", env: {}, stdio: ["pipe", "ignore", "pipe"] },
      })
      let said = ""
      child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
      child.stdin.on("error", (cause) => reject(refused(cause.message)))
      child.once("error", (cause) => reject(refused(cause.message)))
      child.once("close", (code) => (code === 0 ? resolve() : reject(refused(said.split("\n")[0] ?? ""))))
      child.stdin.end(text)
    })
  }

  #remove(name: string): void {
    this.#loaded.delete(name)
    remove(name)
  }

  /** To be called when no tool runs any more. */
  [Symbol.dispose](): void {
    for (const name of [...this.#loaded.keys()]) this.#remove(name)
  }
}

interface Loaded {
  users: number
  readonly loading: Promise<void>
}

function refused(reason: string): Fault {
  return new Fault("unsupported", `the AppArmor profile can't be loaded: ${reason}`)
}

function pathOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`)
}

function isEnabled(): boolean {
  try {
    return readFileSync(ENABLED, "latin1").startsWith("Y")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false
    throw cause
  }
}

/** Of runners that have ended. */
function staleProfiles(): string[] {
  return readFileSync(PROFILES, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, name, pid, started] = OWNED.exec(line) ?? []
      const isStale = name !== undefined && started !== undefined && !isRunning(Number(pid), started)
      return isStale ? [name] : []
    })
}

/** One that is gone is no failure. */
function remove(name: string): void {
  try {
    writeFileSync(REMOVE, name)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
  }
}
