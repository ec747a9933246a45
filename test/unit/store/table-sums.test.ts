/** Tables whose rows have one sum over all: a lost row must not let anybody write into what a snapshot has. */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { setSchedule } from "../../../clawfs/fs/schedules.ts"
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary } from "../support/temporary.ts"

const BYTES = Buffer.alloc(30_000, "what was there")

let fs: TestFileSystem

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("dir"))
  for (const name of ["small", "big", "gone"])
    fs.write(ok(fs.mknod(`dir/${name}`)).ino, 0, name === "small" ? BYTES.subarray(0, 500) : BYTES)
  for (const name of ["first", "second"])
    createSnapshot(fs.env, { name, path: Buffer.from("/dir"), isWritable: false })
  setSchedule(fs.env, { name: "daily", path: Buffer.from("/dir"), every: 86_400, keep: 2 })
  fs.store.settle()
})

afterEach(() => fs[Symbol.dispose]())

function damage(sql: string): void {
  {
    using db = new Database(join(fs.directory, META))
    db.execute(sql)
  }
  fs.restart()
}

function findings(): string[] {
  fs.store.settle()
  const { findings: all } = fsck({ directory: fs.directory, repair: false, isOnline: true })
  return all.map(({ message }) => message)
}

function snapshotted(name: string): string {
  return fs.read(fs.at(`.snapshots/first/${name}`).ino)
}

function fault(run: () => unknown): Fault {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
  throw new Error("nothing was thrown")
}

test("what was written is whole", () => {
  fs.restart()
  fs.write(fs.at("dir/big").ino, 0, "new")
  expect(fs.store.snapshots.all().map(({ name }) => name)).toEqual(["first", "second"])
  expect(fs.store.schedules.all().map(({ name }) => name)).toEqual(["daily"])
  fs.store.settle()
  expect(findings()).toEqual([])
})

describe.each([
  ["a lost row", "DELETE FROM shared WHERE body = (SELECT min(body) FROM shared)"],
  ["all rows lost", "DELETE FROM shared"],
  ["a count that is too low", "UPDATE shared SET refs = 2"],
  ["a count that is too high", "UPDATE shared SET refs = refs + 4294967296"],
  ["a row under another number", "UPDATE shared SET body = body + 1000"],
])("table shared with %s", (_what, sql) => {
  test("lets nobody write, and fsck mends it", () => {
    damage(sql)
    for (const name of ["small", "big"]) {
      const { ino } = fs.at(`dir/${name}`)
      expect(fault(() => fs.write(ino, 10, "something else")).kind).toBe("corrupt")
      expect(fs.read(ino)).toEqual(snapshotted(name))
    }
    expect(findings()).toContain("the table of shared contents is not as it was written")
    using place = temporary()
    const directory = join(place.path, "store")
    cpSync(fs.directory, directory, { recursive: true })
    fsck({ directory, repair: true, isOnline: false })
    expect(fsck({ directory, repair: false, isOnline: false }).findings).toEqual([])
    using db = new Database(join(directory, META), { readonly: true })
    expect(db.query("SELECT refs FROM shared").all()).toEqual([[3], [3], [3]])
  })
})

describe.each([
  ["snapshot", "UPDATE snapshot SET root = root + 1000 WHERE name = 'first'"],
  ["snapshot", "UPDATE snapshot SET name = 'third' WHERE name = 'first'"],
  ["snapshot", "UPDATE snapshot SET uid = 1000 WHERE name = 'first'"],
  ["snapshot", "DELETE FROM snapshot WHERE name = 'second'"],
  ["snapshot_schedule", "UPDATE snapshot_schedule SET keep = 1"],
  ["snapshot_schedule", "UPDATE snapshot_schedule SET name = 'hourly'"],
  ["snapshot_schedule", "DELETE FROM snapshot_schedule"],
])("table %s", (table, sql) => {
  test(`is refused after ${sql}`, () => {
    damage(sql)
    const { snapshots, schedules } = fs.store
    const asked = table === "snapshot" ? () => snapshots.find("second") : () => schedules.all()
    expect(fault(asked).kind).toBe("corrupt")
    // Besides, a row of a snapshot that does not fit what is there is a finding of its own.
    expect(findings()).toContain(
      `the table of ${table === "snapshot" ? "snapshots" : "schedules"} is not as it was written`,
    )
  })
})
