import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { migrate } from "../../../clawfs/store/migrate.ts"
import { APPLICATION_ID, STEPS } from "../../../migrations/sqlite/steps.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const steps = vi.hoisted(() => ({ failing: false }))

/** The real first step, and two that a later version might have. */
vi.mock(import("../../../migrations/sqlite/steps.ts"), async (original) => {
  const real = await original()
  return {
    ...real,
    SCHEMA_VERSION: real.SCHEMA_VERSION + 2,
    STEPS: [
      ...real.STEPS,
      { name: "colour", sql: "ALTER TABLE store ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'" },
      {
        name: "shade",
        get sql(): string {
          return steps.failing
            ? "UPDATE store SET colour = 'half done'; SELECT nonsense"
            : "ALTER TABLE store ADD COLUMN shade TEXT"
        },
      },
    ],
  }
})

const OLD = STEPS.length - 2
const NEW = STEPS.length
const meta = (place: Temporary): string => join(place.path, "meta.db")

/** A database as the version before wrote it, with one row in it. */
function oldDatabase(place: Temporary): Database {
  using db = new Database(meta(place), { create: true })
  for (const { sql } of STEPS.slice(0, OLD)) db.execute(sql)
  db.pragma(`application_id = ${APPLICATION_ID}`)
  db.pragma(`user_version = ${OLD}`)
  db.execute("INSERT INTO store (id, uuid, created, seed_a, seed_b) VALUES (1, x'00', 7, 8, 9)")
  return new Database(meta(place))
}

const version = (db: Database): number => Number(db.pragma("user_version"))

function refusal(run: () => void): Fault {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
  throw new Error("not refused")
}

describe("a new database", () => {
  test("gets every step, the version and the id, and needs no backup", () => {
    using place = temporary()
    using db = new Database(meta(place), { create: true })
    migrate(db, { readOnly: false })
    expect([version(db), Number(db.pragma("application_id"))]).toEqual([NEW, APPLICATION_ID])
    expect(db.query("SELECT colour, shade FROM store").all()).toEqual([])
    expect(readdirSync(place.path).filter((name) => name.startsWith("meta.db.v"))).toEqual([])
  })

  test("of the present version is left alone", () => {
    using place = temporary()
    using db = new Database(meta(place), { create: true })
    migrate(db, { readOnly: false })
    migrate(db, { readOnly: true })
    migrate(db, { readOnly: false })
    expect(version(db)).toBe(NEW)
  })
})

describe("an older database", () => {
  test("is brought forward, keeps its rows, and is backed up first", () => {
    using place = temporary()
    using db = oldDatabase(place)
    migrate(db, { readOnly: false })
    expect(version(db)).toBe(NEW)
    expect(db.query("SELECT created, colour, shade FROM store").all()).toEqual([[7, "blue", null]])
    using backup = new Database(`${meta(place)}.v${OLD}`, { readonly: true })
    expect([version(backup), Number(backup.pragma("application_id"))]).toEqual([OLD, APPLICATION_ID])
    expect(backup.query("SELECT id, uuid, created FROM store").all()).toEqual([[1, Buffer.from([0]), 7]])
  })

  test("is refused where nothing may be written, and not touched", () => {
    using place = temporary()
    using db = oldDatabase(place)
    const fault = refusal(() => migrate(db, { readOnly: true }))
    expect([fault.kind, fault.message]).toEqual([
      "read-only",
      `the store has format ${OLD}: mount it writable once to migrate it`,
    ])
    expect(existsSync(`${meta(place)}.v${OLD}`)).toBe(false)
    expect(version(db)).toBe(OLD)
  })

  test("whose step fails is left at the last whole step, and goes on from there", () => {
    using place = temporary()
    using db = oldDatabase(place)
    steps.failing = true
    try {
      expect(() => migrate(db, { readOnly: false })).toThrow("nonsense")
    } finally {
      steps.failing = false
    }
    expect(version(db)).toBe(OLD + 1)
    expect(db.query("SELECT colour FROM store").all()).toEqual([["blue"]])
    migrate(db, { readOnly: false })
    expect(version(db)).toBe(NEW)
  })

  test("whose backup was interrupted gets a whole one", () => {
    using place = temporary()
    using db = oldDatabase(place)
    // What a SIGKILL or a full disk leaves of the copy.
    writeFileSync(`${meta(place)}.v${OLD}.new`, "SQLite format 3\0 and then nothing")
    migrate(db, { readOnly: false })
    using backup = new Database(`${meta(place)}.v${OLD}`, { readonly: true })
    expect(backup.query("SELECT created FROM store").all()).toEqual([[7]])
    expect(existsSync(`${meta(place)}.v${OLD}.new`)).toBe(false)
  })
})

describe("a database that is refused", () => {
  test("is one of a newer version: the message names both", () => {
    using place = temporary()
    using db = oldDatabase(place)
    db.pragma(`user_version = ${NEW + 1}`)
    const fault = refusal(() => migrate(db, { readOnly: false }))
    expect(fault.kind).toBe("unsupported")
    expect(fault.message).toBe(`the store has format ${NEW + 1}, this clawfs knows up to ${NEW}`)
    expect(fault.hint).toBe("install a newer clawfs")
    expect(version(db)).toBe(NEW + 1)
  })

  test("is one of another program, whatever its version", () => {
    using place = temporary()
    using db = new Database(meta(place), { create: true })
    db.execute("CREATE TABLE theirs (x)")
    for (const [id, number] of [
      [0, 0],
      [0, OLD],
      [4711, OLD],
    ] as const) {
      db.pragma(`application_id = ${id}`)
      db.pragma(`user_version = ${number}`)
      const fault = refusal(() => migrate(db, { readOnly: false }))
      expect(fault.kind).toBe("invalid")
      expect(fault.message).toBe(`${meta(place)} is an SQLite database, but not that of a ClawFS store`)
    }
  })

  test("is one that is damaged", () => {
    using place = temporary()
    writeFileSync(
      meta(place),
      "this is no database at all, but it is long enough to be read as one".repeat(20),
    )
    const fault = refusal(() => {
      using db = new Database(meta(place))
      migrate(db, { readOnly: false })
    })
    expect(fault.kind).toBe("corrupt")
    expect(fault.message).toContain("meta.db is damaged")
  })
})
