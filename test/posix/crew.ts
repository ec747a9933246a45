/** The agents of a run, one process per role, each started when first needed and all in one private mount namespace. */
import { MS } from "./abi.ts"
import { Channel } from "./channel.ts"
import { Posix } from "./posix.ts"
import type { Credentials } from "./wire.ts"

export const TEAM = 71001
export const CLUB = 71010

/** Files in the tests belong to `owner` and the group TEAM; the others stand for the other ways to be judged. */
export const roles = {
  root: { uid: 0, gid: 0, groups: [] },
  owner: { uid: 71001, gid: TEAM, groups: [CLUB] },
  /** same primary group */
  mate: { uid: 71002, gid: TEAM, groups: [] },
  /** same group, but as a supplementary one */
  member: { uid: 71003, gid: 71003, groups: [TEAM] },
  stranger: { uid: 71004, gid: 71004, groups: [] },
} as const satisfies Record<string, Credentials>

export type Role = keyof typeof roles

const CLONE_NEWNS = 0x20000

export class Crew implements Disposable {
  readonly #timeoutMs: number
  readonly #deadline = { at: Infinity }
  readonly #channels = new Map<Role, Channel>()
  readonly #agents = new Map<Role, Posix>()
  /** who has entered the current case's directory */
  readonly #present = new Set<Role>()

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  credentials(role: Role): Credentials {
    return roles[role]
  }

  get(role: Role): Posix {
    const known = this.#agents.get(role)
    if (known !== undefined && this.#channels.get(role)?.isOpen === true) return known
    if (role === "root") this[Symbol.dispose]()
    const channel = this.#start(role)
    const agent = new Posix(role, channel, this.#deadline)
    this.#channels.set(role, channel)
    this.#agents.set(role, agent)
    agent.umask(0)
    if (role === "root") isolate(agent)
    return agent
  }

  #start(role: Role): Channel {
    const timeoutMs = this.#timeoutMs
    if (role === "root") return new Channel(roles.root, timeoutMs)
    return new Channel({ ...roles[role], namespaceOf: this.get("root").pid }, timeoutMs)
  }

  /** From now on calls are refused after this time. */
  allow(ms: number): void {
    this.#deadline.at = performance.now() + ms
  }

  /** The agent, with `directory` as its working directory. */
  enter(role: Role, directory: string): Posix {
    const agent = this.get(role)
    if (!this.#present.has(role)) {
      const moved = agent.chdir(directory)
      if (!moved.isOk) throw new Error(`${moved.toString()}: ${moved.error}`)
      this.#present.add(role)
    }
    return agent
  }

  /** Leaves no descriptor and no umask behind; the working directory changes with the next case. */
  leave(): void {
    this.#deadline.at = Infinity
    for (const role of this.#present) {
      const agent = this.#agents.get(role)
      if (this.#channels.get(role)?.isOpen !== true || agent === undefined) continue
      agent.closeAll()
      agent.umask(0)
    }
    this.#present.clear()
  }

  [Symbol.dispose](): void {
    for (const channel of this.#channels.values()) channel[Symbol.dispose]()
    this.#channels.clear()
    this.#agents.clear()
    this.#present.clear()
  }
}

/** Mounts made from now on are seen by agents only and vanish with them. */
function isolate(agent: Posix): void {
  for (const step of [
    agent.call("unshare", [CLONE_NEWNS]),
    agent.call("mount", [0, "/", 0, MS.REC | MS.SLAVE, 0]),
  ])
    if (!step.isOk) throw new Error(`${step.toString()}: ${step.error}`)
}
