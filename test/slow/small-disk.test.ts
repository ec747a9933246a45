import { test } from "vitest"
import { fillAndGoOn, thinOutAndGoOn } from "../faults/fill.ts"
import { requireFuse, skipIf } from "../helpers/requirements.ts"
import { requireDisk } from "../helpers/small-disk.ts"

for (const kind of ["xfs", "btrfs"] as const)
  test(`on ${kind}, programs fill the disk, delete, and go on; nothing of what succeeded is lost`, async (context) => {
    skipIf(context, requireFuse(), requireDisk(kind))
    await fillAndGoOn(kind)
  })

for (const kind of ["ext4", "xfs", "btrfs"] as const)
  test(`on ${kind}, a full disk of which every second file is deleted takes new ones`, async (context) => {
    skipIf(context, requireFuse(), requireDisk(kind))
    await thinOutAndGoOn(kind)
  })

test("... where segments have their full length, and an eighth of each is deleted", async (context) => {
  skipIf(context, requireFuse(), requireDisk("ext4"))
  await thinOutAndGoOn("ext4", { mib: 2560, oneIn: 8 })
})
