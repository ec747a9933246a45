/** What the vault's process, its mount's guard and the thread that waits for requests tell each other. */
import type { FaultKind } from "../../clawfs/core/fault.ts"

/** Descriptor of the guard. */
export const GUARD_SOCKET = 3
/** The kernel shows the mount as "fuse.clawfs-vault". */
export const VAULT_SUBTYPE = "clawfs-vault"

export interface GuardOrder {
  readonly mountpoint: string
  /** Shown as the device. */
  readonly source: string
  /** So long without a message, and the mount is taken away. */
  readonly patienceMs: number
}

/** With a success comes the connection's descriptor. */
export type GuardReport =
  | { readonly ok: true }
  | {
      readonly ok: false
      readonly error: {
        readonly kind: FaultKind
        readonly message: string
        readonly hint?: string | undefined
      }
    }

export interface MountWorkerData {
  /** To the guard. */
  readonly socket: number
  /** Readable when the thread shall end. */
  readonly stop: number
  /** One Int32: 1 while the main thread works on what it was told of. */
  readonly turn: SharedArrayBuffer
}

/** From the waiting thread to the main one. */
export type MountEvent =
  | { readonly kind: "mounted"; readonly fd: number }
  | { readonly kind: "failed"; readonly report: Extract<GuardReport, { ok: false }>["error"] }
  | { readonly kind: "request" }
  /** The guard is gone. */
  | { readonly kind: "unguarded" }
