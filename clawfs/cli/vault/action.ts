/** What an action of `clawfs vault` is given. */
import type { VaultInvocation } from "../commands/vault.ts"

export interface VaultAction {
  readonly directory: string
  readonly values: VaultInvocation["values"]
  /** What stands behind the action. */
  readonly operands: readonly string[]
  readonly terminal: VaultInvocation["terminal"]
}
