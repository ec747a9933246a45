/** A store with a mount and its index, and the daemon's socket: what a program on this machine has. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run, runNow, sleep } from "../command.ts"
import type { Guard } from "../mounts.ts"
import { abortMount, unmountBelow } from "../mounts.ts"
import { clawfsCli, productModule } from "../paths.ts"

type Call = (store: string, method: string, params?: Record<string, unknown>) => Promise<unknown>

/** As much as the benchmark reads of it. */
export interface IndexStatus {
  readonly files: { readonly indexed: number }
  readonly chunks: number
  readonly embedders: readonly {
    readonly id: string
    readonly done: number
    readonly isCurrent: boolean
    readonly graph: { readonly vectors: number; readonly recall: number } | "exact"
  }[]
  readonly last: number
  readonly pending: number
  readonly isIndexing: boolean
  readonly isEmbedding: boolean
}

export interface Hit {
  readonly path: string
  readonly score: number
}

const clawfs = (...args: string[]): string[] => [process.execPath, clawfsCli, ...args]

export class Daemon {
  readonly store: string
  readonly mountpoint: string
  readonly #call: Call

  private constructor(base: string, call: Call) {
    this.store = join(base, "store")
    this.mountpoint = join(base, "mnt")
    this.#call = call
  }

  /** Makes a store below `base`, not mounted yet. */
  static async make(base: string, guard: Guard): Promise<Daemon> {
    if (!existsSync(clawfsCli)) throw new Error(`not built: ${clawfsCli} does not exist`)
    const client = (await import(productModule("clawfs/api/client.js"))) as {
      call: Call
    }
    const daemon = new Daemon(base, client.call)
    mkdirSync(daemon.mountpoint, { recursive: true })
    await run(clawfs("init", daemon.store, "--user"))
    guard.add(() => {
      runNow(clawfs("unmount", daemon.mountpoint), 20_000)
      unmountBelow(daemon.mountpoint)
    })
    return daemon
  }

  async mount(...flags: string[]): Promise<void> {
    const onTimeout = (): void => abortMount(this.mountpoint)
    await run(clawfs("mount", ...flags, this.store, this.mountpoint), { timeoutMs: 60_000, onTimeout })
  }

  async unmount(): Promise<void> {
    await run(clawfs("unmount", this.mountpoint), { timeoutMs: 60_000 })
  }

  configure(embedder: Record<string, unknown>): void {
    mkdirSync(join(this.store, "index"), { recursive: true, mode: 0o700 })
    writeFileSync(join(this.store, "index", "config.json"), JSON.stringify({ embedder }), { mode: 0o600 })
  }

  /** Undefined while there is none to ask. */
  async status(): Promise<IndexStatus | undefined> {
    try {
      return (await this.#call(this.store, "index.status")) as IndexStatus
    } catch {
      return undefined
    }
  }

  /** Waits for a state of the index; returns after how many seconds it was there. */
  async until(isReached: (status: IndexStatus) => boolean, timeoutSeconds: number): Promise<number> {
    const started = performance.now()
    for (;;) {
      const status = await this.status()
      const seconds = (performance.now() - started) / 1000
      if (status !== undefined && isReached(status)) return seconds
      if (seconds > timeoutSeconds)
        throw new Error(`the index does not get ready in ${timeoutSeconds} s: ${JSON.stringify(status)}`)
      await sleep(50)
    }
  }

  async search(query: string, options: Record<string, unknown> = {}): Promise<readonly Hit[]> {
    const answer = (await this.#call(this.store, "search", { query, ...options })) as {
      results: readonly Hit[]
    }
    return answer.results
  }

  command(...args: string[]): readonly string[] {
    return clawfs(...args)
  }
}

export const hasWords = ({ isIndexing, last, pending }: IndexStatus): boolean =>
  last > 0 && !isIndexing && pending === 0
export const hasVectors = (status: IndexStatus): boolean =>
  hasWords(status) && status.embedders.some(({ done, isCurrent }) => isCurrent && done >= status.chunks)
/** Also by what the built-in embedder has learned from the files. */
export const hasLearned = (status: IndexStatus): boolean =>
  hasVectors(status) && status.embedders.length === 1 && !(status.embedders[0]?.id ?? ":0").endsWith(":0")
