/** Whoever can write `vault.db` can destroy, but not make the vault give out what was not put there. */
import { describe, expect, test } from "vitest"
import type { Value } from "../../../clawfs/store/database.ts"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { unlock } from "../../../vault/unlock.ts"
import { Vault } from "../../../vault/vault.ts"
import { KEY, RECOVERY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

type Cell = Buffer | number | string

function withFlip(value: Cell, bit: number): Cell {
  if (typeof value === "string")
    return value === "" ? "x" : `${String.fromCharCode(value.charCodeAt(0) ^ 1)}${value.slice(1)}`
  if (typeof value === "number") return value + 10 + 2 ** (bit % 16)
  const bytes = Buffer.from(value)
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return bytes
}

/** How many bits of a cell are flipped, one at a time. */
const bitsOf = (value: Cell): number => (Buffer.isBuffer(value) ? value.length * 8 : 3)

function set(db: VaultDatabase, table: string, column: string, where: string, value: Value): void {
  db.query<[Value]>(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(value)
}

describe("a flipped bit in a row of", () => {
  test.each([
    ["version", ["created", "key", "body"], "version = 2"],
    ["version", ["secret"], "version = 2"],
    ["secret", ["sealed", "name_tag", "id"], "1"],
    ["vault", ["uuid", "epoch", "check_value"], "1"],
    ["vault", ["audit_key"], "1"],
    ["audit_head", ["seq", "cut", "sums", "mac"], "1"],
    ["protector", ["fixed", "sealed", "kind", "number"], "number = 1"],
  ])("%s, columns %j: is noticed, and no other value is given out", (table, columns, where) => {
    using place = new TestVault()
    const writer = place.open()
    for (let i = 1; i <= 3; i += 1) writer.put(SUBJECT, "a", Buffer.from(`value ${i}`))
    const db = place.database()
    const check = (): void => {
      using again = VaultDatabase.open(place.directory)
      // Without the sums of all rows, which would notice each of these before (put-back.test.ts).
      using vault = new Vault(again, unlock(again, { person: KEY, inKernel: false, anyAge: true }).keys)
      const value = valueOf(vault, "a", 2)
      vault.audit.verify(vault.keys)
      vault.protectors()
      if (value !== "value 2") given.push(value)
    }
    const given: string[] = []
    check()
    let tried = 0
    for (const column of columns) {
      const [value] = db.query<[], [Cell]>(`SELECT ${column} FROM ${table} WHERE ${where}`).get() ?? []
      if (value === undefined) throw new Error("no such row")
      const step = table === "protector" ? 11 : table === "version" ? 1 : 3
      for (let bit = 0; bit < bitsOf(value); bit += step) {
        // The cost of a key derivation: a flip would take years.
        if (column === "fixed" && bit < 96) continue
        const broken = withFlip(value, bit)
        set(db, table, column, where, broken)
        expect(check, `${table}.${column}, bit ${bit}`).toThrow()
        const changed = column === "number" || column === "id" || column === "secret"
        const at = changed ? `${column} = ${literal(broken)}` : where
        set(db, table, column, table === "version" && changed ? `${at} AND version = 2` : at, value)
        tried += 1
      }
    }
    check()
    expect(given).toEqual([])
    expect(tried).toBeGreaterThan(2)
  })
})

/** By the same connection that writes to the rows: by another's writing, the sums would be looked at first. */
function openOn(db: VaultDatabase): Vault {
  return new Vault(db, unlock(db, { person: KEY, inKernel: false }).keys)
}

const literal = (value: Cell): string =>
  Buffer.isBuffer(value) ? `x'${value.toString("hex")}'` : JSON.stringify(value)

describe("rows that were moved", () => {
  test("between names, versions, vaults and epochs are refused", () => {
    using place = new TestVault()
    using other = new TestVault()
    const db = place.database()
    using vault = openOn(db)
    vault.put(SUBJECT, "a", Buffer.from("of a"))
    vault.put(SUBJECT, "a", Buffer.from("of a, again"))
    vault.put(SUBJECT, "b", Buffer.from("of b"))
    const foreign = other.open()
    foreign.put(SUBJECT, "a", Buffer.from("foreign"))
    const rowOf = (from: VaultDatabase, name: string, v: number): [Buffer, Buffer] => {
      const id = (from === db ? vault : foreign).find(name)?.id ?? Buffer.alloc(0)
      const row = from
        .query<[Buffer, number], [Buffer, Buffer]>(
          "SELECT key, body FROM version WHERE secret = ? AND version = ?",
        )
        .get(id, v)
      if (row === undefined) throw new Error("no such row")
      return row
    }
    const [key, body] = rowOf(db, "a", 1)
    const put = (k: Buffer, b: Buffer): void => {
      const id = vault.find("a")?.id ?? Buffer.alloc(0)
      db.query<[Buffer, Buffer, Buffer]>(
        "UPDATE version SET key = ?, body = ? WHERE secret = ? AND version = 1",
      ).run(k, b, id)
    }
    const theirs = rowOf(other.database(), "a", 1)
    const sources = [rowOf(db, "a", 2), rowOf(db, "b", 1), theirs]
    for (const [k, b] of sources)
      for (const [x, y] of [
        [k, b],
        [key, b],
        [k, body],
      ] as const) {
        put(x, y)
        expect(() => valueOf(vault, "a", 1)).toThrow(expect.objectContaining({ kind: "corrupt" }))
      }
    put(key, body)
    expect(valueOf(vault, "a", 1)).toBe("of a")
    vault.rotate(SUBJECT)
    const [rewrapped] = rowOf(db, "a", 1)
    put(key, body)
    expect(() => valueOf(vault, "a", 1)).toThrow(expect.objectContaining({ kind: "corrupt" }))
    put(rewrapped, body)
    expect(valueOf(vault, "a", 1)).toBe("of a")
  })

  test("what is known of a secret can't be another's", () => {
    using place = new TestVault()
    const db = place.database()
    using vault = openOn(db)
    vault.put(SUBJECT, "a", Buffer.from("of a"), { expires: 1 })
    vault.put(SUBJECT, "b", Buffer.from("of b"))
    db.query("CREATE TABLE saved AS SELECT id, sealed FROM secret").run()
    db.query("UPDATE secret SET sealed = (SELECT sealed FROM saved WHERE saved.id <> secret.id)").run()
    expect(() => valueOf(vault, "a")).toThrow(expect.objectContaining({ kind: "corrupt" }))
    expect(() => vault.list()).toThrow(expect.objectContaining({ kind: "corrupt" }))
  })

  test("the newest version can't be taken away unnoticed", () => {
    using place = new TestVault()
    const db = place.database()
    using vault = openOn(db)
    vault.put(SUBJECT, "a", Buffer.from("old"))
    vault.put(SUBJECT, "a", Buffer.from("new"))
    db.query("DELETE FROM version WHERE version = 2").run()
    expect(() => valueOf(vault, "a")).toThrow(expect.objectContaining({ kind: "corrupt" }))
  })

  test("a protector of another vault gives the vault no other key", () => {
    using place = new TestVault()
    using other = new TestVault()
    other.close()
    const [fixed, sealed] = other
      .database()
      .query<[], [Buffer, Buffer]>("SELECT fixed, sealed FROM protector WHERE number = 1")
      .get() ?? [Buffer.alloc(0), Buffer.alloc(0)]
    const db = place.database()
    db.query<[Buffer, Buffer]>("UPDATE protector SET fixed = ?, sealed = ? WHERE number = 1").run(
      fixed,
      sealed,
    )
    expect(() => place.open({ person: KEY })).toThrow(expect.objectContaining({ kind: "denied" }))
    const vault = place.open({ person: RECOVERY, anyAge: true })
    // A rotation must not protect the next root key for whoever wrote that row.
    expect(() => vault.rotate(SUBJECT)).toThrow(expect.objectContaining({ kind: "corrupt" }))
    expect(ProtectorKind.KEY_FILE).toBe(KEY.kind)
  })
})
