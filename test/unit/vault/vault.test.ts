import { randomBytes } from "node:crypto"
import { readFileSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test, vi } from "vitest"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { createVault } from "../../../vault/create.ts"
import { MOST_VALUE_BYTES } from "../../../vault/vault.ts"
import { KEY, RECOVERY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })
const DAY = 86_400_000
afterEach(() => void vi.useRealTimers())

describe("secrets", () => {
  test("come back as they were put, of every length, after a lock too", () => {
    using place = new TestVault()
    const values = new Map(
      [1, 15, 16, 17, 4096, MOST_VALUE_BYTES].map((n) => [`of-${n}`, randomBytes(n)] as const),
    )
    for (const [name, value] of values) expect(place.open().put(SUBJECT, name, value)).toBe(1)
    place.close()
    const vault = place.open()
    for (const [name, value] of values)
      expect(vault.use(SUBJECT, "get", { name }, (bytes) => Buffer.from(bytes))).toEqual(value)
    expect(vault.list().map(({ metadata }) => metadata.name)).toEqual([...values.keys()].sort())
  })

  test("have versions: the newest is given, an older one on request", () => {
    using place = new TestVault()
    const vault = place.open()
    for (let i = 1; i <= 4; i += 1) expect(vault.put(SUBJECT, "key", Buffer.from(`value ${i}`))).toBe(i)
    expect(valueOf(vault, "key")).toBe("value 4")
    expect(valueOf(vault, "key", 2)).toBe("value 2")
    expect(() => valueOf(vault, "key", 5)).toThrow(fault("not-found"))
    expect(() => valueOf(vault, "key", 0)).toThrow(fault("not-found"))
    vault.destroy(SUBJECT, "key", 2)
    expect(() => valueOf(vault, "key", 2)).toThrow(/is destroyed/)
    expect(() => vault.destroy(SUBJECT, "key", 4)).toThrow(fault("invalid"))
    expect(vault.history("key").map(({ version, isDestroyed }) => [version, isDestroyed])).toEqual([
      ...[
        [1, false],
        [2, true],
        [3, false],
        [4, false],
      ],
    ])
  })

  test("keep as many versions as they say, and none longer than 30 days", () => {
    using place = new TestVault()
    const vault = place.open()
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) })
    for (let i = 1; i <= 4; i += 1) vault.put(SUBJECT, "key", Buffer.from(`value ${i}`), { keep: 2 })
    expect(vault.history("key").filter(({ isDestroyed }) => !isDestroyed)).toHaveLength(3)
    vi.setSystemTime(Date.UTC(2026, 0, 20))
    vault.put(SUBJECT, "key", Buffer.from("value 5"))
    expect(vault.maintain(SUBJECT)).toBe(0)
    vi.setSystemTime(Date.UTC(2026, 1, 1))
    // Version 3 was replaced on the first of January, 4 on the twentieth.
    expect(vault.maintain(SUBJECT)).toBe(1)
    expect(
      vault
        .history("key")
        .filter(({ isDestroyed }) => !isDestroyed)
        .map(({ version }) => version),
    ).toEqual([4, 5])
  })

  test("are gone from use when removed, come back with a new value, and are destroyed after 30 days", () => {
    using place = new TestVault()
    const vault = place.open()
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) })
    vault.put(SUBJECT, "key", Buffer.from("one"))
    vault.remove(SUBJECT, "key")
    expect(() => valueOf(vault, "key")).toThrow(fault("not-found"))
    expect(() => vault.remove(SUBJECT, "key")).toThrow(fault("not-found"))
    expect(vault.put(SUBJECT, "key", Buffer.from("two"))).toBe(2)
    expect(valueOf(vault, "key", 1)).toBe("one")
    vault.remove(SUBJECT, "key")
    vi.setSystemTime(Date.UTC(2026, 0, 1) + 31 * DAY)
    expect(vault.maintain(SUBJECT)).toBe(1)
    expect(vault.list()).toEqual([])
    expect(vault.put(SUBJECT, "key", Buffer.from("three"))).toBe(1)
    vault.destroy(SUBJECT, "key")
    expect(() => vault.destroy(SUBJECT, "key")).toThrow(fault("not-found"))
  })

  test("expire", () => {
    using place = new TestVault()
    const vault = place.open()
    vault.put(SUBJECT, "key", Buffer.from("one"), { expires: Date.now() + 60_000 })
    expect(valueOf(vault, "key")).toBe("one")
    vault.describe(SUBJECT, "key", { expires: Date.now() - 1 })
    expect(() => valueOf(vault, "key")).toThrow(/expired/)
    vault.describe(SUBJECT, "key", { expires: 0, description: "of the supplier", tags: ["b", "a", "b"] })
    expect(vault.find("key")?.metadata).toMatchObject({ description: "of the supplier", tags: ["a", "b"] })
    expect(valueOf(vault, "key")).toBe("one")
  })

  test("with a name, value or description that can't be are refused, and nothing is changed", () => {
    using place = new TestVault()
    const vault = place.open()
    for (const name of ["", "A", "a b", "-a", "a-", "a/b", "..", "a".repeat(129), "a.enc", "ä", "a\n"])
      expect(() => vault.put(SUBJECT, name, Buffer.from("x")), name).toThrow(fault("invalid"))
    expect(() => vault.put(SUBJECT, "a", Buffer.alloc(0))).toThrow(fault("invalid"))
    expect(() => vault.put(SUBJECT, "a", Buffer.alloc(MOST_VALUE_BYTES + 1))).toThrow(fault("invalid"))
    expect(() => vault.put(SUBJECT, "a", Buffer.from("x"), { description: "a\nb" })).toThrow(fault("invalid"))
    expect(() => vault.put(SUBJECT, "a", Buffer.from("x"), { tags: ["A B"] })).toThrow(fault("invalid"))
    expect(() => vault.put(SUBJECT, "a", Buffer.from("x"), { must: "exist" })).toThrow(fault("not-found"))
    vault.put(SUBJECT, "a", Buffer.from("x"))
    expect(() => vault.put(SUBJECT, "a", Buffer.from("y"), { must: "be new" })).toThrow(fault("exists"))
    expect(valueOf(vault, "a")).toBe("x")
    for (const name of ["a", "0", "openai-api-key", "a.b-c.d", "a".repeat(128)])
      vault.put(SUBJECT, name, Buffer.from("x"))
  })
})

test("no byte of a value, name or description is in the files, and destroyed ones leave nothing behind", () => {
  using place = new TestVault()
  const vault = place.open()
  const value = Buffer.from("sk-live-0123456789abcdef")
  vault.put(SUBJECT, "name-of-the-secret", value, { description: "what it is for", tags: ["tag-of-it"] })
  const before = filesOf(place.directory)
  for (const text of [value.toString(), "name-of-the-secret", "what it is for", "tag-of-it"])
    expect(before.includes(text), text).toBe(false)
  // What is searched for can be found: the audit's rows are in the clear.
  expect(before.includes("/usr/bin/test")).toBe(true)
  const db = place.database()
  const [key, body] = db.query<[], [Buffer, Buffer]>("SELECT key, body FROM version").get() ?? []
  if (key === undefined || body === undefined) throw new Error("no row")
  expect(before.includes(key) && before.includes(body)).toBe(true)
  vault.destroy(SUBJECT, "name-of-the-secret")
  const after = filesOf(place.directory)
  expect(after.includes(key) || after.includes(body)).toBe(false)
})

function filesOf(directory: string): Buffer {
  return Buffer.concat(readdirSync(directory).map((name) => readFileSync(join(directory, name))))
}

test("the files belong to their owner alone", () => {
  using place = new TestVault()
  place.open().put(SUBJECT, "a", Buffer.from("x"))
  for (const name of readdirSync(place.directory))
    expect(statSync(join(place.directory, name)).mode & 0o777, name).toBe(0o600)
})

describe("protectors", () => {
  test("each opens the vault, a wrong one does not", () => {
    using place = new TestVault()
    place.open().put(SUBJECT, "a", Buffer.from("x"))
    for (const person of [KEY, RECOVERY]) expect(valueOf(place.open({ person }), "a")).toBe("x")
    expect(() => place.open({ person: { ...KEY, secret: randomBytes(32) } })).toThrow(fault("denied"))
    expect(() =>
      place.open({ person: { kind: ProtectorKind.PASSPHRASE, secret: Buffer.from("x") } }),
    ).toThrow(fault("not-found"))
    expect(() => place.open({})).toThrow(fault("locked"))
  })

  test("are added and removed, but two of them stay", () => {
    using place = new TestVault()
    const vault = place.open()
    const other = { ...KEY, secret: randomBytes(40) }
    expect(() => vault.removeProtector(SUBJECT, 1)).toThrow(/at least 2/)
    expect(vault.addPerson(SUBJECT, other)).toBe(3)
    vault.removeProtector(SUBJECT, 1)
    expect(() => vault.removeProtector(SUBJECT, 1)).toThrow(fault("not-found"))
    expect(() => place.open({ person: KEY })).toThrow(fault("denied"))
    expect(place.open({ person: other }).list()).toEqual([])
    expect(vault.protectors().map(({ number, kind }) => [number, kind])).toEqual([
      ...[
        [2, ProtectorKind.RECOVERY],
        [3, ProtectorKind.KEY_FILE],
      ],
    ])
  })

  test("a vault needs two, and one of a person", () => {
    const options = { idleSeconds: 0, subject: SUBJECT }
    expect(() => createVault("/nonexistent", { ...options, people: [KEY] })).toThrow(fault("invalid"))
    expect(() => createVault("/nonexistent", { ...options, people: [] })).toThrow(fault("invalid"))
    using place = new TestVault()
    expect(() => createVault(place.directory, { ...options, people: [KEY, RECOVERY] })).toThrow(
      fault("exists"),
    )
  })
})

describe("a new root key", () => {
  test("keeps every secret and protector, and the old one opens nothing", () => {
    using place = new TestVault()
    const vault = place.open()
    for (let i = 0; i < 40; i += 1) vault.put(SUBJECT, `s-${i % 20}`, Buffer.from(`value ${i}`))
    vault.destroy(SUBJECT, "s-3", 1)
    const old = vault.keys.held.use((root) => Buffer.from(root))
    vault.rotate(SUBJECT)
    expect(vault.keys.epoch).toBe(2)
    expect(vault.keys.held.use((root) => Buffer.from(root))).not.toEqual(old)
    vault.rotate(SUBJECT)
    for (const person of [KEY, RECOVERY]) {
      const again = place.open({ person })
      for (let i = 0; i < 20; i += 1) expect(valueOf(again, `s-${i}`)).toBe(`value ${i + 20}`)
      expect(valueOf(again, "s-4", 1)).toBe("value 4")
      expect(() => valueOf(again, "s-3", 1)).toThrow(/destroyed/)
      expect(again.verifyAudit().rows).toBeGreaterThan(40)
    }
  })
})

describe("the audit", () => {
  test("has a row for each use, change and refusal, with who and what", () => {
    using place = new TestVault()
    const vault = place.open()
    vault.put(SUBJECT, "a", Buffer.from("x"))
    valueOf(vault, "a")
    expect(() => valueOf(vault, "b")).toThrow()
    expect(() => vault.destroy(SUBJECT, "a", 9)).toThrow()
    vault.remove(SUBJECT, "a")
    const rows = [...vault.audit.rows()]
    expect(rows.map(({ seq, event, outcome, version }) => [seq, event, outcome, version])).toEqual([
      ...[
        [1, "init", "done", 0],
        [2, "put", "done", 1],
        [3, "get", "done", 1],
        [4, "get", "not-found", 0],
        [5, "destroy", "not-found", 9],
        [6, "rm", "done", 0],
      ],
    ])
    expect(JSON.parse(rows[2]?.subject ?? "")).toEqual(SUBJECT)
    const id = vault.find("a")?.id
    expect([...vault.audit.rows({ secret: id })].map(({ seq }) => seq)).toEqual([2, 3, 5, 6])
    expect([...vault.audit.rows({ uid: 1 })]).toEqual([])
    expect([...vault.audit.rows({ since: Date.now() + 1000 })]).toEqual([])
    expect(vault.verifyAudit()).toMatchObject({ rows: 6, seq: 6 })
  })

  test("a use whose row can't be written does not happen", () => {
    using place = new TestVault()
    const vault = place.open()
    vault.put(SUBJECT, "a", Buffer.from("x"))
    place
      .database()
      .query("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
      .run()
    let seen = false
    expect(() => vault.use(SUBJECT, "get", { name: "a" }, () => (seen = true))).toThrow()
    expect(() => vault.put(SUBJECT, "a", Buffer.from("y"))).toThrow()
    expect(seen).toBe(false)
    place.database().query("DROP TRIGGER full").run()
    expect(valueOf(vault, "a")).toBe("x")
    expect(vault.history("a")).toHaveLength(1)
  })

  test("finds every row that was edited, removed, moved or cut off", () => {
    using place = new TestVault()
    const vault = place.open()
    for (let i = 0; i < 5; i += 1) vault.put(SUBJECT, "a", Buffer.from(`x${i}`))
    const db = place.database()
    db.query("CREATE TABLE saved AS SELECT * FROM audit").run()
    db.query("CREATE TABLE saved_head AS SELECT * FROM audit_head").run()
    const { seq, mac } = vault.verifyAudit()
    const attacks = [
      "UPDATE audit SET outcome = 'denied' WHERE seq = 3",
      "UPDATE audit SET time = time + 1 WHERE seq = 3",
      "UPDATE audit SET subject = '{}' WHERE seq = 6",
      "UPDATE audit SET detail = '{\"a\":1}' WHERE seq = 1",
      "UPDATE audit SET secret = x'' WHERE seq = 4",
      "UPDATE audit SET version = 7 WHERE seq = 4",
      "DELETE FROM audit WHERE seq = 3",
      "DELETE FROM audit WHERE seq = 1",
      "DELETE FROM audit WHERE seq = 6",
      "DELETE FROM audit",
      "UPDATE audit SET seq = -seq; UPDATE audit SET seq = CASE seq WHEN -3 THEN 4 WHEN -4 THEN 3 ELSE -seq END",
      "DELETE FROM audit WHERE seq > 4; UPDATE audit_head SET seq = 4",
      "UPDATE audit_head SET cut = 2, cut_mac = (SELECT mac FROM audit WHERE seq = 2); DELETE FROM audit WHERE seq <= 2",
      "INSERT INTO audit SELECT 7, time, event, outcome, subject, secret, version, detail, mac FROM audit WHERE seq = 6",
      "UPDATE audit SET mac = zeroblob(32) WHERE seq = 6",
      "DELETE FROM audit_head",
    ]
    for (const attack of attacks) {
      db.query("BEGIN").run()
      for (const statement of attack.split(";")) db.query(statement).run()
      db.query("COMMIT").run()
      expect(() => vault.verifyAudit(), attack).toThrow(fault("corrupt"))
      restore(db)
      expect(vault.verifyAudit(), attack).toMatchObject({ rows: 6, seq, mac })
    }

    function restore(to: typeof db): void {
      to.query("DELETE FROM audit").run()
      to.query("INSERT INTO audit SELECT * FROM saved").run()
      to.query("DELETE FROM audit_head").run()
      to.query("INSERT INTO audit_head SELECT * FROM saved_head").run()
    }
  })

  test("a noted end shows that the database was put back", () => {
    using place = new TestVault()
    const vault = place.open()
    vault.put(SUBJECT, "a", Buffer.from("x"))
    const noted = vault.verifyAudit()
    vault.put(SUBJECT, "a", Buffer.from("y"))
    expect(vault.verifyAudit(noted).rows).toBe(3)
    expect(() => vault.verifyAudit({ ...noted, mac: randomBytes(32) })).toThrow(fault("corrupt"))
    expect(() => vault.verifyAudit({ seq: 9, mac: noted.mac })).toThrow(fault("corrupt"))
  })
})
