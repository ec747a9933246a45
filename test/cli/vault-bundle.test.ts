/** Secrets that leave a vault and enter another one: `clawfs vault export|import`, and with files, `clawfs export --secrets`. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { hasArgon2id } from "../../clawfs/sys/libsodium.ts"
import { skipIf } from "../helpers/requirements.ts"
import { clawfs, requireBuild, said } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

let from: VaultPlace
let to: VaultPlace
let other: readonly string[] = []
const reason = (): string | undefined => requireBuild() ?? (hasArgon2id() ? undefined : "no libsodium")

beforeAll(async () => {
  if (reason() !== undefined) return
  from = await VaultPlace.make()
  to = await VaultPlace.make()
  await Promise.all([from.unlock(), to.unlock()])
  writeFileSync(join(from.base, "bundle-passphrase"), "another passphrase\n", { mode: 0o600 })
  other = ["--bundle-pass-file", join(from.base, "bundle-passphrase")]
  await from.run(["put", "api-key", "--tags", "openai", "--description", "for tests"], {
    input: "sk-secret-value",
  })
  await from.run(["put", "token"], { input: "t-secret-value" })
  await from.run(["put", "old", "--expires", "2020-01-01"], { input: "over" })
  await to.run(["put", "token"], { input: "mine" })
})
afterAll(async () => {
  if (reason() !== undefined) return
  await from[Symbol.asyncDispose]()
  await to[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason()))

const value = async (place: VaultPlace, name: string): Promise<string> =>
  (await place.run(["get", name, ...place.passphrase])).stdout

test("a bundle takes secrets to another vault; what is there with another value is kept", async () => {
  const file = join(from.base, "secrets.json.enc")
  expect(said(await from.run(["export", file, ...from.wrong, ...other]))).toContain("exit 77\n")
  const made = await from.run(["export", file, ...from.passphrase, ...other])
  expect(made.code).toBe(1)
  expect(made.stderr).toContain("has 2 secrets")
  expect(made.stderr).toContain("old has expired and was left out")
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, "utf8")).not.toMatch(/secret-value|api-key/)
  expect(said(await from.run(["export", file, ...from.passphrase, ...other]))).toMatch(
    /^exit 73\nclawfs: .* exists$/,
  )

  const imported = await to.run(["import", file, "--json", ...other])
  expect(imported.code).toBe(1)
  expect(JSON.parse(imported.stdout)).toEqual({ stored: ["api-key"], same: [], kept: ["token"] })
  expect(await value(to, "api-key")).toBe("sk-secret-value")
  expect(await value(to, "token")).toBe("mine")
  const list = JSON.parse((await to.run(["list", "--json"])).stdout) as { name: string }[]
  expect(list.find(({ name }) => name === "api-key")).toMatchObject({
    tags: ["openai"],
    description: "for tests",
  })

  expect((await to.run(["import", file, "--replace", ...other])).code).toBe(0)
  expect(await value(to, "token")).toBe("t-secret-value")
  const events = (await from.run(["audit"])).stdout
  expect(events.match(/ export +done +(api-key|token) v1/g)).toHaveLength(2)
})

test("an archive takes them along, and is nothing without the passphrase", async () => {
  const tree = join(from.base, "tree")
  mkdirSync(tree)
  writeFileSync(join(tree, "file"), "text")
  const archive = join(from.base, "a.tar")
  await from.run(["rm", "old"])
  const proof = ["--vault", from.directory, ...from.passphrase, ...other]
  expect((await clawfs(["export", "--secrets", ...proof, tree, archive])).code).toBe(0)
  expect(readFileSync(archive).includes("secret-value")).toBe(false)
  await to.run(["destroy", "api-key"])
  const imported = await clawfs([
    "import",
    "--secrets",
    "--vault",
    to.directory,
    ...other,
    archive,
    join(to.base, "new"),
  ])
  expect(said(imported)).toContain("secrets: 1 stored, 1 were there")
  expect(imported.code).toBe(0)
  expect(await value(to, "api-key")).toBe("sk-secret-value")
  expect(readFileSync(join(to.base, "new", "file"), "utf8")).toBe("text")
  expect(said(await clawfs(["export", "--vault", from.directory, tree, join(from.base, "b.tar")]))).toContain(
    "--vault is for --secrets",
  )
})
