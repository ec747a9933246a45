/** `clawfs vault` for programs, which read JSON, and for people at a terminal. */
import { join } from "node:path"
import { beforeEach, expect, test } from "vitest"
import { exec } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { bin, requireBuild } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

const VALUE = "sk-test-4f3e2d1c0b9a8877"
beforeEach((context) => skipIf(context, requireBuild()))

test("prints JSON where it is asked to, also of nothing", async () => {
  await using place = await VaultPlace.make()
  await place.unlock()
  const json = async (args: string[], input = ""): Promise<unknown> =>
    JSON.parse((await place.run([...args, "--json"], { input })).stdout) as unknown
  expect(await json(["rotate", "--due"])).toEqual([])
  expect(await json(["put", "a", "--rotate-days", "1"], "x")).toEqual({ name: "a", version: 1 })
  expect(await json(["rotate", "--root"])).toEqual({ epoch: 2 })
  expect(await json(["grant", "a", "--verb", "reveal", ...place.passphrase])).toEqual({ id: 1 })
  const started = (await json(["proxy", "start", "--port", "0"])) as { socket: string; port: number }
  expect(started).toEqual({
    socket: join(place.directory, "proxy.sock"),
    port: expect.any(Number) as number,
  })
  expect(await json(["proxy", "token"])).toEqual({
    ...started,
    token: expect.stringMatching(/^clawfs-/) as string,
  })
})

test("at a terminal, a grant to reveal is not enough: somebody says yes; and nothing is shown unless told", async (context) => {
  skipIf(context, requirePrograms("script"))
  await using place = await VaultPlace.make()
  await place.unlock()
  await place.run(["put", "a"], { input: VALUE })
  await place.run(["grant", "a", "--verb", "reveal", "--uses", "1", ...place.passphrase])
  const at = async (says: string, ...more: string[]): Promise<string> => {
    const command = [
      "env",
      `CLAWFS_VAULT=${place.directory}`,
      process.execPath,
      bin,
      "vault",
      "get",
      "a",
      ...more,
    ]
    const { code, stdout } = await exec("script", ["-qec", command.join(" "), "/dev/null"], { input: says })
    return `${code}: ${stdout}`
  }
  expect(await at("yes\n")).toMatch(/^64: .*vault get: the value would stay on the screen/s)
  for (const says of ["no\n", "\n"]) {
    const refused = await at(says, "--to-terminal")
    expect(refused).toMatch(/^77: .*nobody said yes/s)
    expect(refused).not.toContain(VALUE)
  }
  // No use was taken for those.
  expect((await place.run(["grants"])).stdout).toContain("1 uses left")
  expect(await at("yes\n", "--to-terminal")).toMatch(new RegExp(`^0: .*${VALUE}`, "s"))
})
