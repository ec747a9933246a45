/** `clawfs migrate` on a real PostgreSQL, a real mount and a real vault. */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { AGENT, ALICE, SMALL, documentsOf, secretsOf, strangeSecret } from "../helpers/ironclaw/fixture.ts"
import { MASTER_KEY } from "../helpers/ironclaw/crypto.ts"
import { connectTo, insert, load } from "../helpers/ironclaw/load.ts"
import { run, waitUntil } from "../helpers/exec.ts"
import { requirePostgres } from "../helpers/ironclaw/postgres-server.ts"
import { skipIf } from "../helpers/requirements.ts"
import { clawfs, contents, requireMounts, said } from "./harness.ts"
import { killAtRandom } from "./migrate-kills.ts"
import { Gate, Surroundings, eventsIn } from "./migrate-setting.ts"

let around: Surroundings
const reason = requirePostgres() ?? requireMounts()

beforeEach((context) => skipIf(context, reason))
beforeAll(async () => {
  if (reason === undefined) around = await Surroundings.make()
}, 120_000)
afterAll(async () => {
  if (reason === undefined) await around[Symbol.asyncDispose]()
})

const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex")

describe("a database of IronClaw 0.29", () => {
  test("is planned, migrated, verified, migrated again and rolled back", async () => {
    await using setting = await around.setting()
    const before = contents(setting.scene.mnt)
    const planned = await setting.run("plan", ["--json"])
    expect(said(planned)).toMatch(/^exit 0/)
    const plan = JSON.parse(planned.stdout) as {
      hazards: Record<string, number>
      run: string
      secrets: { total: number; expired: number }
    }
    expect(Object.keys(plan.hazards).sort()).toEqual(
      [
        ...[
          "case-twin",
          "duplicate-path",
          "encoded-name",
          "expired",
          "file-and-directory",
          "leaked-credential",
        ],
        ...["not-enabled", "plaintext-credential", "unicode-twin", "unknown-role", "wrong-hash"],
      ].sort(),
    )
    expect(plan.secrets).toMatchObject({ total: SMALL.secrets + 4, expired: 1 })
    expect(contents(setting.scene.mnt)).toEqual(before)

    const migrated = await setting.run("postgres")
    expect(said(migrated)).toMatch(/^exit 0\n/)
    const verified = await setting.run("verify")
    expect(said(verified)).toMatch(/^exit 0\n.*nothing is missing$/)

    const identities = await clawfs(["identity", "verify", "--mount", setting.scene.mnt])
    expect(said(identities)).toMatch(/^exit 0\n/)
    expect(identities.stdout).toContain(AGENT)

    // Every document has its bytes, whatever it is called.
    const files = new Set(
      filesBelow(setting.path("workspaces"))
        .concat(filesBelow(setting.path("agents")))
        .map((path) => sha256(readFileSync(path))),
    )
    for (const { content } of documentsOf(SMALL)) expect(files).toContain(sha256(content))
    const memory = setting.path("workspaces", ALICE, "MEMORY.md")
    // To the microsecond.
    const nanoseconds = BigInt(Date.parse("2026-01-01T00:01:01Z")) * 1_000_000n + 1_456_000n
    expect(statSync(memory, { bigint: true }).mtimeNs).toBe(nanoseconds)

    const again = await setting.run("postgres", ["--json"])
    expect(again.code).toBe(0)
    // Nothing to do: what it would do, how far it is, and that it is done.
    const events = eventsIn(again.stdout)
    expect([...new Set(events.map(({ event }) => event))].sort()).toEqual(["done", "plan", "progress"])
    expect(events[0]).toMatchObject({ run: plan.run, secrets: SMALL.secrets + 4 })
    expect(events.at(-1)).toMatchObject({
      ...{ ok: true, run: plan.run },
      ...{ files: { made: 0, updated: 0, conflict: 0 }, secrets: { made: 0 } },
    })

    for (const { user, name, value } of secretsOf(SMALL).slice(2)) {
      const got = await around.vault.run([
        "get",
        `${user}.${name.replaceAll("_", "-")}`,
        ...around.vault.passphrase,
      ])
      expect(got.stdout).toBe(value)
    }
    // A program gets a migrated secret, and nobody else sees it.
    const { name = "", value = "" } = secretsOf(SMALL)[2] ?? {}
    const secret = `${ALICE}.${name.replaceAll("_", "-")}`
    await around.vault.run(["grant", secret, "--verb", "exec", ...around.vault.passphrase])
    const script = 'printf %s "$KEY" | sha256sum'
    const used = await around.vault.run(["exec", "--env", `KEY=${secret}`, "--", "/bin/sh", "-c", script])
    expect(used.stdout).toContain(sha256(value))
    const moved = readFileSync(
      setting.path("system/settings", ALICE, "channels.gateway_auth_token.json"),
      "utf8",
    )
    expect(moved).toContain('"vault:alice.channels.gateway-auth-token"')
    const everything = filesBelow(setting.scene.mnt).map((path) => readFileSync(path))
    for (const secret of [
      "gateway-plain-token-1",
      "plain-provider-key-2",
      "plain-header-3",
      "webhook-plain-4",
      ...secretsOf(SMALL).map(({ value }) => value),
    ])
      expect(everything.some((bytes) => bytes.includes(secret))).toBe(false)

    expect(said(await setting.run("rollback", [plan.run]))).toMatch(/^exit 0/)
    expect(Object.keys(contents(setting.scene.mnt))).toEqual(Object.keys(before))
    const { stdout } = await around.vault.run(["list", "--json"])
    expect((JSON.parse(stdout) as { removed: number }[]).filter(({ removed }) => removed === 0)).toEqual([])
  })
})

test("--follow brings changes over until it is told to stop, then compares", async () => {
  await using setting = await around.setting({ hazards: false, documents: 3, secrets: 0 })
  await using gate = await Gate.open(around.server.port)
  setting.port = gate.port
  const following = setting.start(["--follow", "--every", "0.2", "--json"])
  const memory = setting.path("workspaces", ALICE, "MEMORY.md")
  const isThere = (text: string) => (): boolean =>
    existsSync(memory) && readFileSync(memory, "utf8").endsWith(text)
  expect(await waitUntil(isThere("\n"), 20_000)).toBe(true)
  await setting.sql("UPDATE memory_documents SET content = content || 'and more'")
  expect(await waitUntil(isThere("and more"), 20_000)).toBe(true)
  // A server that goes away is waited for.
  gate.shut()
  expect(await waitUntil(() => gate.refused > 1, 20_000)).toBe(true)
  gate.isShut = false
  await setting.sql("UPDATE memory_documents SET content = content || ' to the end'")
  following.child.kill("SIGTERM")
  expect(await following.ended).toBe(0)
  expect(isThere(" to the end")()).toBe(true)
  const events = eventsIn(following.output()).filter(({ event }) => event !== "progress")
  const path = `workspaces/${ALICE}/MEMORY.md`
  expect(events.filter((each) => each["path"] === path).map((each) => [each.event, each["outcome"]])).toEqual(
    [["item", "made"], ...[1, 2].map(() => ["item", "updated"])],
  )
  expect(events.at(0)).toMatchObject({ event: "plan", rows: expect.any(Number) as number })
  expect(events.at(-2)).toMatchObject({ event: "done", ok: true })
  expect(events.at(-1)).toMatchObject({ event: "verified", ok: true, losses: [] })
})

test("a full disk stops it, nothing is half there, and with room it goes on", async () => {
  await using setting = await around.setting({ documents: 60, secrets: 0 })
  const quota = (...args: string[]): ReturnType<typeof clawfs> => clawfs(["quota", ...args])
  expect((await quota("set", setting.path("workspaces"), "--bytes", "64K")).code).toBe(0)
  expect(said(await setting.run("postgres"))).toMatch(/^exit 74\n/)
  expect(filesBelow(setting.scene.mnt).filter((path) => path.includes(".clawfs-migrate-"))).toEqual([])
  expect((await quota("set", setting.path("workspaces"), "--bytes", "100M")).code).toBe(0)
  expect((await setting.run("postgres")).code).toBe(0)
  expect((await setting.run("verify")).code).toBe(0)
})

test("a server that is lost in the middle is said so, and the next run goes on", async () => {
  await using setting = await around.setting({ hazards: false, documents: 400, secrets: 0 })
  const cut = setting.start([])
  expect(await waitUntil(() => existsSync(setting.path("workspaces", ALICE)), 20_000)).toBe(true)
  await setting.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clawfs migrate'",
  )
  expect([0, 74]).toContain(await cut.ended)
  expect((await setting.run("postgres")).code).toBe(0)
  expect((await setting.run("verify")).code).toBe(0)
})

test("a migration that is killed at random points ends with the same bytes", async () => {
  expect(
    await killAtRandom(around, { documents: 40, messages: 100 }, { rounds: 1, points: 6 }),
  ).toBeGreaterThan(3)
})

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

describe("what a user did on the mount", () => {
  test("stays when the source changes too, unless --theirs", async () => {
    await using setting = await around.setting({ hazards: false, secrets: 0, documents: 3 })
    await setting.run("postgres")
    const memory = setting.path("workspaces", ALICE, "MEMORY.md")
    const daily = setting.path("workspaces", ALICE, "daily", "2026-01-02.md")
    writeFileSync(memory, "my own words")
    await setting.sql("UPDATE memory_documents SET content = content || 'more'")
    const { code, stdout } = await setting.run("postgres", ["--json"])
    expect(code).toBe(1)
    const events = eventsIn(stdout)
    expect(events.at(-1)).toMatchObject({ event: "done", ok: false, files: { updated: 2, conflict: 1 } })
    expect(events.filter(({ event }) => event === "conflict")).toEqual([
      expect.objectContaining({ path: `workspaces/${ALICE}/MEMORY.md`, why: "it was edited" }),
    ])
    expect(readFileSync(memory, "utf8")).toBe("my own words")
    expect(readFileSync(daily, "utf8")).toMatch(/more$/)
    expect((await setting.run("verify")).code).toBe(1)
    expect((await setting.run("postgres", ["--theirs"])).code).toBe(0)
    expect(readFileSync(memory, "utf8")).toMatch(/more$/)
    expect((await setting.run("verify")).code).toBe(0)
    // The user's words come back.
    const [run = ""] = readdirSync(setting.path("system/migrations"))
    expect((await setting.run("rollback", [run])).code).toBe(0)
    expect(readFileSync(memory, "utf8")).toBe("my own words")
    rmSync(memory)
  })
})

describe("bad input", () => {
  test("a wrong or missing master key stops before anything is written", async () => {
    await using setting = await around.setting({ hazards: false, documents: 2 })
    const before = contents(setting.scene.mnt)
    const wrong = await setting.run("postgres", [], { SECRETS_MASTER_KEY: "f".repeat(64) })
    expect(said(wrong)).toMatch(/^exit 77\nclawfs: 5 secrets can't be decrypted \(alice\/service_0_api_key, /)
    const missing = await setting.run("postgres", [], { SECRETS_MASTER_KEY: "" })
    expect(said(missing)).toMatch(/^exit 77[^]*hint: give IronClaw's master key/)
    expect(contents(setting.scene.mnt)).toEqual(before)
    await using client = await connectTo(setting.url)
    await insert(client, strangeSecret())
    const skipping = await setting.run("postgres", ["--skip-undecryptable"])
    expect(said(skipping)).toMatch(/^exit 1\nsecrets\/[-0-9a-f]+: it does not open/)
    const [run = ""] = readdirSync(setting.path("system/migrations"))
    expect((await setting.run("rollback", [run])).code).toBe(0)
  })

  test("a dump that is none, orders psql about or is cut off is refused, and a whole one goes over", async () => {
    await using setting = await around.setting({ hazards: false, documents: 2, secrets: 0 })
    const dump = join(setting.scene.path, "dump.sql")
    const words = ["--mount", setting.scene.mnt, "--vault", around.vault.directory]
    const ask = async (text: string): Promise<string> => {
      writeFileSync(dump, text)
      return said(await clawfs(["migrate", "postgres", dump, ...words]))
    }
    expect(said(await clawfs(["migrate", "plan", `${dump}.none`]))).toMatch(
      /^exit 66\nclawfs: there is no file/,
    )
    expect(said(await clawfs(["migrate", "postgres", dump, "--follow"]))).toMatch(/^exit 64\n/)
    expect(await ask("SELECT 1;\n")).toMatch(/^exit 65\nclawfs: the file is no dump of pg_dump's/)
    expect(await ask("PGDMP")).toMatch(/^exit 65\nclawfs: pg_restore can't read/)
    await run("pg_dump", [`--file=${dump}`, setting.url])
    const whole = readFileSync(dump, "utf8")
    const before = contents(setting.scene.mnt)
    expect(await ask(whole.replace("SET ", `\\! touch ${dump}.made\nSET `))).toMatch(
      /^exit 65\nclawfs: the dump has a command of psql's \(\\!\)/,
    )
    expect(await ask(whole.slice(0, -200))).toMatch(/^exit 65\nclawfs: the dump is cut off/)
    expect([existsSync(`${dump}.made`), contents(setting.scene.mnt)]).toEqual([false, before])
    const env = { SECRETS_MASTER_KEY: MASTER_KEY }
    writeFileSync(dump, whole)
    expect(said(await clawfs(["migrate", "postgres", dump, ...words], { env }))).toMatch(/^exit 0\n/)
    expect(readFileSync(setting.path("workspaces", ALICE, "MEMORY.md"), "utf8")).toMatch(/^# /)
  })

  test("is said in one sentence", async () => {
    await using setting = await around.setting({ hazards: false, documents: 1, secrets: 0 })
    const ask = async (url: string): Promise<string> => said(await clawfs(["migrate", "plan", url]))
    expect(await ask("postgresql://x@127.0.0.1:1/x")).toMatch(
      /^exit 66\nclawfs: no PostgreSQL server answers/,
    )
    expect(await ask(around.server.url("nothing"))).toMatch(
      /^exit 66\nclawfs: the server has no database "nothing"/,
    )
    expect(await ask(around.server.url("postgres"))).toMatch(/^exit 65\nclawfs: .* is not one of IronClaw's/)
    expect(await ask("mysql://x")).toMatch(/^exit 65\nclawfs: this is no URL/)
    await setting.sql("INSERT INTO refinery_schema_history VALUES (99, 'future')")
    expect(said(await setting.run("plan"))).toMatch(/^exit 69\nclawfs: .*newer IronClaw \(V99\)/)
    await setting.sql("DELETE FROM refinery_schema_history WHERE version = 99; CREATE ROLE poor LOGIN")
    expect(await ask(around.server.url(setting.database, "poor"))).toMatch(
      /^exit 77\nclawfs: the role may not read/,
    )
    expect(said(await clawfs(["migrate", "postgres", setting.url, "--mount", setting.scene.path]))).toMatch(
      /^exit 66/,
    )
    await setting.sql("CREATE ROLE keyed LOGIN PASSWORD 'right'; GRANT pg_read_all_data TO keyed")
    const rules = join(around.server.directory, "data", "pg_hba.conf")
    const before = readFileSync(rules, "utf8")
    writeFileSync(rules, `host all keyed 127.0.0.1/32 scram-sha-256\n${before}`)
    await setting.sql("SELECT pg_reload_conf()")
    const keyed = around.server.url(setting.database, "keyed")
    const withPassword = async (PGPASSWORD: string): Promise<string> =>
      said(await clawfs(["migrate", "plan", keyed], { env: { PGPASSWORD } }))
    await expect
      .poll(() => withPassword("wrong"), { timeout: 60_000 })
      .toMatch(
        /^exit 77\nclawfs: the server does not let keyed in: .*\nhint: put the password into PGPASSWORD/,
      )
    expect(await withPassword("right")).toMatch(/^exit 0\n/)
  })

  test("a run of another source, a vault and a tree that are locked: nothing is written", async () => {
    await using setting = await around.setting({ hazards: false, documents: 2 })
    const other = around.server.url(await around.server.database())
    await load(other, { ...SMALL, documents: 1, secrets: 0, hazards: false })
    expect((await setting.run("postgres", ["--run", "moving"])).code).toBe(0)
    const words = ["--mount", setting.scene.mnt, "--vault", around.vault.directory]
    const made = contents(setting.scene.mnt)
    expect(said(await clawfs(["migrate", "postgres", other, "--run", "moving", ...words]))).toMatch(
      /^exit 73\nclawfs: the run moving is of another source: .*\nhint: --run NAME begins another one/,
    )
    await around.vault.run(["lock"])
    const locked = await setting.run("postgres", ["--run", "moving"])
    await around.vault.unlock()
    expect(said(locked)).toMatch(/^exit 77\nclawfs: [^\n]*locked/)
    expect(contents(setting.scene.mnt)).toEqual(made)
    expect((await setting.run("rollback", ["moving"])).code).toBe(0)
    // A tree whose key is not there.
    const key = join(setting.scene.path, "key")
    writeFileSync(key, `${"ab".repeat(32)}\n`, { mode: 0o600 })
    const tree = setting.path("workspaces", ALICE)
    mkdirSync(tree)
    expect(said(await clawfs(["encrypt", "--key-file", key, tree]))).toMatch(/^exit 0/)
    expect(said(await clawfs(["lock", tree]))).toMatch(/^exit 0/)
    const shut = await setting.run("postgres", ["--run", "moving"])
    expect(said(shut)).toMatch(/^exit 77\nclawfs: [^\n]*locked[^\n]*(\nhint: [^\n]*)?$/)
    expect(said(await clawfs(["unlock", "--key-file", key, tree]))).toMatch(/^exit 0/)
    expect(said(await setting.run("postgres", ["--run", "moving"]))).toMatch(/^exit 0/)
    expect(said(await setting.run("verify", ["--run", "moving"]))).toMatch(/^exit 0/)
    expect((await setting.run("rollback", ["moving"])).code).toBe(0)
  })
})
