/** Sizes of a tmpfs are exact: 4 KiB pages, and no blocks for the filesystem's own use. */
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { Reserve } from "../../../clawfs/store/reserve.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { SmallDisk, requireDisk } from "../../helpers/small-disk.ts"
import { temporary } from "../support/temporary.ts"

const MIB = 1 << 20
/** What programs may fill is left beside the reserve. */
const FOR_A_BATCH = 8

function heldMib(directory: string): number {
  return ((statSync(join(directory, "reserve"), { throwIfNoEntry: false })?.blocks ?? 0) * 512) / MIB
}

function put(directory: string, name: string, mib: number): void {
  writeFileSync(join(directory, name), Buffer.alloc(mib * MIB, "x"))
}

describe("the reserve", () => {
  test("takes its space once and gives it back", () => {
    using place = temporary()
    using reserve = new Reserve(place.path)
    const path = join(place.path, "reserve")
    expect([reserve.take(), reserve.take()]).toEqual([true, true])
    expect(heldMib(place.path)).toBe(16)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    reserve.give()
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    reserve.give()
    expect(reserve.take()).toBe(true)
    rmSync(path)
  })

  test("grows with the longest segment, so that the live bytes of each fit beside a margin of 8 MiB", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 200)
    let longest = 0
    using reserve = new Reserve(disk.path, () => longest)
    reserve.take()
    const sizes = [0, 4, 8, 9, 10, 33, 64, 65].map((mib) => {
      longest = mib * MIB
      reserve.grow(() => 0)
      return heldMib(disk.path)
    })
    expect(sizes).toEqual([16, 16, 16, 16, 18, 40, 72, 72])
    // A log that has been emptied fills again.
    longest = 0
    expect([reserve.take(), heldMib(disk.path)]).toEqual([true, 72])
  })

  test("does not grow while the disk has plenty", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 5000)
    using reserve = new Reserve(disk.path, () => 64 * MIB)
    reserve.take()
    reserve.grow(() => 0)
    expect(heldMib(disk.path)).toBe(16)
    const room = vi.spyOn(Reserve.prototype, "room", "get").mockReturnValue(4000 * MIB)
    reserve.grow(() => 0)
    room.mockRestore()
    expect(heldMib(disk.path)).toBe(72)
  })

  test("of a disk without room for growth keeps what it has", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 64)
    using reserve = new Reserve(disk.path, () => 64 * MIB)
    put(disk.path, "others", 30)
    // 34 MiB are left, of which 8 stay free.
    expect([reserve.take(), heldMib(disk.path)]).toEqual([true, 34 - FOR_A_BATCH])
    reserve.grow(() => 0)
    expect(heldMib(disk.path)).toBe(34 - FOR_A_BATCH)
    expect(reserve.isShort(() => 0)).toBe(false)
    expect(reserve.isShort(() => 5 * MIB)).toBe(true)
    // A store that is opened on it takes what is there for its own.
    using next = new Reserve(disk.path, () => 64 * MIB)
    expect([next.take(), next.bytes, heldMib(disk.path)]).toEqual([true, 26 * MIB, 26])
  })

  test("once given back is taken whole before anybody else gets the room", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 64)
    using reserve = new Reserve(disk.path, () => 24 * MIB)
    expect([reserve.take(), heldMib(disk.path)]).toEqual([true, 32])
    put(disk.path, "full", 32)
    expect(reserve.roomForCopies).toBe((32 - 8) * MIB)
    reserve.give()
    expect([reserve.bytes, reserve.roomForCopies, heldMib(disk.path)]).toEqual([32 * MIB, 24 * MIB, 0])
    // The copies, and the segments that they empty.
    put(disk.path, "copies", 20)
    expect(reserve.takeIfThereIsRoom(0)).toBe(false)
    put(disk.path, "full", 4)
    expect(reserve.takeIfThereIsRoom(0)).toBe(false)
    put(disk.path, "full", 3)
    const debt = 2 * MIB
    expect([reserve.takeIfThereIsRoom(debt), heldMib(disk.path)]).toEqual([false, 0])
    expect([reserve.takeIfThereIsRoom(0), heldMib(disk.path)]).toEqual([true, 32])
  })

  test("of a directory that has taken the place of another one is neither grown nor given back", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 200)
    const directory = join(disk.path, "store")
    mkdirSync(directory)
    let longest = 0
    using reserve = new Reserve(directory, () => longest)
    reserve.take()
    renameSync(directory, `${directory}-away`)
    mkdirSync(directory)
    put(directory, "reserve", 1)
    longest = 32 * MIB
    reserve.grow(() => 0)
    reserve.give()
    expect([heldMib(directory), heldMib(`${directory}-away`)]).toEqual([1, 16])
    rmSync(directory, { recursive: true })
    renameSync(`${directory}-away`, directory)
    expect([reserve.take(), heldMib(directory)]).toEqual([true, 40])
    reserve.give()
    expect(heldMib(directory)).toBe(0)
  })

  test("of a disk that has less than the least is not taken, and leaves nothing", (context) => {
    skipIf(context, requireDisk("tmpfs"))
    using disk = new SmallDisk("tmpfs", 16)
    put(disk.path, "others", 2)
    using reserve = new Reserve(disk.path, () => 64 * MIB)
    expect(reserve.take()).toBe(false)
    expect(statSync(join(disk.path, "reserve"), { throwIfNoEntry: false })).toBeUndefined()
  })
})
