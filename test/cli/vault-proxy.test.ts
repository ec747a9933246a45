/** `clawfs vault proxy`, end to end: its own process, clients of both ways, canaries, and its end with the vault. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { once } from "node:events"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeEach, expect, test } from "vitest"
import { exec } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { Upstream, testCertificate } from "../helpers/upstream.ts"
import { requireBuild } from "./harness.ts"
import { VaultPlace, asNobody } from "./vault-place.ts"

const VALUE = "sk-test-4f3e2d1c0b9a8877"
beforeEach((context) => skipIf(context, requireBuild(), requirePrograms("openssl", "curl", "setpriv")))
const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")

function proxyProcesses(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("vault/proxy/main.js")
      )
    } catch {
      // It is gone meanwhile.
      return false
    }
  })
}

test("curl and a program with a token use a secret that neither sees", async (context) => {
  skipIf(context, requireRoot())
  await using upstream = await Upstream.start()
  await using place = await VaultPlace.make()
  await place.unlock()
  const others = proxyProcesses()
  await place.run(["put", "key"], { input: VALUE })
  const file = join(place.base, "endpoint.json")
  const endpoint = {
    ...{ provider_id: "api", base_url: `https://127.0.0.1:${upstream.port}/v1` },
    ...{
      endpoints: [{ method: "GET", path: "/models" }],
      place: { header: "Authorization", format: "Bearer {}" },
    },
    ...{ addresses: ["127.0.0.0/8"], tls: { ca: testCertificate().cert } },
  }
  writeFileSync(file, JSON.stringify({ ...endpoint, place: {} }))
  const grant = [
    "grant",
    "key",
    "--verb",
    "inject",
    "--endpoint",
    file,
    "--uid",
    "65534",
    ...place.passphrase,
  ]
  expect((await place.run(grant)).code).toBe(65)
  writeFileSync(file, JSON.stringify(endpoint))
  expect((await place.run(["proxy", "token"], asNobody)).code).toBe(66)
  expect((await place.run(["proxy", "start"], asNobody)).code).toBe(77)
  const started = await place.run(["proxy", "start", "--port", "0"])
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(started.stderr)?.[1])
  expect((await place.run(["proxy", "start"])).code).toBe(73)
  upstream.answer = (noted, response) => response.end(`you sent ${String(noted.headers.authorization)}`)
  const curl = (uid: number, path: string): ReturnType<typeof exec> => {
    const words = ["curl", "-s", "--unix-socket", join(place.directory, "proxy.sock"), `http://vault${path}`]
    return exec("setpriv", [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...words], {
      timeoutSeconds: 20,
    })
  }
  expect(JSON.parse((await curl(65_534, "/api/models")).stdout)).toEqual({
    error: { message: "no grant allows this" },
  })
  expect((await place.run(grant)).code).toBe(0)
  expect((await curl(65_534, "/api/models")).stdout).toBe("you sent Bearer [secret api]")
  expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${VALUE}`)
  for (const [uid, path] of [
    [65_534, "/api/other"],
    [65_533, "/api/models"],
  ] as const)
    expect((await curl(uid, path)).stdout).toContain("no grant allows this")
  const token = (await place.run(["proxy", "token"], asNobody)).stdout.trim()
  const byToken = async (key: string): Promise<number | undefined> => {
    const sent = request({
      host: "127.0.0.1",
      port,
      path: "/api/models",
      headers: { authorization: `Bearer ${key}` },
    })
    sent.end()
    const [answer] = (await once(sent, "response")) as [import("node:http").IncomingMessage]
    answer.resume()
    return answer.statusCode
  }
  expect([await byToken(token), await byToken("clawfs-other")]).toEqual([200, 403])
  const rows = JSON.parse((await place.run(["audit", "--json", "--subject", "65534"])).stdout) as {
    event: string
    outcome: string
  }[]
  expect(rows.filter(({ event }) => event === "inject").map(({ outcome }) => outcome)).toEqual([
    ...["denied", "done", "denied", "done"],
  ])
  // A decoy: whoever asks for it has nothing any more.
  await place.run(["put", "admin", "--canary"], { input: "decoy" })
  expect((await place.run(["get", "admin"], asNobody)).code).toBe(77)
  expect((await curl(65_534, "/api/models")).stdout).toContain("no grant allows this")
  const { stdout: grants } = await place.run(["grants"])
  expect(grants).toContain("frozen: uid 65534 asked for this canary")
  const number = /(\d+) {2}admin/.exec(grants)?.[1] ?? ""
  expect((await place.run(["revoke", number, ...place.wrong])).code).toBe(77)
  expect((await place.run(["revoke", number, ...place.passphrase])).code).toBe(0)
  expect((await curl(65_534, "/api/models")).stdout).toContain("[secret api]")
  // It ends with the vault's process, also when that is killed.
  const own = proxyProcesses().filter((pid) => !others.includes(pid))
  expect(own).toHaveLength(1)
  process.kill(await place.pid(), "SIGKILL")
  for (let i = 0; i < 50 && own.some((pid) => existsSync(`/proc/${pid}/cmdline`)); i += 1) await sleep(100)
  expect(own.filter((pid) => proxyProcesses().includes(pid))).toEqual([])
})
