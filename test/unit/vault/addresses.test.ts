import { expect, test } from "vitest"
import { isPublic } from "../../../clawfs/core/addresses.ts"
import { mayConnectTo } from "../../../vault/proxy/addresses.ts"

test.each([
  ...[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.0.1",
  ],
  ...[
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
  ],
  ...[
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
  ],
  ...["168.63.129.16", "::", "::1", "::ffff:10.0.0.1", "::ffff:a00:1", "0:0:0:0:0:ffff:7f00:1", "::7f00:1"],
  ...[
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
  ],
  ...[
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::",
    "3fff::1",
    "4000::1",
    "localhost",
    "",
    "1.2.3",
    "0x7f.0.0.1",
    "127.1",
  ],
])("%s is not public", (address) => {
  expect(isPublic(address)).toBe(false)
})

test.each([
  "1.1.1.1",
  "9.255.255.255",
  "11.0.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.167.0.1",
  "223.255.255.255",
])("%s is public, mapped too", (address) => {
  expect([isPublic(address), isPublic(`::ffff:${address}`)]).toEqual([true, true])
})

test.each(["2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"])(
  "%s is public",
  (address) => {
    expect(isPublic(address)).toBe(true)
  },
)

test("networks that a grant lists", () => {
  const networks = ["10.1.0.0/16", "fd12:3456::/32"]
  for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "fd12:3456::9", "1.1.1.1"])
    expect(mayConnectTo(address, networks), address).toBe(true)
  for (const address of ["10.2.0.1", "fd12:3457::9", "127.0.0.1", "not an address"])
    expect(mayConnectTo(address, networks), address).toBe(false)
})
