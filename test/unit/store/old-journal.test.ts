/**
 * Stores whose journal has the form of an older clawfs, or a damaged header: taken over when nothing in it counts, otherwise
 * refused and left alone.
 */
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { currentBootId } from "../../../clawfs/store/journal-header.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { Store } from "../../../clawfs/store/store.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

/** As an older clawfs has left it: its header, then entries that look like some. */
function withOldJournal(place: Temporary, boot: string): string {
  const directory = join(place.path, "store")
  Store.create(directory, { mode: 0o755, uid: 0, gid: 0 })[Symbol.dispose]()
  const journal = Buffer.alloc(4 * 1024 * 1024, 0x55)
  journal.fill(0, 0, 4096)
  journal.write(`CLAWJRN1${boot}`, "latin1")
  writeFileSync(join(directory, "journal"), journal)
  return directory
}

const journalOf = (directory: string): string =>
  readFileSync(join(directory, "journal")).toString("latin1", 0, 8)

/** A store that is opened has nothing to do again, and a journal of its own form. */
function expectServed(directory: string): void {
  // A migration leaves a WAL before the journal is opened.
  using store = Store.open(directory)
  store.transact(() => (store.root().mode ^= 1))
  expect(statSync(join(directory, "meta.db-wal")).size).toBeGreaterThan(0)
  expect(store.beginBatching(() => expect.unreachable())).toBe(0)
  store.armJournal(0n)
  expect(journalOf(directory)).toBe("CLAWJNL2")
}

test.each([
  ["this boot", currentBootId()],
  ["another boot", "00000000-0000-0000-0000-000000000000"],
])("a store that was unmounted is served, with nothing done again: %s", (_, boot) => {
  using place = temporary()
  const directory = withOldJournal(place, boot)
  expectServed(directory)
})

test.each([0, 8, 50, 56, 60, 4096])(
  "a damaged byte %i in the journal of a store that was unmounted is of no account",
  (at) => {
    using place = temporary()
    const directory = join(place.path, "store")
    const path = join(directory, "journal")
    {
      using store = Store.create(directory, { mode: 0o755, uid: 0, gid: 0 })
      store.beginBatching(() => expect.unreachable())
      store.armJournal(0n)
    }
    const journal = readFileSync(path)
    journal.writeUInt8(journal.readUInt8(at) ^ 1, at)
    writeFileSync(path, journal)
    expectServed(directory)
  },
)

test("a store whose daemon was killed is refused before anything is changed", () => {
  using place = temporary()
  const directory = withOldJournal(place, currentBootId())
  const meta = join(directory, "meta.db")
  {
    // A WAL with something in it, as a killed daemon leaves it.
    using db = new Database(meta)
    db.execute("UPDATE state SET next_ino = next_ino + 1")
    for (const end of ["", "-wal"]) copyFileSync(`${meta}${end}`, join(place.path, `kept${end}`))
  }
  for (const end of ["", "-wal"]) copyFileSync(join(place.path, `kept${end}`), `${meta}${end}`)
  expect(() => Store.open(directory)).toThrow("left by a daemon of an older clawfs that was killed")
  expect(journalOf(directory)).toBe("CLAWJRN1")
  for (const end of ["", "-wal"])
    expect(readFileSync(`${meta}${end}`).equals(readFileSync(join(place.path, `kept${end}`)))).toBe(true)
})
