import { expect, test } from "vitest"
import { readMounts } from "../../../clawfs/sys/mountinfo.ts"
import { fc } from "../support/fast-check.ts"

const line = (mountpoint: string, source: string): string =>
  `36 35 0:98 / ${mountpoint} rw,nosuid shared:1 master:2 - fuse.clawfs ${source} rw,user_id=0`

test("a mount is read with its device, place, type, source and options", () => {
  expect(readMounts(line("/mnt/a", "/var/store"))).toEqual([
    {
      device: "0:98",
      minor: 98,
      root: "/",
      mountpoint: "/mnt/a",
      type: "fuse.clawfs",
      source: "/var/store",
      options: "rw,nosuid",
      superOptions: "rw,user_id=0",
    },
  ])
})

test("blanks, tabs, newlines and backslashes in paths are what the kernel made octal numbers of", () => {
  const [entry] = readMounts(line("/mnt/a\\040b\\011c\\012d\\134e", "/s\\040t"))
  expect([entry?.mountpoint, entry?.source]).toEqual(["/mnt/a b\tc\nd\\e", "/s t"])
})

test("every path comes back as it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (name) => {
      const path = `/${name.replaceAll("\0", "")}`
      const escaped = path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`)
      expect(readMounts(line(escaped, "/s"))[0]?.mountpoint).toBe(path)
    }),
    { numRuns: 50 },
  )
})

test("lines that are no mounts are passed over", () => {
  expect(readMounts("\nnonsense\n1 2 3\n - \n")).toEqual([])
})

test("this machine's own mounts are readable, the root among them", () => {
  expect(readMounts().map(({ mountpoint }) => mountpoint)).toContain("/")
})
