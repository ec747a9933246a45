/** `clawfs vault import --from`: what other programs keep becomes secrets, and nothing of it is shown. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import { requireBuild, said } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

let place: VaultPlace
beforeAll(async () => {
  if (requireBuild() !== undefined) return
  place = await VaultPlace.make()
  await place.unlock()
})
afterAll(async () => {
  if (requireBuild() === undefined) await place[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireBuild()))

const value = async (name: string): Promise<string> =>
  (await place.run(["get", name, ...place.passphrase])).stdout

test("a .env file, with a look before, conflicts, and a descriptor", async () => {
  const file = join(place.base, ".env")
  writeFileSync(file, 'OPENAI_API_KEY=sk-secret-1\nDB="p w"\nEMPTY=\n', { mode: 0o600 })
  const preview = await place.run(["import", "--from", "env", "--preview", file])
  expect(preview.code).toBe(0)
  expect(preview.stdout).toMatch(/^openai-api-key +new  11 bytes  OPENAI_API_KEY\ndb +new  3 bytes  DB\n$/)
  expect(preview.stderr).toBe("clawfs: EMPTY is empty and was left out\n")
  expect((await place.run(["list"])).stdout).toBe("")

  expect((await place.run(["import", "--from", "env", file])).stderr).toContain("2 stored")
  expect([await value("openai-api-key"), await value("db")]).toEqual(["sk-secret-1", "p w"])

  // Nobody can be asked here: nothing is stored, the new one neither.
  const input = "DB=other\nNEW=n\n"
  expect(said(await place.run(["import", "--from", "env"], { input }))).toMatch(
    /^exit 73\nclawfs: the vault has other values of db\nhint: --replace/,
  )
  expect((await place.run(["list"])).stdout).not.toContain("new ")
  const skipped = await place.run(["import", "--from", "env", "--skip", "--json", "-"], { input })
  expect([skipped.code, JSON.parse(skipped.stdout)]).toEqual([1, { stored: ["new"], same: [], kept: ["db"] }])
  expect((await place.run(["import", "--from", "env", "--replace"], { input })).code).toBe(0)
  expect(await value("db")).toBe("other")
})

test("JSON by a descriptor, under a prefix; wrong input is one sentence that does not quote it", async () => {
  const words = ["import", "--from", "json", "--from-fd", "0", "--prefix", "app-"]
  expect((await place.run(words, { input: '{"db":{"password":"pw-secret"}}' })).code).toBe(0)
  expect(await value("app-db.password")).toBe("pw-secret")
  const wrong = await place.run(words, { input: '{"a": pw-secret}' })
  expect(said(wrong)).toBe("exit 65\nclawfs: this is not JSON")
  expect(said(await place.run(["import", "--from", "env"], { input: "A_B=1\nA-B=2" }))).toMatch(
    /^exit 65\nclawfs: A_B and A-B would both be the secret a-b/,
  )
  expect(said(await place.run(["import", "--from", "nowhere"]))).toMatch(/^exit 64\n/)
  expect(said(await place.run(["import"]))).toMatch(/^exit 64\nclawfs: vault import: FILE is missing/)
})
