import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { APPLICATION_ID, SCHEMA_VERSION, STEPS } from "../../../migrations/sqlite/steps.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { migrate } from "../../../clawfs/store/migrate.ts"
import { temporary } from "../support/temporary.ts"

const text = readFileSync(new URL("../../../schema/clawfs.sql", import.meta.url), "utf8")

interface Shape {
  readonly statements: Readonly<Record<string, string>>
  readonly pragmas: readonly number[]
}

/** What a database consists of, by name, without comments and white space. */
function shapeOf(make: (db: Database) => void): Shape {
  using place = temporary()
  using db = new Database(join(place.path, "meta.db"), { create: true })
  make(db)
  const rows = db
    .query<[], [string, string, string]>("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    .all()
  const plain = (sql: string): string =>
    sql
      .replace(/--.*$/gm, "")
      .replace(/\s+/g, " ")
      .replace(/ ?([(),]) ?/g, "$1")
      .trim()
  return {
    statements: Object.fromEntries(rows.map(([type, name, sql]) => [`${type} ${name}`, plain(sql)])),
    pragmas: [Number(db.pragma("application_id")), Number(db.pragma("user_version"))],
  }
}

test("schema/clawfs.sql is what the migrations make", () => {
  const written = shapeOf((db) => db.execute(text))
  expect(written).toEqual(shapeOf((db) => migrate(db, { readOnly: false })))
  expect(Object.keys(written.statements)).toHaveLength(20)
  expect(written.pragmas).toEqual([APPLICATION_ID, SCHEMA_VERSION])
})

test("every column says what it means", () => {
  const columns = text.split("\n").filter((line) => /^ {2}[a-z]/.test(line))
  expect(columns.length).toBeGreaterThan(50)
  expect(columns.filter((line) => !/ -- \S/.test(line))).toEqual([])
})

test("every table and index has a sentence above it", () => {
  const lines = text.split("\n")
  const bare = lines.filter(
    (line, i) => /^(CREATE|PRAGMA)/.test(line) && !(lines[i - 1] ?? "").startsWith("-- "),
  )
  expect(bare).toEqual([])
})

test("steps have names in order, and are as many as the version says", () => {
  expect(STEPS.map(({ name }) => name.slice(0, 5))).toEqual(
    STEPS.map((_, i) => `${String(i + 1).padStart(4, "0")}-`),
  )
  expect(SCHEMA_VERSION).toBe(STEPS.length)
})
