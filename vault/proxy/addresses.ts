/** Where the proxy may connect to. */
import { isIP } from "node:net"
import { isIn, isPublic, listOf, plain } from "../../clawfs/core/addresses.ts"

/** Whether a secret may be sent to this address: a public one, or one of `networks` (ADDRESS/BITS). */
export function mayConnectTo(address: string, networks: readonly string[]): boolean {
  const bare = plain(address)
  return isIP(bare) !== 0 && (isPublic(bare) || isIn(listOf(networks), bare))
}
