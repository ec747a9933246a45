/** What the vault's process tells the proxy when it starts it, and what the proxy answers: one line of JSON each. */
import type { FaultKind } from "../../clawfs/core/fault.ts"

export interface ProxyOrder {
  readonly directory: string
  /** Of the loopback; 0: one that is free; undefined: none. */
  readonly port?: number | undefined
}

export type ProxyReport =
  | { readonly ok: true; readonly socket: string; readonly port?: number | undefined }
  | { readonly ok: false; readonly kind: FaultKind; readonly message: string }
