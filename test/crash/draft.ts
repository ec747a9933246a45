/**
 * The steps that loads do, and a plan that is being written: a list of steps, with what they leave of each file.
 */
import { Random } from "../model/random.ts"

export type Step =
  | { readonly op: "mkdir"; readonly path: string }
  | { readonly op: "create"; readonly path: string }
  /** `sync`: through a descriptor with O_DSYNC. */
  | {
      readonly op: "write"
      readonly path: string
      readonly at: number
      readonly length: number
      readonly seed: number
      readonly sync: boolean
    }
  | { readonly op: "truncate"; readonly path: string; readonly size: number }
  | { readonly op: "rename"; readonly path: string; readonly to: string }
  | { readonly op: "unlink"; readonly path: string }
  /** Of a file, or of the load's directory: "". */
  | { readonly op: "fsync"; readonly path: string }
  /** Long enough for a commit, and for a background flush now and then. */
  | { readonly op: "pause"; readonly ms: number }
  /** SIGKILL to the server. */
  | { readonly op: "kill" }
  | TreeStep

/** What is done with the load's directory as a whole, by commands instead of system calls. */
export type TreeStep =
  | { readonly op: "snapshot" | "deleteSnapshot" | "restore"; readonly name: string }
  /** `key`: the number of a key file. */
  | { readonly op: "encrypt"; readonly key: number }
  /** Returns when the new key file is the one that counts; file keys are wrapped anew while the load goes on. */
  | { readonly op: "rekey"; readonly from: number; readonly to: number }
  /** Locked and unlocked again. */
  | { readonly op: "relock"; readonly key: number }
  /** 0: none. */
  | { readonly op: "limit"; readonly bytes: number; readonly inodes: number }
  | { readonly op: "unlimit" }
  /** At a limit: a write at `at`, or without it a new file, that must give EDQUOT and change nothing. */
  | { readonly op: "refused"; readonly path: string; readonly at?: number }
  /** The whole log is to be cleaned, in the background. */
  | { readonly op: "clean" }

/** Once the step has returned, it and all before it must outlive a power cut. */
export const isPromise = (step: Step): boolean => step.op === "fsync" || (step.op === "write" && step.sync)

const INLINE_MAX = 16 * 1024
export const SMALL = ["s0", "s1", "s2", "s3", "s4", "s5"]
export const LARGE = ["l0", "l1", "l2", "l3"]

export interface PlanOptions {
  readonly seed: number
  readonly steps: number
  /** The most that a write to a large file has. */
  readonly largest: number
  readonly kills?: number
  /** Begins with much that nobody syncs. */
  readonly rush?: boolean
  /** Large files stay, so that segments fill up. */
  readonly keeps?: boolean
  /** What is done besides, and with what in front of the snapshots' names. */
  readonly tree?: TreeOptions
}

export interface TreeOptions {
  readonly prefix: string
  readonly snapshots?: boolean
  /** The directory is an encrypted tree. */
  readonly encrypted?: boolean
  readonly limits?: boolean
}

/** A growing list of steps, with the size of each file that they leave. */
export class Draft {
  readonly steps: Step[] = []
  readonly sizes = new Map<string, number>()
  /** The sizes of the files in each snapshot. */
  readonly snapshots = new Map<string, ReadonlyMap<string, number>>()
  /** Snapshots so far. */
  made = 0
  /** The key file that opens the tree. */
  key = 1
  readonly random: Random
  readonly #options: PlanOptions

  constructor(options: PlanOptions) {
    this.#options = options
    this.random = new Random(options.seed)
  }

  add(step: Step): void {
    this.steps.push(step)
  }

  length(name: string): number {
    const { random } = this
    if (SMALL.includes(name) || name === "config") return 1 + random.below(INLINE_MAX)
    const large = INLINE_MAX + 1 + random.below(this.#options.largest - INLINE_MAX)
    return random.chance(0.8) ? large : 1 + random.below(9000)
  }

  write(path: string, at: number, length: number, details: { seed?: number; sync?: boolean } = {}): void {
    const seed = details.seed ?? this.random.below(1_000_000)
    this.add({ op: "write", path, at, length, seed, sync: details.sync ?? false })
    this.sizes.set(path, Math.max(this.sizes.get(path) ?? 0, at + length))
  }

  /** Makes the file if it is not there. */
  create(path: string): void {
    if (this.sizes.has(path)) return
    this.add({ op: "create", path })
    this.sizes.set(path, 0)
  }

  /** A file that holds something, if there is one. */
  anyWithBytes(): readonly [path: string, size: number] | undefined {
    const found = [...this.sizes].filter(([, size]) => size > 0)
    return found.length === 0 ? undefined : this.random.pick(found)
  }

  unlink(path: string): void {
    if (this.sizes.delete(path)) this.add({ op: "unlink", path })
  }

  fsync(path: string): void {
    this.add({ op: "fsync", path })
  }
}

export type Move = (draft: Draft) => void

export type Moves = Readonly<Record<string, readonly [weight: number, move: Move]>>
