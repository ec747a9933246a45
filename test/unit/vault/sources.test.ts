/** What other programs keep, as `clawfs vault import --from` reads it. */
import { spawnSync } from "node:child_process"
import { createCipheriv, pbkdf2Sync, randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { masterKeyOf, readEncFiles } from "../../../clawfs/cli/vault/sources/enc.ts"
import { readEnv } from "../../../clawfs/cli/vault/sources/env.ts"
import { readJson } from "../../../clawfs/cli/vault/sources/json.ts"
import { readPass } from "../../../clawfs/cli/vault/sources/pass.ts"
import { readCredentials } from "../../../clawfs/cli/vault/sources/systemd-creds.ts"
import { nameFor, type ForeignValues } from "../../../clawfs/cli/vault/sources/value.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"

const base = mkdtempSync(join(tmpdir(), "clawfs-sources-"))
const kept = { ...process.env }
beforeAll(() => mkdirSync(join(base, "gnupg"), { mode: 0o700 }))
afterAll(() => {
  if (process.env["GNUPGHOME"] !== undefined) spawnSync("gpgconf", ["--kill", "all"])
  for (const name of ["GNUPGHOME", "SYSTEMD_CREDENTIAL_SECRET"])
    if (kept[name] === undefined) Reflect.deleteProperty(process.env, name)
  rmSync(base, { recursive: true, force: true })
})

const texts = ({ values }: ForeignValues): Record<string, string> =>
  Object.fromEntries(values.map(({ source, value }) => [source, value.toString()]))
const env = (text: string): Record<string, string> => texts(readEnv(Buffer.from(text)))

describe(".env", () => {
  test.each([
    ["A=b", { A: "b" }],
    ["export A=b\r\n  B_2 = c d \n", { A: "b", B_2: "c d" }],
    ["# A=no\n\nA=b # a remark\nB=#none\nC=a#b", { A: "b", C: "a#b" }],
    [
      `A='a "b" \\n $c' # x\nB="a 'b'\\n\\"\\\\ \\$ \\q\${D}"`,
      { A: 'a "b" \\n $c', B: "a 'b'\n\"\\ $ \\q${D}" },
    ],
    [
      'K="-----BEGIN\nabc=\n# no remark\n-----END"\nB=`x y`',
      { K: "-----BEGIN\nabc=\n# no remark\n-----END", B: "x y" },
    ],
    ["A=1\nA=2", { A: "2" }],
    ["URL=postgres://u:p@h/db?x=y==", { URL: "postgres://u:p@h/db?x=y==" }],
  ])("%j", (text, expected) => expect(env(text)).toEqual(expected))

  test("an empty value is left out, and said", () => {
    const { values, notes } = readEnv(Buffer.from("A=\nB=''\nC=1"))
    expect(values.map(({ source }) => source)).toEqual(["C"])
    expect(notes).toEqual(["A is empty and was left out", "B is empty and was left out"])
  })

  test.each([
    ["A=1\nsk-secret", "line 2 is not NAME=VALUE"],
    ["2=x", "line 1 is not NAME=VALUE"],
    ["\nA='x\nB=1", "line 2: a quote is not closed"],
    ['A="x\\"', "line 1: a quote is not closed"],
    ['A="x" y', "line 1: something stands behind the quote"],
  ])("%j is refused without being quoted", (text, message) =>
    expect(() => env(text)).toThrow(new RegExp(`^${message}$`)),
  )
})

describe("JSON", () => {
  test("objects are levels of names", () =>
    expect(texts(readJson(Buffer.from('{"a":"x","b":{"c":1,"d":{"e":true}}}')))).toEqual({
      ...{ a: "x", "b/c": "1", "b/d/e": "true" },
    }))

  test.each([
    ['{"a": sk-secret}', "this is not JSON"],
    ["[]", "this is no JSON object of names and values"],
    ['{"a":{"b":["x"]}}', "a/b is a list, which is no value"],
  ])("%s is refused without being quoted", (text, message) =>
    expect(() => readJson(Buffer.from(text))).toThrow(message),
  )
})

test.each([
  ["OPENAI_API_KEY", "openai-api-key"],
  ["web/github.com/Me", "web.github.com.me"],
  ["_x__y_", "x-y"],
])("%s becomes %s", (source, name) => expect(nameFor(source)).toBe(name))

describe("P1.4 files", () => {
  const master = randomBytes(32)
  const make = (id: string, value: string, salt: string, version = 1): object => {
    const key = pbkdf2Sync(master, salt === "" ? `${id}:v${version}` : salt, 1000, 32, "sha256")
    const iv = randomBytes(12)
    const cipher = createCipheriv("aes-256-gcm", key, iv)
    const body = Buffer.concat([cipher.update(value), cipher.final()])
    const kdf = {
      algorithm: "PBKDF2-HMAC-SHA256",
      iterations: 1000,
      salt: Buffer.from(salt).toString("base64"),
    }
    return {
      ...{ secret_id: id, encrypted_value: body.toString("base64"), iv: iv.toString("base64"), kdf, version },
      ...{ auth_tag: cipher.getAuthTag().toString("base64"), algorithm: "AES-256-GCM", key_id: "k" },
    }
  }
  const write = (name: string, value: object): string => {
    const path = join(base, name)
    writeFileSync(path, JSON.stringify(value))
    return path
  }

  test("open with the master key, by the salt in the file or the one of the text", () => {
    const directory = join(base, "secrets")
    mkdirSync(directory)
    write("secrets/a.enc", make("a", "one", "0123456789abcdef"))
    write("secrets/b.enc", make("b", "two", "", 3))
    expect(texts(readEncFiles(directory, master))).toEqual({ a: "one", b: "two" })
  })

  test("another key, a changed file, one of a clawfs vault and none at all are refused", () => {
    const good = make("a", "one", "")
    const path = write("a.enc", good)
    expect(() => readEncFiles(path, randomBytes(32))).toThrow("the master key does not open")
    expect(() => readEncFiles(write("b.enc", { ...good, version: 2 }), master)).toThrow("does not open")
    expect(() => readEncFiles(write("c.enc", { format: "clawfs-vault-1" }), master)).toThrow(
      "only that vault's root key opens it",
    )
    expect(() => readEncFiles(write("d.enc", { ...good, iv: "" }), master)).toThrow(
      "no encrypted secret of P1.4",
    )
    expect(() => readEncFiles(join(base, "none.enc"), master)).toThrow("there is no file")
  })

  test("the master key is 32 bytes, or hexadecimal", () => {
    expect(masterKeyOf(Buffer.from(`${master.toString("hex")}\n`))).toEqual(master)
    expect(masterKeyOf(master)).toEqual(master)
    expect(() => masterKeyOf(Buffer.alloc(31))).toThrow("32 bytes")
  })
})

test("pass: the first line of each file, or all lines; what gpg does not open stops it", (context) => {
  skipIf(context, requirePrograms("gpg"))
  process.env["GNUPGHOME"] = join(base, "gnupg")
  const made = spawnSync("gpg", [
    ...["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"],
    ...["--quick-gen-key", "test@clawfs", "rsa2048", "encrypt", "never"],
  ])
  expect(made.stderr.toString()).not.toMatch(/failed/)
  const store = join(base, "store")
  mkdirSync(join(store, "web"), { recursive: true })
  mkdirSync(join(store, ".git"))
  writeFileSync(join(store, ".gpg-id"), "test@clawfs\n")
  const encrypt = (name: string, input: string): void => {
    const args = [
      "--batch",
      "--quiet",
      "--trust-model",
      "always",
      "-r",
      "test@clawfs",
      "-o",
      join(store, name),
    ]
    expect(spawnSync("gpg", [...args, "-e"], { input }).status).toBe(0)
  }
  encrypt("token.gpg", "t0ken\n")
  encrypt("web/mail.gpg", "pa ss\nuser: me\n")
  const first = readPass(store)
  expect(texts(first)).toEqual({ token: "t0ken", "web/mail": "pa ss" })
  expect(first.notes).toEqual(["of web/mail, only the first line; --whole takes all lines"])
  expect(texts(readPass(store, { whole: true }))["web/mail"]).toBe("pa ss\nuser: me")

  writeFileSync(join(store, "zz.gpg"), "no gpg at all")
  expect(() => readPass(store)).toThrow(/gpg does not open .*zz\.gpg/)
  expect(() => readPass(join(base, "nowhere"))).toThrow("there is no password store")
})

test("systemd-creds: one credential, or a directory of them; a renamed one is refused", (context) => {
  skipIf(context, requirePrograms("systemd-creds"))
  process.env["SYSTEMD_CREDENTIAL_SECRET"] = join(base, "host.secret")
  const directory = join(base, "credstore")
  mkdirSync(directory)
  const encrypt = (name: string, path: string, input: string): void => {
    const args = ["encrypt", "--with-key=host", `--name=${name}`, "-", join(directory, path)]
    expect(spawnSync("systemd-creds", args, { input }).status).toBe(0)
  }
  encrypt("db-password", "db-password", "pw\n")
  encrypt("token", "token.cred", "t")
  expect(texts(readCredentials(directory))).toEqual({ "db-password": "pw\n", token: "t" })
  encrypt("other", "renamed", "x")
  expect(() => readCredentials(join(directory, "renamed"))).toThrow(/systemd-creds does not open .*renamed/)
})
