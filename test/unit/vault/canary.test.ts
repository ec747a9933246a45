/** Decoys: who asks for one loses what he has, and learns nothing. */
import { expect, test } from "vitest"
import { KEY } from "../../helpers/vault.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })
const OTHER = { uid: 1002, pid: 7 }
const proof = { kind: KEY.kind, fd: 0 }

function prepared(): TestMethods {
  const vault = new TestMethods()
  vault.put("real", "r".repeat(32))
  vault.put("admin-token", "decoy-decoy-decoy-decoy", { canary: true })
  vault.grant("real", "reveal", { uid: 1001 })
  vault.grant("real", "sign")
  return vault
}

const sign = (vault: TestMethods, subject = AGENT, name = "real"): unknown =>
  vault.call(subject, "sign", { name, kind: "hmac-sha256", fd: 0 }, [Buffer.from("x")])

test.each<[string, (vault: TestMethods) => unknown]>([
  ["get", (vault) => vault.get(AGENT, "admin-token")],
  ["sign", (vault) => sign(vault, AGENT, "admin-token")],
  ["public-key", (vault) => vault.call(AGENT, "public-key", { name: "admin-token" })],
])("asking by %s freezes all grants of this user, those for everybody too, and of no other", (_name, ask) => {
  using vault = prepared()
  // Though a grant allows it.
  vault.grant("admin-token", "reveal")
  vault.grant("admin-token", "sign")
  expect(vault.get(AGENT, "real")).toBe("r".repeat(32))
  sign(vault)
  expect(() => ask(vault)).toThrow("no grant allows this")
  expect(() => vault.get(AGENT, "real")).toThrow("no grant allows this")
  expect(() => sign(vault)).toThrow(fault("denied"))
  sign(vault, OTHER)
  const rows = vault.call(OWNER, "audit", {}) as { event: string; subject: object; secret: string }[]
  expect(rows.filter(({ event }) => event === "canary")).toMatchObject([
    { outcome: "done", secret: "admin-token", subject: { uid: 1001, pid: 4242 }, detail: { frozen: true } },
  ])
})

test("a program can't be run with it, and then with nothing", async () => {
  using vault = prepared()
  const params = {
    ...{ program: "/bin/true", args: [], environment: [], directory: "/", stdin: 0, stdout: 0, stderr: 0 },
    uses: [{ name: "admin-token", variable: "K", as: "env" }],
  }
  await expect(vault.call(AGENT, "exec", params, [Buffer.from("")])).rejects.toThrow("no grant allows this")
  expect(() => sign(vault)).toThrow(fault("denied"))
})

test("the grants come back with a proof alone, also not by destroying the canary", () => {
  using vault = prepared()
  expect(() => vault.get(AGENT, "admin-token")).toThrow(fault("denied"))
  vault.call(OWNER, "destroy", { name: "admin-token" })
  expect(() => sign(vault)).toThrow(fault("denied"))
  const grants = vault.call(OWNER, "grants", {}) as { id: number; verb: string; uid?: number }[]
  const freeze = grants.find(({ verb }) => verb === "freeze")
  expect(freeze?.uid).toBe(1001)
  expect(() => vault.call(OWNER, "revoke", { id: freeze?.id })).toThrow(fault("denied"))
  // New grants don't help either.
  vault.grant("real", "reveal", { uid: 1001 })
  expect(() => vault.get(AGENT, "real")).toThrow(fault("denied"))
  vault.vault.rotate(OWNER)
  expect(() => vault.get(AGENT, "real")).toThrow(fault("denied"))
  vault.call(OWNER, "revoke", { id: freeze?.id, proof }, [KEY.secret])
  expect(vault.get(AGENT, "real")).toBe("r".repeat(32))
})

test("its owner sees it with a proof, and other secrets are no canaries", () => {
  using vault = prepared()
  expect(vault.call(OWNER, "list", {})).toMatchObject([
    { name: "admin-token", canary: true },
    { name: "real" },
  ])
  expect(() => vault.get(AGENT, "nothing")).toThrow(fault("denied"))
  sign(vault)
})
