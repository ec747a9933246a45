import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { isoOf } from "../../../clawfs/migrate/postgres/table-rows.ts"
import { hasPassword, readUrl } from "../../../clawfs/migrate/postgres/url.ts"
import { temporary } from "../support/temporary.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })

describe("a server's URL", () => {
  test("has all parts, decoded", () => {
    expect(
      readUrl(
        "postgresql://an%40na:p%3Aw@db.example.org:6543/my%20db?sslmode=verify-full&sslrootcert=/ca",
        {},
      ),
    ).toEqual({
      ...{ host: "db.example.org", port: 6543, user: "an@na", password: "p:w", database: "my db" },
      ...{ sslMode: "verify-full", sslRootCert: "/ca", sslCert: undefined, sslKey: undefined },
    })
  })

  test("leaves to the environment what it does not say", () => {
    const environment = {
      PGHOST: "h",
      PGPORT: "7",
      PGUSER: "u",
      PGDATABASE: "d",
      PGPASSWORD: "p",
      PGSSLMODE: "require",
    }
    expect(readUrl("postgresql://", environment)).toMatchObject({
      host: "h",
      port: 7,
      user: "u",
      database: "d",
      password: "p",
      sslMode: "require",
    })
    expect(readUrl("postgres:///x?host=/run/postgresql", { USER: "me" })).toMatchObject({
      host: "/run/postgresql",
      user: "me",
      database: "x",
    })
    expect(readUrl("postgresql://u@[::1]:5/x", {})).toMatchObject({ host: "::1", port: 5 })
  })

  test("a password that was given goes before all others", () => {
    expect(readUrl("postgresql://u:a@h/d", { PGPASSWORD: "b" }, "c").password).toBe("c")
    expect(hasPassword("postgresql://u:a@h/d")).toBe(true)
    expect(hasPassword("postgresql://u@h/d")).toBe(false)
    expect(hasPassword("postgresql://u@h/d?password=x")).toBe(true)
  })

  test.each([
    "mysql://h/d",
    "postgresql://h:0/d",
    "postgresql://h:99999/d",
    "postgresql://h/d?sslmode=maybe",
    "postgresql://h/d?options=-c",
    "postgresql://%/d",
  ])("%s is refused", (url) => {
    expect(() => readUrl(url, {})).toThrow(fault("invalid"))
  })
})

test(".pgpass: the first line that fits, unless others may read the file", () => {
  using place = temporary()
  const file = join(place.path, "pgpass")
  writeFileSync(file, "# remark\nother:*:*:*:no\nh:5432:d:u:with\\:colon\\\\\n*:*:*:*:any\n", { mode: 0o600 })
  const passwordOf = (url: string): string | undefined => readUrl(url, { PGPASSFILE: file }).password
  expect(passwordOf("postgresql://u@h/d")).toBe("with:colon\\")
  expect(passwordOf("postgresql://u@elsewhere/d")).toBe("any")
  chmodSync(file, 0o644)
  expect(passwordOf("postgresql://u@h/d")).toBeUndefined()
})

test("times become ISO 8601 with every digit; what is none stays", () => {
  expect(isoOf("2026-01-02 03:04:05.000006+00")).toBe("2026-01-02T03:04:05.000006Z")
  expect(isoOf("2026-01-02 03:04:05")).toBe("2026-01-02T03:04:05Z")
  expect(isoOf("infinity")).toBe("infinity")
  expect(isoOf("0044-03-15 00:00:00+00 BC")).toBe("0044-03-15 00:00:00+00 BC")
})
