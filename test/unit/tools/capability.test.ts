/** What capabilities mean, and what is none. */
import { expect, test } from "vitest"
import {
  broadOnes,
  parseCapabilities,
  parseCapability,
  requireGrantable,
} from "../../../clawfs/tools/capability.ts"
import { requireSecrets } from "../../../clawfs/tools/secrets.ts"
import { fc } from "../support/fast-check.ts"

test("the colon form, path and all", () => {
  expect(parseCapability("process:spawn")).toEqual({ kind: "process" })
  expect(parseCapability("filesystem:write:/clawfs/workspaces/a b/ü:x")).toEqual({
    kind: "filesystem",
    access: "write",
    path: "/clawfs/workspaces/a b/ü:x",
  })
})

test("of secrets only their use by a program, whatever their names", () => {
  expect(parseCapability("secret:exec:a:b c")).toEqual({ kind: "secret", name: "a:b c" })
  for (const text of ["secret:inject:a", "secret:reveal:a", "secret:", "secret"])
    expect(() => parseCapability(text)).toThrow(expect.objectContaining({ kind: "unsupported" }))
  for (const text of ["secret:exec:", "secret:exec:a\nb", `secret:exec:${"x".repeat(256)}`])
    expect(() => parseCapability(text)).toThrow(expect.objectContaining({ kind: "invalid" }))
  expect(() => parseCapabilities(["secret:exec:a", "secret:exec:a"])).toThrow("granted twice")
})

test("each secret has a capability and a variable that may have one", () => {
  const check =
    (names: string[], secrets: object, environment: Record<string, string> = {}) =>
    () =>
      requireSecrets(
        { secrets, environment } as Parameters<typeof requireSecrets>[0],
        parseCapabilities(names.map((name) => `secret:exec:${name}`)),
      )
  const key = { name: "key", as: "env" }
  expect(check(["key"], { KEY: key })).not.toThrow()
  expect(check([], { KEY: key })).toThrow("secret:exec:key is no capability")
  expect(check(["key", "other"], { KEY: key })).toThrow("no variable for secret:exec:other")
  expect(check(["key"], { PATH: key })).toThrow("can't have a secret")
  expect(check(["key"], { KEY: key }, { KEY: "x" })).toThrow("can't have a secret")
  expect(check(["key"], { A: key, B: key })).toThrow("used twice")
  const many = Array.from({ length: 7 }, (_, n) => `k${n}`)
  const all = Object.fromEntries(many.map((name) => [name, { name, as: "fd" }]))
  expect(check(many, all)).toThrow("more than 6")
})

test.each([
  ...[
    "",
    ":",
    "filesystem",
    "filesystem:read",
    "filesystem:read:",
    "filesystem:exec:/clawfs/x",
    "process:kill",
  ],
  ...[
    "filesystem:read:/clawfs",
    "filesystem:read:/clawfs/",
    "filesystem:read:/clawfsx/y",
    "filesystem:read:clawfs/x",
  ],
  ...["filesystem:read:/clawfs/a/", "filesystem:read:/clawfs//a", "filesystem:read:/clawfs/./a"],
  ...["filesystem:read:/clawfs/../etc", "filesystem:read:/clawfs/a/..", "filesystem:read:/clawfs/a\nb"],
  ...["FILESYSTEM:read:/clawfs/a", "all", "*", "filesystem:*:/clawfs/a"],
])("%j is none", (text) => {
  expect(() => parseCapability(text)).toThrow(expect.objectContaining({ kind: "invalid" }))
})

test("whatever is accepted names one place below the root, in one way", () => {
  const part = fc.constantFrom("a", "b", "..", ".", "", "vault", "workspaces")
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const path = ["/clawfs", ...parts].join("/")
      let parsed: ReturnType<typeof parseCapability>
      try {
        parsed = parseCapability(`filesystem:read:${path}`)
      } catch {
        // Refused: nothing to be shown.
        return
      }
      expect(parsed).toEqual({ kind: "filesystem", access: "read", path })
      expect(new URL(`file://${path}`).pathname).toBe(path)
      expect(path.startsWith("/clawfs/")).toBe(true)
    }),
  )
})

test("grants that lie in each other are refused, whichever comes first", () => {
  const outer = "filesystem:read:/clawfs/a"
  for (const inner of ["filesystem:write:/clawfs/a/b", "filesystem:read:/clawfs/a"])
    for (const both of [
      [outer, inner],
      [inner, outer],
    ])
      expect(() => parseCapabilities(both)).toThrow("overlap")
  expect(parseCapabilities([outer, "filesystem:write:/clawfs/ab"])).toHaveLength(2)
})

test("the vault to nobody, system, tools and specs to no writer", () => {
  const check = (text: string) => () => requireGrantable([parseCapability(text)])
  for (const text of [
    "read:/clawfs/vault",
    "read:/clawfs/vault/a",
    "write:/clawfs/tools/x",
    "write:/clawfs/system",
  ])
    expect(check(`filesystem:${text}`)).toThrow(expect.objectContaining({ kind: "denied" }))
  for (const text of ["read:/clawfs/vaults", "read:/clawfs/tools/x", "write:/clawfs/workspaces/x"])
    expect(check(`filesystem:${text}`)).not.toThrow()
})

test("whole namespaces are broad, what lies in them is not", () => {
  const all = parseCapabilities([
    "filesystem:read:/clawfs/agents",
    "filesystem:write:/clawfs/workspaces/x",
    "process:spawn",
  ])
  expect(broadOnes(all)).toEqual(["filesystem:read:/clawfs/agents"])
})
