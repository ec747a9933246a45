/** What the threads of the server tell each other, and the configuration that the supervisor gives it. */
import type { MessagePort } from "node:worker_threads"
import type { NodeId } from "../core/brand.ts"
import type { FaultKind } from "../core/fault.ts"
import type { Level } from "../core/log.ts"
import type { CrewMemory } from "../../keyring/record-crew.ts"
import type { KeySlot } from "../../keyring/slots.ts"
import type { Wanted } from "../fs/search-directories.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Unconfined } from "../../schema/sandbox.ts"
import type { GuardAction } from "../store/trees.ts"

/** Descriptors that the supervisor passes to every server, by number. */
export const ServerFd = { FUSE: 3, MEMORY: 4, LOCK: 5 } as const

export interface ServerConfig {
  readonly store: string
  readonly mountpoint: string
  readonly readOnly: boolean
  readonly writeback: boolean
  readonly openIsAsked: boolean
  /** CPUs may sleep while requests come in. */
  readonly powerSave: boolean
  /** How long an acknowledged change may wait for the disk, in seconds. */
  readonly flushSeconds: number
  /** The search index follows the store. */
  readonly index: boolean
  /** The store is read through every so many days; 0: never by itself. */
  readonly scrubDays: number
  /** Directory of the vault that may open encrypted trees. */
  readonly vault: string
  readonly logLevel: Level
  /** Servers before this one on the same mount. */
  readonly restarts: number
  readonly supervisorPid: number
  /** Why the daemon runs under no list of system calls; undefined when it does. */
  readonly unconfined: Unconfined | undefined
  /** Test hook: the server kills itself after a commit and before the reply, once in so many commits; 0: never. */
  readonly killAfterCommit: number
}

export interface WorkerData {
  readonly config: ServerConfig
  readonly sync: MessagePort
  /** Ends the serving thread's sleep: the eventfd's number. */
  readonly wake: number
  /** The serving thread's alone. */
  readonly orders?: OrdersData
  /** The serving thread's and its helper's alone. */
  readonly crew?: ServerCrew
}

/** Memory that requests, replies and payloads lie in: a second thread seals and opens records there (`keyring/record-crew.ts`). */
export interface ServerCrew {
  readonly request: SharedArrayBuffer
  readonly reply: SharedArrayBuffer
  readonly payloads: SharedArrayBuffer
  readonly memory: CrewMemory
}

/** Main thread → serving thread, which sleeps in poll(2): a message, then a signal on the eventfd `wake`. */
export interface OrdersData {
  readonly port: MessagePort
}

export type Order =
  | { readonly kind: "clean" }
  /** Something that changes or reads the tree, between two requests; it gets one `OrderReply`. */
  | {
      readonly kind: "run"
      readonly id: number
      readonly method: string
      readonly params: object
    }

/** Serving thread → main thread. */
export type OrderReply =
  /** `stale`: what the kernel has to forget, before anybody hears of the result. */
  | { readonly id: number; readonly ok: true; readonly value: unknown; readonly stale: Stale }
  | { readonly id: number; readonly ok: false; readonly fault: FaultReport }

/**
 * What is to be done with the keys of encrypted trees. Bytes of keys are moved, not copied. `isKept`: the kernel has the key
 * for a server to come.
 */
export type KeyOrder =
  | { readonly do: "list" }
  | {
      readonly do: "encrypt"
      readonly ino: number
      readonly id: number
      readonly key: Uint8Array
      readonly slot: KeySlot
      readonly isKept: boolean
    }
  | {
      readonly do: "unlock"
      readonly id: number
      readonly generation: number
      readonly key: Uint8Array
      readonly isKept: boolean
    }
  /** From now on the journal has nothing of the tree that would need its key; without `id`: of no tree. */
  | { readonly do: "settle"; readonly id?: number }
  /** What the kernel has of the tree is stale then; `held`: as if it were. */
  | { readonly do: "held"; readonly id: number }
  | { readonly do: "lock"; readonly id: number }
  | { readonly do: "add slot"; readonly id: number; readonly key: Uint8Array; readonly slot: KeySlot }
  | { readonly do: "remove slot"; readonly id: number; readonly slot: number }
  | {
      readonly do: "rekey"
      readonly id: number
      readonly generation: number
      readonly key: Uint8Array
      readonly next: Uint8Array
      readonly slot: KeySlot
      readonly isKept: boolean
    }

export interface KeyReport {
  readonly uuid: Uint8Array
  /** What the next encrypted tree's key will be numbered. */
  readonly nextId: number
  readonly keys: readonly KeyState[]
}

export interface KeyState {
  readonly id: number
  readonly generation: number
  readonly checkValue: Uint8Array
  readonly locked: boolean
  /** Directories that are encrypted under it. */
  readonly tops: readonly number[]
  readonly slots: readonly KeySlot[]
  /** File keys are being wrapped anew; so many are done since the server started. */
  readonly rekeying: boolean
  readonly rewrapped: number
}

/** Bytes that are about to be written to a guarded directory, and what lies beside them in the file. */
export interface WantedLook {
  readonly key: number
  readonly action: GuardAction
  readonly bytes: Uint8Array
  /** Which of them are new. */
  readonly from: number
  readonly to: number
  readonly ino: number
  /** Who writes; of what the kernel writes from its cache the file's owner. */
  readonly writer: { readonly uid: number; readonly pid: number }
}

/** What came of a look; without `leaks` nobody could look. */
export interface Looked {
  readonly key: number
  readonly leaks: number | undefined
  /** Bytes of the longest form of a secret. */
  readonly longest: number | undefined
}

/** An fsync that the sync worker will answer, and its slot in the session memory. */
export interface Fsync {
  readonly slot: number
  readonly uniqueLow: number
  readonly uniqueHigh: number
}

/** Serving thread → sync worker. */
export type SyncMessage =
  | { readonly kind: "fsync"; readonly requests: readonly Fsync[] }
  /** So much of the log may begin its way to the disk. */
  | { readonly kind: "written"; readonly from: number; readonly to: number }
  /** Segments that nothing points to once the commits so far are durable. */
  | {
      readonly kind: "dead"
      readonly segments: readonly number[]
      /** The disk is full: their space is needed now. */
      readonly isUrgent: boolean
    }

/** Main thread → sync worker, with a number that the answer repeats. */
export interface FlushRequest {
  readonly kind: "flush"
  readonly id: number
  /** Nothing will follow: fold the WAL back and close the database. */
  readonly last: boolean
}

export interface FaultReport {
  readonly kind: FaultKind
  readonly message: string
  readonly hint?: string | undefined
}

export type WorkerReport =
  /** The store is open and migrated. */
  | { readonly kind: "opened" }
  | { readonly kind: "failed"; readonly fault: FaultReport }
  | { readonly kind: "serving" }
  /** There is a key: records will be sealed and opened. */
  | { readonly kind: "unlocked" }
  | { readonly kind: "closed" }
  | { readonly kind: "flushed"; readonly id: number; readonly error?: string }
  /** The generation of a key that was in force until a re-key has ended. */
  | { readonly kind: "retired"; readonly id: number; readonly generation: number }
  /** Somebody looks into a directory of `.search`; it gets one order "search.done". */
  | { readonly kind: "search"; readonly wanted: Wanted }
  /** Somebody writes to a guarded directory; it gets one order "guard.done". */
  | { readonly kind: "look"; readonly wanted: WantedLook }
  /** The kernel has pages of a file that were refused, and has to forget them. */
  | { readonly kind: "stale"; readonly node: NodeId }

/** Server process → supervisor. */
export type ServerReport =
  | { readonly kind: "serving" }
  | { readonly kind: "failed"; readonly fault: FaultReport }
  | { readonly kind: "flushed" }
  /** The kernel has to forget something; the answer is "forgotten". */
  | { readonly kind: "forget"; readonly id: number; readonly stale: Stale }

/** Supervisor → server process. */
export type ServerOrder =
  /** The answer is "flushed". */
  { readonly kind: "flush" } | { readonly kind: "forgotten"; readonly id: number }

/** Exit statuses of the server that the supervisor understands. Any other end is a crash. */
export const ServerExit = { CLOSED: 0, CRASHED: 70, CANNOT_START: 71 } as const
