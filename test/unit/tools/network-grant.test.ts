/** Which hosts can be granted, and which addresses a name may lead to. */
import { SandboxPolicy } from "../../../schema/sandbox.ts"
import { expect, test } from "vitest"
import { addressInside, choose, hostsFile } from "../../../clawfs/runner/network.ts"
import { broadOnes, parseCapabilities, parseCapability } from "../../../clawfs/tools/capability.ts"
import { isPublic } from "../../../clawfs/core/addresses.ts"

test("an address or a name, and a port", () => {
  expect(parseCapability("network:outbound:127.0.0.1:5432")).toEqual({
    ...{ kind: "network", host: "127.0.0.1", port: 5432, isAddress: true },
  })
  expect(parseCapability("network:outbound:api.example.org:443")).toEqual({
    ...{ kind: "network", host: "api.example.org", port: 443, isAddress: false },
  })
})

test.each([
  ...["127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:05432", "127.0.0.1:5432:1"],
  ...["*:443", "*.example.org:443", "example.org:*", "example:443", "localhost:5432", "Example.org:443"],
  ...["127.1:80", "0x7f.0.0.1:80", "2130706433:80", "1.2.3.4.:80", "example.org.:80", "[::1]:80", "::1:80"],
  ...["0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "127.101.0.1:80", "10.0.0.0/8:80", "-a.org:80"],
  ...[`${"a.".repeat(130)}org:80`, "a..org:80", "a_b.org:80", "a.org :80", ":80", ""],
])("%j can't be granted", (place) => {
  expect(() => parseCapability(`network:outbound:${place}`)).toThrow(
    expect.objectContaining({ kind: "invalid" }),
  )
})

test("one grant for one place, and not too many", () => {
  const one = "network:outbound:127.0.0.1:5432"
  expect(() => parseCapabilities([one, one])).toThrow("granted twice")
  const many = Array.from({ length: 33 }, (_, at) => `network:outbound:127.0.0.1:${at + 1}`)
  expect(() => parseCapabilities(many)).toThrow("more than 32")
})

test("addresses of private networks are broad: --yes grants them", () => {
  const at = (host: string): string => `network:outbound:${host}:80`
  const broad = ["10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"].map(at)
  expect(broadOnes(parseCapabilities([...broad, at("127.0.0.1"), at("9.9.9.9"), at("a.example")]))).toEqual(
    broad,
  )
})

test("a name leads to public addresses alone, and to none of the machine's own", () => {
  for (const address of ["9.9.9.9", "1.1.1.1", "2606:4700::1111", "223.255.255.255"])
    expect([address, isPublic(address)]).toEqual([address, true])
  for (const address of [
    ...[
      "127.0.0.1",
      "10.1.2.3",
      "172.31.0.1",
      "192.168.0.1",
      "169.254.169.254",
      "100.100.100.100",
      "0.0.0.0",
    ],
    ...["224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::", "::1", "::ffff:127.0.0.1"],
    ...["64:ff9b::7f00:1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2002:7f00:1::"],
    ...["2001::1", "2001:db8::1", "4000::1"],
  ])
    expect([address, isPublic(address)]).toEqual([address, false])
  const found = ["127.0.0.1", "10.0.0.1", "9.9.9.10", "9.9.9.9"].map((address) => ({ address }))
  expect(choose(found, [])).toBe("9.9.9.10")
  expect(choose(found, [{ address: "9.9.9.10" }])).toBe("9.9.9.9")
  expect(choose(found.slice(0, 2), [])).toBeUndefined()
  expect(choose([{ address: "::ffff:9.9.9.9" }], [{ address: "9.9.9.9" }])).toBeUndefined()
})

test("names have addresses of their own inside, and the hosts file says so", () => {
  const grants = [
    { host: "127.0.0.1", port: 5432, isAddress: true },
    { host: "a.example", port: 80, isAddress: false },
    { host: "a.example", port: 443, isAddress: false },
    { host: "b.example", port: 443, isAddress: false },
  ]
  expect(grants.map((each) => addressInside(grants, each))).toEqual([
    ...["127.0.0.1", "127.101.0.1", "127.101.0.1", "127.101.0.2"],
  ])
  expect(hostsFile(grants)).toBe("127.0.0.1 localhost\n127.101.0.1 a.example\n127.101.0.2 b.example\n")
})

test("a link: the plan's port, or the one that is named", () => {
  expect(parseCapability("network:link")).toEqual({ kind: "link", port: 5432 })
  expect(parseCapability("network:link:8080")).toEqual({ kind: "link", port: 8080 })
  for (const wrong of [
    "network:link:0",
    "network:link:65536",
    "network:link:1.1.1.1:80",
    "network:link:*",
    "network:link: 80",
  ])
    expect(() => parseCapability(wrong)).toThrow("it must name one port")
})

test("addresses of links are of private networks", () => {
  const network = (link_network: string): unknown => SandboxPolicy.safeParse({ link_network }).success
  for (const right of [
    "10.213.0.0/16",
    "10.0.0.0/16",
    "10.255.0.0/16",
    "172.31.0.0/16",
    "192.168.0.0/16",
    "198.18.0.0/16",
  ])
    expect([right, network(right)]).toEqual([right, true])
  for (const wrong of [
    "10.256.0.0/16",
    "10.213.0.0/8",
    "10.213.1.0/16",
    "8.8.0.0/16",
    "172.32.0.0/16",
    "127.0.0.0/16",
    "10.213.0.0/16\n",
  ])
    expect([wrong, network(wrong)]).toEqual([wrong, false])
})
