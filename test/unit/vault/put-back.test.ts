/** Each row of vault.db, one at a time, in an earlier state than the others: noticed, though every row by itself is genuine. */
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Database, type Value } from "../../../clawfs/store/database.ts"
import { hmac } from "../../../keyring/primitives.ts"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { Audit } from "../../../vault/audit.ts"
import { bound } from "../../../vault/bound.ts"
import { Grants } from "../../../vault/grants.ts"
import { readState, writeState } from "../../../vault/state.ts"
import { unlock } from "../../../vault/unlock.ts"
import { Vault } from "../../../vault/vault.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

const TABLES = ["vault", "protector", "secret", "version", "grant"]
const KEYS: Readonly<Record<string, readonly string[]>> = {
  protector: ["number"],
  version: ["secret", "version"],
}
const DB = "vault.db"

const place = new TestVault()
const at = (name: string): string => join(place.directory, name)
afterAll(() => place[Symbol.dispose]())

/** Things of every kind change between "before" and "after". */
beforeAll(() => {
  const db = place.database()
  const vault = new Vault(db, unlock(db, { person: KEY, inKernel: false }).keys)
  const grants = new Grants(db)
  const grant = (name: string, uses: number): number => {
    const secret = vault.find(name)?.id.toString("hex") ?? ""
    return vault.audited("grant", SUBJECT, () =>
      grants.add(vault.keys, { secret, verb: "reveal", uses, until: 0, created: 1 }),
    )
  }
  const take = (name: string): unknown =>
    vault.use(SUBJECT, "get", { name }, String, ({ id }) =>
      grants.take(vault.keys, { secret: id, verb: "reveal", subject: SUBJECT }, 1),
    )
  for (const name of ["changed", "removed", "destroyed"]) vault.put(SUBJECT, name, Buffer.from(`1 ${name}`))
  vault.put(SUBJECT, "changed", Buffer.from("2"))
  const revoked = grant("removed", 5)
  grant("changed", 2)
  const extra = vault.addPerson(SUBJECT, { kind: ProtectorKind.KEY_FILE, secret: Buffer.alloc(32, 7) })
  db.settle()
  copyFileSync(at(DB), at("before"))

  vault.put(SUBJECT, "changed", Buffer.from("3"))
  vault.destroy(SUBJECT, "changed", 1)
  vault.remove(SUBJECT, "removed")
  vault.destroy(SUBJECT, "destroyed")
  vault.put(SUBJECT, "new", Buffer.from("n"))
  take("changed")
  vault.audited("revoke", SUBJECT, () => grants.remove(revoked))
  grant("new", 1)
  vault.removeProtector(SUBJECT, extra)
  vault.addPerson(SUBJECT, { kind: ProtectorKind.KEY_FILE, secret: Buffer.alloc(32, 8) })
  vault.audited("idle", SUBJECT, () => writeState(db, { ...readState(db), idleSeconds: 5 }))
  db.settle()
  copyFileSync(at(DB), at("after"))
  vault[Symbol.dispose]()
  place.close()
})

/** Runs SQL on the vault's database, with the state before attached as `b`. */
function tampered(sql: string, ...values: Value[]): number {
  using db = new Database(at(DB))
  db.execute(`ATTACH '${at("before")}' AS b`)
  return db.query<Value[]>(sql).run(...values)
}

const opened = (): void => unlock(place.database(), { person: KEY, inKernel: false }).keys[Symbol.dispose]()
const fresh = (from = "after"): void => copyFileSync(at(from), at(DB))

describe.each(TABLES)("table %s", (table) => {
  const key = (KEYS[table] ?? ["id"]).join(", ")
  const keysOf = (sql: string): Value[][] => {
    using db = new Database(at("after"))
    db.execute(`ATTACH '${at("before")}' AS b`)
    return db.query<[], Value[]>(sql).all()
  }
  const where = `(${key}) = (${(KEYS[table] ?? ["id"]).map(() => "?").join(", ")})`

  test("a row that was put back, taken away or added is noticed, each by itself", () => {
    const changed = keysOf(
      `SELECT ${key} FROM (SELECT * FROM b."${table}" EXCEPT SELECT * FROM main."${table}")`,
    )
    const added = keysOf(
      `SELECT ${key} FROM main."${table}" WHERE (${key}) NOT IN (SELECT ${key} FROM b."${table}")`,
    )
    expect(changed.length).toBeGreaterThan(0)
    for (const row of changed) {
      fresh()
      expect(
        tampered(`INSERT OR REPLACE INTO main."${table}" SELECT * FROM b."${table}" WHERE ${where}`, ...row),
      ).toBe(1)
      expect(opened).toThrow(/are not as they were last written/)
      place.close()
    }
    for (const row of added) {
      fresh()
      expect(tampered(`DELETE FROM main."${table}" WHERE ${where}`, ...row)).toBe(1)
      expect(opened).toThrow(/are not as they were last written/)
      place.close()
    }
  })
})

test("the audit's head put back alone is noticed; a whole state fits together, as nothing in it tells its age", () => {
  fresh()
  opened()
  place.close()
  tampered("DELETE FROM main.audit_head")
  tampered("INSERT INTO main.audit_head SELECT * FROM b.audit_head")
  // By the sums, which are the head's; and without them, by the rows that are behind that end.
  expect(opened).toThrow(/are not as they were last written/)
  place.close()
  const vault = place.open({ person: KEY, anyAge: true })
  expect(() => vault.audit.verify(vault.keys)).toThrow("the audit's end")
  place.close()
  fresh("before")
  opened()
  place.close()
})

test("while it is unlocked, what another connection writes stops every use, until it is as it was", () => {
  fresh()
  const vault = place.open()
  expect(valueOf(vault, "changed")).toBe("3")
  tampered('UPDATE main."grant" SET sealed = (SELECT sealed FROM b."grant" LIMIT 1) WHERE id = 2')
  for (const _ of [1, 2])
    expect(() => valueOf(vault, "changed")).toThrow("the vault's grants are not as they")
  expect(() => vault.put(SUBJECT, "x", Buffer.from("x"))).toThrow("the vault's grants")
  expect(() => vault.rotate(SUBJECT)).toThrow("the vault's grants")
  expect(() => vault.verifyAudit()).toThrow("the vault's grants")
  using right = new Database(at("after"))
  const [sealed = null] = right.query<[], [Value]>('SELECT sealed FROM "grant" WHERE id = 2').get() ?? []
  tampered('UPDATE main."grant" SET sealed = ? WHERE id = 2', sealed)
  expect(valueOf(vault, "changed")).toBe("3")
  place.close()
})

test("adopt takes such a vault as it is, with a new root key", () => {
  fresh()
  tampered(
    "INSERT OR REPLACE INTO main.secret SELECT * FROM b.secret WHERE id NOT IN (SELECT id FROM main.secret)",
  )
  expect(opened).toThrow(/the vault's secrets are not/)
  const adopting = place.open({ person: KEY, anyAge: true })
  adopting.adopt(SUBJECT)
  place.close()
  const vault = place.open()
  expect(vault.keys.epoch).toBe(2)
  expect(valueOf(vault, "changed")).toBe("3")
  expect(() => vault.adopt(SUBJECT)).toThrow("nothing to adopt")
  place.close()
})

test("a vault of the first format gets its sums when it is unlocked", () => {
  fresh()
  {
    const db = place.database()
    using keys = unlock(db, { person: KEY, inKernel: false }).keys
    const { auditKey, uuid, epoch } = readState(db)
    const { seq, mac } = new Audit(db).end(keys)
    const old = keys.withWrapped("audit", bound("audit key", uuid, epoch), auditKey, "key", (key) =>
      hmac(key, bound("audit head", uuid, seq, 0, Buffer.alloc(0), mac)),
    )
    db.query<[Buffer]>("UPDATE audit_head SET mac = ?").run(old)
    db.query("ALTER TABLE audit_head DROP COLUMN sums").run()
    db.query("ALTER TABLE vault DROP COLUMN end_note").run()
  }
  place.close()
  {
    using db = new Database(at(DB))
    db.pragma("user_version = 1")
  }
  opened()
  place.close()
  tampered("DELETE FROM main.protector WHERE number = 2")
  expect(opened).toThrow(/the vault's protectors are not/)
  place.close()
})
