/** The lock for writing `meta.db`, which its readers take for moments. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createRequire } from "node:module"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { makeFile } from "../support/files.ts"
import { temporaryStore } from "../support/temporary.ts"

const SQLITE = createRequire(import.meta.url).resolve("better-sqlite3")
const HELD_MS = 500

/** Another process has the lock, from when this returns on. */
async function whileLocked(database: string, change: () => void): Promise<void> {
  const script = `const db = new (require(process.argv[1]))(process.argv[2])
    db.exec("BEGIN IMMEDIATE")
    process.stdout.write("held")
    setTimeout(() => { db.exec("ROLLBACK"); db.close() }, ${HELD_MS})`
  const child = spawn(process.execPath, ["-e", script, SQLITE, database], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const ended = once(child, "close")
  await once(child.stdout, "data")
  try {
    requireLocked(database)
    change()
  } finally {
    await ended
  }
}

/** Or there would be nothing to wait for. */
function requireLocked(database: string): void {
  using other = new Database(database)
  const take = (): void => other.waitingAtMost(0, () => other.beginWriting())
  expect(take).toThrow("locked by another process")
}

test("a request that has read before it changes anything waits for it", async () => {
  using place = temporaryStore()
  const { store } = place
  store.beginBatching(() => undefined)
  await whileLocked(join(place.directory, META), () => {
    const request = Buffer.from("request")
    store.beginRequest(request, request.length)
    // From the database, not from memory: now the transaction has read.
    expect(store.inodes.get(12_345)).toBeUndefined()
    const file = makeFile(store)
    store.endRequest()
    expect(store.inodes.get(file.ino)?.ino).toBe(file.ino)
    store.settle()
  })
})

test("a transaction that is to write from its beginning waits, too", async () => {
  using place = temporaryStore()
  const path = join(place.directory, META)
  await whileLocked(path, () => {
    using db = new Database(path)
    db.beginWriting()
    expect(db.query<[], [number]>("SELECT count(*) FROM state").get()).toEqual([1])
    expect(db.query<[]>("DELETE FROM state WHERE 0").run()).toBe(0)
    db.rollback()
  })
})
