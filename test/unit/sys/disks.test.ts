/** Which disk a path lies on. */
import { execFileSync } from "node:child_process"
import { statSync } from "node:fs"
import { expect, test } from "vitest"
import { diskOf, numbersOf } from "../../../clawfs/sys/disks.ts"

test("numbers of a device are those that the kernel prints, and those of gnu_dev_makedev(3)", () => {
  expect(numbersOf(statSync("/dev/null", { bigint: true }).rdev)).toBe("1:3")
  expect(numbersOf(0x0000_1234_5670_0078n)).toBe("4096:591751032")
})

test("what is on no disk has none", () => {
  expect(diskOf("/proc")).toBeUndefined()
  expect(diskOf("/sys")).toBeUndefined()
})

test("a disk is one that lsblk calls so", (context) => {
  const disk = diskOf("/usr")
  if (disk === undefined) {
    context.skip("/usr is on no disk that can be named")
    return
  }
  const disks = execFileSync("lsblk", ["--nodeps", "--noheadings", "--raw", "--output", "MAJ:MIN"])
  expect(
    disks
      .toString()
      .split("\n")
      .map((line) => line.trim()),
  ).toContain(disk)
})
