/**
 * A wrong passphrase: whatever is wrong about it, the same work is done before it is refused, and nothing but the tag of AES-GCM, which
 * libcrypto compares in constant time, decides. Times are not measured: what is called is.
 */
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { ProtectorKind } from "../../../keyring/protector.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import {
  MOST_FAILURES,
  WINDOW_MS,
  attempts,
  noteAttempt,
  requireFewAttempts,
} from "../../../vault/attempts.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"
import { KEY, SUBJECT, TestVault } from "../../helpers/vault.ts"

/** What the cryptography was asked for, in order: names and lengths, no secrets. */
const calls = vi.hoisted(() => [] as string[])

vi.mock(import("../../../keyring/kdf.ts"), async (original) => {
  const real = await original()
  const derive: typeof real.derive = (secret, how) => {
    calls.push(`derive by ${real.KDF_NAMES[how.kdf]} ${how.cost} ${how.memoryKiB}`)
    return real.derive(secret, how)
  }
  return { ...real, derive }
})

vi.mock(import("../../../keyring/primitives.ts"), async (original) => {
  const real = await original()
  const openBlob: typeof real.openBlob = (key, aad, blob) => {
    const plain = real.openBlob(key, aad, blob)
    calls.push(`open ${blob.length} bytes bound to ${aad.length}: ${plain === undefined ? "no" : "yes"}`)
    return plain
  }
  return { ...real, openBlob }
})

vi.mock(import("../../../clawfs/sys/x25519.ts"), async (original) => {
  const real = await original()
  const agree: typeof real.agree = (...args) => {
    calls.push("agree")
    return real.agree(...args)
  }
  return { ...real, agree }
})

const RIGHT = "correct horse battery staple"
const person = (text: string, kdf?: PersonSecret["kdf"]): PersonSecret => ({
  ...{ kind: ProtectorKind.PASSPHRASE, secret: Buffer.from(text), kdf },
})
const WRONG: readonly (readonly [string, string])[] = [
  ["its first byte", `C${RIGHT.slice(1)}`],
  ["its last byte", `${RIGHT.slice(0, -1)}E`],
  ["a byte too few", RIGHT.slice(0, -1)],
  ["a byte too many", `${RIGHT}!`],
  ["everything", "x".repeat(RIGHT.length)],
  ["everything, and it is short", "y"],
  ["everything, and it is as long as can be", "z".repeat(1024)],
]

const clear = (): void => void calls.splice(0)
beforeEach(clear)
afterEach(() => void vi.useRealTimers())

const DERIVED = "derive by pbkdf2-hmac-sha256 600000 0"
const REFUSED = expect.stringMatching(/^open 60 bytes bound to \d+: no$/) as string
const OPENED = expect.stringMatching(/^open 60 bytes bound to \d+: yes$/) as string

test("at `unlock`, every wrong one costs the same derivations and openings, for each passphrase that there is", () => {
  using place = new TestVault(undefined, {
    people: [person(RIGHT, "pbkdf2"), KEY, person("another", "pbkdf2")],
  })
  for (const [what, text] of WRONG) {
    clear()
    expect(() => place.open({ person: person(text) }), what).toThrow(
      expect.objectContaining({ kind: "denied", message: "this passphrase does not open the vault" }),
    )
    expect(calls, what).toEqual([DERIVED, REFUSED, DERIVED, REFUSED])
  }
  // The right one goes the same way as far as the tag; only then more is done.
  clear()
  place.open({ person: person(RIGHT) })
  expect(calls.slice(0, 3)).toEqual([DERIVED, OPENED, "agree"])
})

test("as a proof too, with a row for each; after five, none is looked at for a minute, not the right one either", () => {
  vi.useFakeTimers({ toFake: ["Date"] })
  using vault = new TestMethods()
  vault.vault.addPerson(OWNER, person(RIGHT, "pbkdf2"))
  vault.put("a", "the value")
  const proof = { kind: ProtectorKind.PASSPHRASE, fd: 0 }
  const ask = (text: string) =>
    vault.call(OWNER, "export", { proof, passphrase: 1, out: 2 }, [
      ...[Buffer.from(text), Buffer.from("of the bundle"), Buffer.alloc(0)],
    ])
  for (const [what, text] of WRONG.slice(0, MOST_FAILURES)) {
    clear()
    expect(() => ask(text), what).toThrow(expect.objectContaining({ kind: "denied" }))
    expect(calls, what).toEqual([DERIVED, REFUSED])
  }
  for (const text of [RIGHT, "y", RIGHT]) {
    clear()
    expect(() => ask(text)).toThrow(expect.objectContaining({ kind: "busy" }))
    expect(calls).toEqual([])
  }
  const rows = [...vault.vault.audit.rows()].filter(({ event }) => event === "proof")
  expect(rows.map(({ outcome }) => outcome)).toEqual([
    ...Array<string>(5).fill("denied"),
    "busy",
    "busy",
    "busy",
  ])
  expect(rows.map(({ subject }) => (JSON.parse(subject) as typeof OWNER).uid)).toEqual(
    rows.map(() => OWNER.uid),
  )
  vi.setSystemTime(Date.now() + WINDOW_MS)
  clear()
  vault.call(OWNER, "revoke", { id: vault.grant("a", "reveal") })
  expect(() => ask(WRONG[0]?.[1] ?? "")).toThrow(expect.objectContaining({ kind: "denied" }))
  expect(calls).toContain(DERIVED)
})

test("attempts to unlock that failed are counted where the next one sees them, and the newest are kept", () => {
  using place = new TestVault()
  const db = place.database()
  const now = Date.now()
  for (let at = 0; at < MOST_FAILURES - 1; at += 1) noteAttempt(db, SUBJECT, "wrong")
  expect(() => requireFewAttempts(db, now + 1)).not.toThrow()
  noteAttempt(db, AGENT, "wrong")
  const last = Math.max(...attempts(db).map(({ time }) => time))
  expect(() => requireFewAttempts(db, last)).toThrow(expect.objectContaining({ kind: "busy" }))
  expect(() => requireFewAttempts(db, last + WINDOW_MS)).not.toThrow()
  // A clock that was put back locks nobody out.
  expect(() => requireFewAttempts(db, now - 1)).not.toThrow()
  const insert = db.query<[number, string, string]>("INSERT INTO attempt VALUES (?, ?, ?)")
  db.transact(() => {
    for (let at = 0; at < 1000; at += 1) insert.run(last + at, "{}", "later")
  })
  noteAttempt(db, SUBJECT, "newest")
  const kept = attempts(db).map(({ reason }) => reason)
  expect([kept.length, kept.includes("wrong"), kept.includes("newest")]).toEqual([1000, false, true])
})
