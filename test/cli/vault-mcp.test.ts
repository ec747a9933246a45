/** `clawfs mcp --guard`: no value of the vault's secrets gets to the model, whatever the files say. */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import { clawfs, requireBuild, said } from "./harness.ts"
import { Session } from "./mcp-session.ts"
import { VaultPlace } from "./vault-place.ts"

const VALUE = "sk-0123456789abcdef"
let vault: VaultPlace
beforeAll(async () => {
  if (requireBuild() !== undefined) return
  vault = await VaultPlace.make()
  await vault.unlock()
  await vault.run(["put", "api"], { input: VALUE })
})
afterAll(async () => {
  if (requireBuild() === undefined) await vault[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireBuild()))

test("answers are redacted, blocked or told of; with the vault locked, none is shown unchecked", async () => {
  const file = join(vault.base, ".env")
  writeFileSync(file, `A=1\nKEY=${VALUE}\n`)
  const args = ["--root", vault.base, "--vault", vault.directory, "--guard"]
  const read = { path: ".env" }
  await using redacting = await Session.open([...args, "redact"])
  await using blocking = await Session.open([...args, "block"])
  await using telling = await Session.open([...args, "alert"])
  expect(await redacting.call("read", read)).toMatch(/^A=1\nKEY=\[secret api\]\n/)
  expect(await redacting.call("read", { path: `no ${VALUE}` })).toBe("Error: no [secret api] does not exist")
  expect(await blocking.call("read", read)).toBe(
    "Error: the answer is not shown: it has api of the vault in it",
  )
  expect(await telling.call("read", read)).toContain(VALUE)
  expect((await vault.run(["audit", "--json"])).stdout.match(/"event": "leak"/g)).toHaveLength(4)

  await vault.run(["lock"])
  for (const session of [redacting, blocking])
    expect(await session.call("read", read)).toMatch(/^Error: .*the vault is locked.*clawfs vault unlock$/)
  expect(await telling.call("read", read)).toMatch(/not looked through for secrets: the vault is locked\]$/)
  await vault.unlock()
  expect(await redacting.call("read", read)).toMatch(/^A=1\nKEY=\[secret api\]\n/)
  rmSync(file)
})

test("wrong words are refused at the start", async () => {
  const root = ["mcp", "--root", "/"]
  expect(said(await clawfs([...root, "--guard", "hide"]))).toMatch(
    /^exit 64\n.*no --guard "hide"\nhint: redact, block/,
  )
  expect(said(await clawfs([...root, "--vault", "/x"]))).toMatch(/^exit 64\n/)
  expect(said(await clawfs([...root, "--guard", "block", "--vault", "/nowhere"]))).toMatch(/^exit 66\n/)
})
