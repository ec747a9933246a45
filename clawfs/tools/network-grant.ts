/** What `network:outbound:…` means: one TCP port of one host, named by its IPv4 address or by its name. */
import { BlockList, isIPv4 } from "node:net"
import { isPublic } from "../core/addresses.ts"
import { Fault } from "../core/fault.ts"

export interface NetworkGrant {
  /** An IPv4 address, or a name in lower case. */
  readonly host: string
  readonly port: number
  /** A name is looked up for each connection, and leads to public addresses alone. */
  readonly isAddress: boolean
}

const MOST_PORT = 65_535
const MOST_NAME = 253
/** The last part of a name has a letter at its beginning: what does not is some spelling of an address. */
const NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Names stand for addresses in here, inside of a sandbox. */
export const NAMES_NETWORK = "127.101.0"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8)

/** No host at all: this network, multicast, broadcast; and what names stand for. */
const nowhere = new BlockList()
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["224.0.0.0", 3],
  [`${NAMES_NETWORK}.0`, 24],
] as const)
  nowhere.addSubnet(network, prefix)

/** `place`: what follows `network:outbound:`. Throws `Fault("invalid")`. */
export function parseNetworkGrant(text: string, place: string): NetworkGrant {
  const [, host = "", port = ""] = /^([^:]+):([1-9]\d{0,4})$/.exec(place) ?? []
  const isAddress = isIPv4(host)
  const isName = NAME.test(host) && host.length <= MOST_NAME
  if ((!isAddress && !isName) || Number(port) > MOST_PORT)
    throw new Fault("invalid", `"${text}": it must name one host and one port`, {
      hint: "network:outbound:127.0.0.1:5432, or network:outbound:api.example.org:443; IPv6 addresses can't be granted",
    })
  if (isAddress && nowhere.check(host)) throw new Fault("invalid", `"${text}": no host has this address`)
  return { host, port: Number(port), isAddress }
}

/** Whether it opens more than what one program of this machine, or one host of the internet, offers: a private network's. */
export function isBroad({ host, isAddress }: NetworkGrant): boolean {
  return isAddress && !loopback.check(host) && !isPublic(host)
}
