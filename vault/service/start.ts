/** What whoever starts the vault's process tells it, and what it answers. Secrets go through the pipe behind the text. */
import type { FaultKind } from "../../clawfs/core/fault.ts"
import type { SecretKind } from "../../keyring/secret-protector.ts"

/** Descriptors of the process. */
export const StartFd = { ORDER: 3, REPORT: 4 } as const

/** One line of JSON, then the bytes of the secret, then those of the PIN. */
export interface StartOrder {
  readonly directory: string
  /** What the person gives; none: the TPM is asked. */
  readonly person?: { readonly kind: SecretKind; readonly bytes: number } | undefined
  readonly pinBytes: number
  /** Take the database as it is, whatever the TPM's counter says. */
  readonly adopts: boolean
  /** Who asked. */
  readonly uid: number
  readonly pid: number
}

/** One line of JSON, then the end: the process goes on by itself. */
export type StartReport =
  | { readonly ok: true; readonly pid: number }
  | {
      readonly ok: false
      readonly error: {
        readonly kind: FaultKind
        readonly message: string
        readonly hint?: string | undefined
      }
    }

export const MOST_ORDER_BYTES = 32 * 1024
