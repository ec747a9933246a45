/** What `network:outbound:…` means: one TCP port of one host, named by its IPv4 address or by its name. */
import { BlockList, isIPv4 } from "node:net"
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

/** Addresses that are not of the public internet (the IANA's registries of special-purpose addresses). */
const special = new BlockList()
for (const [network, prefix] of [
  ...([
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
  ] as const),
  ...([
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.0.2.0", 24],
    ["192.88.99.0", 24],
    ["192.168.0.0", 16],
  ] as const),
  ...([
    ["198.18.0.0", 15],
    ["198.51.100.0", 24],
    ["203.0.113.0", 24],
    ["224.0.0.0", 3],
  ] as const),
])
  special.addSubnet(network, prefix)
// What carries an IPv4 address inside, and what is set aside within 2000::/3.
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  special.addSubnet(network, prefix, "ipv6")
const globalIpv6 = new BlockList()
globalIpv6.addSubnet("2000::", 3, "ipv6")

/** Of the public internet, as far as an address alone can tell. */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !special.check(address)
  return globalIpv6.check(address, "ipv6") && !special.check(address, "ipv6")
}

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
