/**
 * Which addresses are of the public Internet (IANA's registries of special-purpose addresses, RFC 6890 and its updates). Those
 * that are not lead to the machine, its network, or the metadata of a cloud.
 */
import { BlockList, isIP, isIPv4 } from "node:net"

const SPECIAL_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // Not in a registry: where Azure answers about the machine.
  "168.63.129.16/32",
]
/** Within 2000::/3, which is all that is public. */
const SPECIAL_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48"]

/** `networks`: ADDRESS/BITS. */
export function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = "", bits = ""] = network.split("/")
    list.addSubnet(address, Number(bits), isIPv4(address) ? "ipv4" : "ipv6")
  }
  return list
}

const special = listOf([...SPECIAL_V4, ...SPECIAL_V6])
const global = listOf(["2000::/3"])
const mapped = listOf(["::ffff:0:0/96"])

/** The IPv4 address that a mapped one stands for, and any other as it is. */
export function plain(address: string): string {
  if (isIP(address) !== 6 || !mapped.check(address, "ipv6")) return address
  const groups = address.toLowerCase().replace(/^.*:ffff:/, "")
  if (isIPv4(groups)) return groups
  const [high = 0, low = 0] = groups.split(":").map((group) => parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join(".")
}

export function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? "ipv4" : "ipv6")
}

/** Whether an address, in digits, is of the public Internet. What is no address is not. */
export function isPublic(address: string): boolean {
  const bare = plain(address)
  if (isIP(bare) === 0 || isIn(special, bare)) return false
  return isIPv4(bare) || isIn(global, bare)
}
