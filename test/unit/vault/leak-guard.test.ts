/** What the vault's process looks through for others: the fingerprints stay in it, hits are rows. */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs"
import { expect, test } from "vitest"
import { memfdCreate } from "../../../clawfs/sys/libc.ts"
import type { Scanned } from "../../../vault/service/leak-guard.ts"
import { AGENT, OWNER, TestMethods, pipe } from "../../helpers/vault-methods.ts"

const VALUE = "sk-0123456789abcdef"
const DECOY = "ghp_decoy-decoy-decoy"

type Shown = Pick<Scanned, "leaks" | "secrets"> & { readonly shown: string }

function scan(at: TestMethods, text: string, action = "redact"): Shown {
  const fds = [memfdCreate("from", 1), memfdCreate("out", 1)] as const
  try {
    writeSync(fds[0], text)
    const params = { from: 0, out: 1, channel: "mcp", action }
    const { leaks, secrets } = at.callWith(OWNER, "scan", params, fds) as Scanned
    const bytes = Buffer.alloc(fstatSync(fds[1]).size)
    readSync(fds[1], bytes, 0, bytes.length, 0)
    return { leaks, secrets, shown: bytes.toString() }
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}

const rows = (at: TestMethods, event: string): object[] =>
  (at.call(OWNER, "audit", {}) as { event: string }[]).filter((row) => row.event === event)

test("a value is taken out of a text, in its forms; a new value is known at once, an old one no more", () => {
  using at = new TestMethods()
  at.put("api", VALUE)
  const base64 = Buffer.from(VALUE).toString("base64url")
  expect(scan(at, `a ${VALUE} b ${base64} c`)).toMatchObject({ leaks: 2, secrets: ["api"] })
  expect(scan(at, `a ${VALUE} b`).shown).toBe("a [secret api] b")
  expect(scan(at, "nothing of it")).toEqual({ leaks: 0, secrets: [], shown: "" })
  at.put("api", "another-value-0123")
  expect(scan(at, VALUE).leaks).toBe(0)
  expect(scan(at, "another-value-0123").leaks).toBe(1)
  at.call(OWNER, "rm", { name: "api" })
  expect(scan(at, "another-value-0123").leaks).toBe(0)
  expect(rows(at, "leak")).toHaveLength(3)
  expect(rows(at, "leak")[0]).toMatchObject({ detail: { channel: "mcp", action: "redact", count: 2 } })
})

test("where it is blocked or told only, nothing is given back but what was found", () => {
  using at = new TestMethods()
  at.put("api", VALUE)
  for (const action of ["block", "alert"])
    expect(scan(at, VALUE, action)).toEqual({ leaks: 1, secrets: ["api"], shown: "" })
})

test("a decoy's value is an event of its own, and ends the grants of whoever showed it, and of nobody else", () => {
  using at = new TestMethods()
  at.put("api", VALUE)
  at.put("admin-token", DECOY, { canary: true })
  at.grant("api", "reveal")
  expect(at.get(OWNER, "api")).toBe(VALUE)
  expect(scan(at, `found ${DECOY}`).shown).toBe("found [secret admin-token]")
  expect(rows(at, "canary")).toMatchObject([
    { secret: "admin-token", subject: { uid: 0 }, detail: { seen: "mcp", frozen: true } },
  ])
  expect(() => at.get(OWNER, "api")).toThrow("no grant allows this")
  expect(at.get(AGENT, "api")).toBe(VALUE)
})

test("of what is written to a file, leaks count that have something new in them; the writer is who is told", () => {
  using at = new TestMethods()
  at.put("api", VALUE)
  at.put("admin-token", DECOY, { canary: true })
  const text = `${VALUE} and ${VALUE.slice(0, 9)}${VALUE.slice(9)}`
  const look = (from: number, to: number, what = text): Scanned => {
    const fd = memfdCreate("from", 1)
    try {
      writeSync(fd, what)
      const written = { from, to, ino: 77, uid: AGENT.uid, pid: AGENT.pid }
      const params = { from: 0, out: 0, channel: "file", action: "block", written }
      return at.callWith(OWNER, "scan", params, [fd]) as Scanned
    } finally {
      closeSync(fd)
    }
  }
  const second = VALUE.length + 5
  const longest = expect.any(Number) as number
  expect(look(VALUE.length, second)).toEqual({ leaks: 0, secrets: [], longest })
  expect(look(second + 9, text.length)).toEqual({ leaks: 1, secrets: ["api"], longest })
  expect(look(VALUE.length - 1, VALUE.length)).toEqual({ leaks: 1, secrets: ["api"], longest })
  expect(look(0, text.length)).toEqual({ leaks: 2, secrets: ["api"], longest })
  expect(rows(at, "leak")).toMatchObject([
    { subject: { uid: AGENT.uid, pid: AGENT.pid }, detail: { channel: "file", action: "block", ino: 77 } },
    { detail: { count: 1 } },
    { detail: { count: 2 } },
  ])
  at.grant("api", "reveal")
  expect(at.get(AGENT, "api")).toBe(VALUE)
  look(0, DECOY.length, DECOY)
  expect(() => at.get(AGENT, "api")).toThrow("no grant allows this")
})

test("a decoy in the output of a program that runs with another secret is noticed", async () => {
  using at = new TestMethods()
  at.put("api", VALUE)
  at.put("admin-token", DECOY, { canary: true })
  at.grant("api", "exec")
  const [reading, writing] = pipe()
  const [empty, other] = pipe()
  closeSync(other)
  const uses = [{ name: "api", variable: "K", as: "env" }]
  const place = { environment: [], directory: "/", stdin: 0, stdout: 1, stderr: 1 }
  const params = { program: "/bin/echo", args: [DECOY], uses, ...place }
  await at.callWith(OWNER, "exec", params, [empty, writing])
  const bytes = Buffer.alloc(4096)
  expect(bytes.toString("utf8", 0, readSync(reading, bytes))).toBe("[secret admin-token]\n")
  expect(rows(at, "canary")).toMatchObject([
    { secret: "admin-token", subject: { uid: 0 }, detail: { seen: "exec", frozen: true } },
  ])
  for (const fd of [reading, writing, empty]) closeSync(fd)
})

test("what may wait, and too much at once, is refused", () => {
  using at = new TestMethods()
  const how = { from: 0, out: 1, channel: "mcp", action: "redact" }
  expect(() => at.call(OWNER, "scan", how, [Buffer.from("a"), Buffer.from("b")])).toThrow("no file in memory")
})
