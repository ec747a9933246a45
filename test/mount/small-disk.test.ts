/** Disks that are larger, and slower to fill, are for test/slow. */
import { test } from "vitest"
import { fillAndGoOn, thinOutAndCollect, thinOutAndGoOn } from "../faults/fill.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"
import { requireDisk } from "../helpers/small-disk.ts"

for (const kind of ["tmpfs", "ext4"] as const)
  test(`on ${kind}, programs fill the disk, delete, and go on; nothing of what succeeded is lost`, async (context) => {
    skipIf(context, requireFuse(), requireDisk(kind))
    await fillAndGoOn(kind)
  })

test("a full disk of which every second file is deleted takes new ones: the reserve is for copying what is live", async (context) => {
  skipIf(context, requireFuse(), requireDisk("tmpfs"))
  await thinOutAndGoOn("tmpfs")
})

test("... also where segments are too long for the least reserve: it has grown with them", async (context) => {
  skipIf(context, requireFuse(), requireDisk("ext4"))
  await thinOutAndGoOn("ext4", { mib: 1024, oneIn: 8, kills: 4 })
})

test("... and gives all of it back when `gc --now` asks", async (context) => {
  skipIf(context, requireFuse(), requireDisk("ext4"))
  await thinOutAndCollect("ext4", { mib: 512 })
})
