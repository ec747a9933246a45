/** Decoys: who asks for one loses what he has, and learns nothing. */
import type { ServerResponse } from "node:http"
import { describe, expect, test } from "vitest"
import { KEY } from "../../helpers/vault.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"
import { TestProxy, type Asked } from "../../helpers/vault-proxy.ts"

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

describe("by the proxy", () => {
  const DECOY = "decoy-decoy-decoy-decoy"

  async function started(): Promise<TestProxy> {
    const proxy = await TestProxy.start()
    proxy.allow("sk-0123456789abcdef")
    proxy.vault.put("admin-token", DECOY, { canary: true })
    return proxy
  }
  const shown = (proxy: TestProxy): unknown => proxy.rows("canary").map(({ detail }) => detail)

  test.each<[string, string, Asked]>([
    ["in a path", `/api/${DECOY}`, {}],
    ["in the query, encoded", `/api/models?k=${Buffer.from(DECOY).toString("base64url")}`, {}],
    ["in a header", "/api/models", { headers: { "X-Key": `Bearer ${DECOY}` } }],
    ["in a body", "/api/models", { method: "POST", body: `{"k":"${Buffer.from(DECOY).toString("hex")}"}` }],
    ["to a host that no grant is for", `http://elsewhere.test/${DECOY}`, {}],
  ])("a request with a decoy %s is refused, not sent, and ends the grants", async (_where, path, asked) => {
    await using proxy = await started()
    expect((await proxy.ask("/api/models")).status).toBe(200)
    const { length } = proxy.upstream.requests
    expect((await proxy.ask(path, asked)).status).toBe(403)
    expect(shown(proxy)).toEqual([{ seen: "proxy request", frozen: true }])
    expect((await proxy.ask("/api/models")).status).toBe(403)
    expect(proxy.upstream.requests).toHaveLength(length)
  })

  test.each<[string, (response: ServerResponse) => void]>([
    ["header", (response) => response.setHeader("x-found", DECOY).end("ok")],
    ["body", (response) => response.end(`found ${DECOY.toUpperCase()} ${DECOY}`)],
  ])(
    "an answer with a decoy in its %s is passed on without it, and ends the grants",
    async (_where, answer) => {
      await using proxy = await started()
      proxy.upstream.answer = (_request, response) => answer(response)
      const { status, headers, body } = await proxy.ask("/api/models")
      expect(status).toBe(200)
      const all = `${JSON.stringify(headers)} ${body}`
      expect(all).not.toContain(DECOY)
      expect(all).toContain("[secret admin-token]")
      await expect.poll(() => shown(proxy)).toEqual([{ seen: "proxy answer", frozen: true }])
      expect((await proxy.ask("/api/models")).status).toBe(403)
    },
  )
})
