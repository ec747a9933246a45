import { createCipheriv, hkdfSync } from "node:crypto"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkName } from "../../../vault/metadata.ts"
import { credentialsIn, referenceTo } from "../../../clawfs/migrate/secrets/credentials.ts"
import { openSecret, rebornBinding } from "../../../clawfs/migrate/secrets/ironclaw-crypto.ts"
import { replaced, stringsIn } from "../../../clawfs/migrate/secrets/json-strings.ts"
import { vaultName } from "../../../clawfs/migrate/secrets/names.ts"
import { MASTER_KEY, encrypted } from "../../helpers/ironclaw/crypto.ts"

describe("IronClaw's encryption", () => {
  const { value, salt } = encrypted("sk-value", "x")
  test("opens with the text of the master key, not with the bytes that it spells", () => {
    expect(openSecret(Buffer.from(MASTER_KEY), salt, value)?.toString()).toBe("sk-value")
    expect(openSecret(Buffer.from(MASTER_KEY, "hex"), salt, value)).toBeUndefined()
  })
  test("does not open with another salt, another's ciphertext or a changed byte", () => {
    const other = encrypted("sk-value", "y")
    expect(openSecret(Buffer.from(MASTER_KEY), other.salt, value)).toBeUndefined()
    for (let at = 0; at < value.length; at += 1) {
      const changed = Buffer.from(value)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(openSecret(Buffer.from(MASTER_KEY), salt, changed)).toBeUndefined()
    }
    for (const length of [0, 11, 27])
      expect(openSecret(Buffer.from(MASTER_KEY), salt, value.subarray(0, length))).toBeUndefined()
  })
  test("of 1.x is bound to where the secret is", () => {
    const bound = rebornBinding("reborn/v1/fs_secret_record", ["t", "u", "", "", "h"])
    expect(bound.subarray(26, 26 + 9)).toEqual(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 0x74]))
    const key = Buffer.from(hkdfSync("sha256", MASTER_KEY, salt, "near-agent-secrets-v1", 32))
    const cipher = createCipheriv("aes-256-gcm", key, Buffer.alloc(12)).setAAD(bound)
    const blob = Buffer.concat([Buffer.alloc(12), cipher.update("v"), cipher.final(), cipher.getAuthTag()])
    expect(openSecret(Buffer.from(MASTER_KEY), salt, blob, bound)?.toString()).toBe("v")
    expect(openSecret(Buffer.from(MASTER_KEY), salt, blob)).toBeUndefined()
  })
})

describe("names in the vault", () => {
  test.each([
    [["alice", "openai_api_key"], "alice.openai-api-key"],
    [["default", "a", "b_c"], "default.a.b-c"],
  ])("%j", (words, name) => {
    const [user = "", ...parts] = words
    expect(vaultName(user, ...parts)).toBe(name)
  })
  test("can always be, and differ where their words do", () => {
    const word = fc.string({ unit: "binary", maxLength: 80 })
    fc.assert(
      fc.property(word, word, word, word, (a, b, c, d) => {
        checkName(vaultName(a, b))
        if (a !== c || b !== d) expect(vaultName(a, b)).not.toBe(vaultName(c, d))
      }),
    )
    expect(vaultName("a", "b-c")).not.toBe(vaultName("a", "b_c"))
  })
})

describe("strings in JSON", () => {
  test("are found as JSON.parse finds them", () => {
    const walk = (value: unknown, path: readonly string[] = []): [string, string][] =>
      typeof value === "string"
        ? [[path.join("/"), value]]
        : typeof value === "object" && value !== null
          ? Object.entries(value).flatMap(([key, each]) => walk(each, [...path, key]))
          : []
    fc.assert(
      fc.property(fc.json(), (text) => {
        const found = [...stringsIn(text)].map(({ path, value }) => [path.join("/"), value])
        // The order of numbers as keys is JSON.parse's own.
        expect(found.sort()).toEqual(walk(JSON.parse(text)).sort())
      }),
    )
  })
  test("can be replaced, and nothing else changes", () => {
    const text = '{"a": "x", "n": 1.50, "b": ["y"]}'
    const changes = [...stringsIn(text)].map((each) => ({ ...each, by: `<${each.value}>` }))
    expect(replaced(text, changes)).toBe('{"a": "<x>", "n": 1.50, "b": ["<y>"]}')
  })
  test("a bomb of brackets is no recursion", () => {
    expect([...stringsIn(`${"[".repeat(200_000)}"x"${"]".repeat(200_000)}`)]).toHaveLength(1)
  })
})

describe("credentials in settings", () => {
  const found = (place: string, value: unknown): string[] =>
    credentialsIn("u", place, JSON.stringify(value)).map(({ dotted }) => dotted)
  test.each([
    ["nearai.session_token", "x", ["nearai.session_token"]],
    ["tunnel.cf_token", "x", ["tunnel.cf_token"]],
    [
      "llm_custom_providers",
      [{ api_key: "x", name: "n", max_tokens: "5" }],
      ["llm_custom_providers.0.api_key"],
    ],
    ["mcp_servers", { a: { headers: { X: "y" }, url: "https://h" } }, ["mcp_servers.a.headers.X"]],
    ["acp_agents", [{ env: { PATH: "/bin" } }], ["acp_agents.0.env.PATH"]],
    ["database", "postgres://u:p@h/d", ["database"]],
    ["theme", "dark", []],
    ["secret", "", []],
    ["secret", "vault:u.secret", []],
  ])("%s %j", (place, value, dotted) => {
    expect(found(place, value)).toEqual(dotted)
  })
  test("leave a reference to the vault", () => {
    const [credential] = credentialsIn("u", "channels.gateway_auth_token", '"x"')
    expect(credential === undefined ? "" : referenceTo(credential)).toBe(
      "vault:u.channels.gateway-auth-token",
    )
  })
})
