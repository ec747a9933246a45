/** Sources of migrations: every level of IronClaw's schema, vectors, hostile databases. On real servers, into plain directories. */
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  checkIdentity,
  createIdentity,
  readIdentity,
  updateIdentity,
} from "../../clawfs/identity/identity-file.ts"
import { Fault } from "../../clawfs/core/fault.ts"
import { ServerConnection } from "../../clawfs/migrate/postgres/server.ts"
import { readUrl } from "../../clawfs/migrate/postgres/url.ts"
import { rollback } from "../../clawfs/migrate/rollback.ts"
import { Run } from "../../clawfs/migrate/run.ts"
import { run } from "../helpers/exec.ts"
import { AGENT, SMALL, documentsOf } from "../helpers/ironclaw/fixture.ts"
import { MASTER_KEY } from "../helpers/ironclaw/crypto.ts"
import { REBORN_SECRET, loadP14, loadReborn, makeHome } from "../helpers/ironclaw/others.ts"
import { MemoryStore, compare, migrate, planOf } from "../helpers/ironclaw/in-process.ts"
import { connectTo, load } from "../helpers/ironclaw/load.ts"
import { PgliteServer } from "../helpers/ironclaw/pglite-server.ts"
import { usePostgres } from "../helpers/ironclaw/postgres-tests.ts"
import { picture, place } from "../helpers/ironclaw/places.ts"
import { NEWEST_V1 } from "../helpers/ironclaw/schema.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"

describe("on PostgreSQL", () => {
  const postgres = usePostgres()

  test("every level from V1 to V27 goes over, and nothing is missing", async () => {
    const small = { documents: 3, conversations: 1, messages: 3, secrets: 2, tools: 1, hazards: false }
    const url = postgres.server.url(await postgres.server.database())
    await using client = await connectTo(url)
    for (let level = 1; level <= NEWEST_V1; level += 1) {
      await client.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
      await load(url, { ...SMALL, ...small, level })
      using target = place()
      const store = new MemoryStore()
      const applied = await migrate({ url, directory: target.path, store })
      expect(applied.losses, `V${level}`).toEqual([])
      expect((await compare({ url, directory: target.path, store })).losses, `V${level}`).toEqual([])
    }
  })

  test("two migrations of one database have the same bytes, and twice is once", async () => {
    const url = await postgres.loaded({})
    using first = place()
    using second = place()
    for (const { path } of [first, second]) await migrate({ url, directory: path })
    const made = picture(first.path)
    expect(picture(second.path)).toEqual(made)
    expect(Object.keys(made).length).toBeGreaterThan(80)
    await migrate({ url, directory: first.path, store: new MemoryStore() })
    expect(picture(first.path)).toEqual(made)
  })

  test("agents get an identity once, which is theirs from then on", async () => {
    const url = await postgres.loaded({ documents: 6, hazards: false })
    using target = place()
    const migration = { url, directory: target.path, store: new MemoryStore() }
    await migrate(migration)
    const directory = join(target.path, "agents", AGENT)
    // The fourth document is the agent's; it was changed a minute and a second after it was made.
    expect(checkIdentity(directory).file.identity).toMatchObject({
      ...{
        agent_id: AGENT,
        created_at: "2026-01-01T00:03:03.003456Z",
        updated_at: "2026-01-01T00:04:04.004456Z",
      },
    })
    expect(checkIdentity(directory).backups.map(({ problem }) => problem)).toEqual([undefined])
    expect(checkIdentity(join(target.path, "agents/default")).file.problem).toBeUndefined()
    updateIdentity(directory, (identity) => ({ ...identity, version: "2.0.0" }))
    expect(await migrate(migration)).toMatchObject({
      files: { made: 0, updated: 0, conflict: 0 },
      losses: [],
    })
    expect((await compare(migration)).losses).toEqual([])
    expect(readIdentity(directory).version).toBe("2.0.0")
    // One that is there already stays, and is not the run's to remove.
    using other = place()
    const own = join(other.path, "agents", AGENT)
    mkdirSync(own, { recursive: true })
    createIdentity(own, { ...readIdentity(directory), version: "9.0.0" })
    await migrate({ ...migration, directory: other.path })
    using begun = new Run(other.path, "test")
    rollback(begun, migration.store)
    expect(readIdentity(own).version).toBe("9.0.0")
  })

  test("TLS is what libpq means by each mode", async (context) => {
    skipIf(context, requirePrograms("openssl"))
    const made = (name: string): string => join(postgres.server.directory, name)
    for (const name of ["server", "other"])
      await run("openssl", [
        ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
        ...[
          "-addext",
          "subjectAltName=DNS:localhost",
          "-keyout",
          made(`${name}.key`),
          "-out",
          made(`${name}.crt`),
        ],
      ])
    await run("chown", ["postgres", made("server.key")])
    const url = postgres.server.url("postgres")
    await using client = await connectTo(url)
    for (const setting of [
      `ssl_cert_file = '${made("server.crt")}'`,
      `ssl_key_file = '${made("server.key")}'`,
      "ssl = on",
    ])
      await client.query(`ALTER SYSTEM SET ${setting}`)
    await client.query("SELECT pg_reload_conf()")
    const reached = async (host: string, parameters: string): Promise<string> => {
      const wanted = url.replace("127.0.0.1", host).replace("sslmode=disable", parameters)
      try {
        const connection = await ServerConnection.open(readUrl(wanted, {}))
        const [[isEncrypted] = []] = await connection.query(
          "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
        await connection.close()
        return isEncrypted === "t" ? "TLS" : "plain"
      } catch (thrown) {
        return thrown instanceof Fault ? thrown.kind : String(thrown)
      }
    }
    const root = `&sslrootcert=${made("server.crt")}`
    const stranger = `&sslrootcert=${made("other.crt")}`
    const isOn = async (): Promise<boolean> => (await reached("localhost", "sslmode=require")) === "TLS"
    for (let tries = 0; tries < 100 && !(await isOn()); tries += 1) await sleep(100)
    for (const [host, parameters, wanted] of [
      ["localhost", `sslmode=verify-full${root}`, "TLS"],
      ["127.0.0.1", `sslmode=verify-full${root}`, "denied"],
      ["localhost", `sslmode=verify-full${stranger}`, "denied"],
      ["localhost", "sslmode=verify-full", "denied"],
      ["127.0.0.1", `sslmode=verify-ca${root}`, "TLS"],
      ["127.0.0.1", `sslmode=verify-ca${stranger}`, "denied"],
      ["127.0.0.1", "sslmode=require", "TLS"],
      ["127.0.0.1", `sslmode=require${stranger}`, "denied"],
      ["127.0.0.1", "sslmode=prefer", "TLS"],
      ["127.0.0.1", "sslmode=disable", "plain"],
    ] as const)
      expect([host, parameters, await reached(host, parameters)]).toEqual([host, parameters, wanted])
  })

  test("a value of many megabytes is read in pieces, whatever its type", async () => {
    const url = await postgres.loaded({ documents: 1, hazards: false })
    await using client = await connectTo(url)
    await client.query("UPDATE memory_documents SET content = repeat('wörd \"q\" ', 900000)")
    await client.query(
      `UPDATE conversations SET metadata = jsonb_build_object('t', repeat('ab', 700000), 'n', 1.50)`,
    )
    await client.query("UPDATE wasm_tools SET wasm_binary = decode(repeat('00ff', 800000), 'hex')")
    using target = place()
    const store = new MemoryStore()
    expect((await migrate({ url, directory: target.path, store })).losses).toEqual([])
    const text = readFileSync(join(target.path, "workspaces/alice/MEMORY.md"), "utf8")
    expect(text).toBe('wörd "q" '.repeat(900_000))
    const wasm = readFileSync(join(target.path, "tools/imported/alice/tool_0/1.0.0/tool.wasm"))
    expect(wasm.equals(Buffer.from("00ff".repeat(800_000), "hex"))).toBe(true)
    const [conversation = ""] = readdirSync(join(target.path, "agents/default/conversations/alice"))
    const json = readFileSync(
      join(target.path, "agents/default/conversations/alice", conversation, "conversation.json"),
      "utf8",
    )
    expect((JSON.parse(json) as { metadata: { t: string } }).metadata.t).toHaveLength(1_400_000)
    expect(json).toContain('"n": 1.50')
  })

  test("a hostile database calls nothing of its own and leads nowhere", async () => {
    const url = await postgres.loaded({ documents: 2, secrets: 0 })
    await using client = await connectTo(url)
    // Overloads that a search path with public in it would prefer, views, rules of names.
    await client.query(`
      CREATE FUNCTION public.octet_length(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
      CREATE FUNCTION public.replace(text, text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
      CREATE FUNCTION public.same(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
      CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same);
      CREATE TYPE public.odd AS ENUM ('a');
      CREATE FUNCTION public.cast_odd(public.odd) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
      CREATE CAST (public.odd AS text) WITH FUNCTION public.cast_odd(public.odd);
      CREATE TABLE public."../../x""; DROP TABLE users; --" (id int PRIMARY KEY, "a""b" public.odd, n numeric);
      INSERT INTO public."../../x""; DROP TABLE users; --" VALUES (1, 'a', 'NaN');
      INSERT INTO settings (user_id, key, value)
        VALUES ('../../../../etc', '../cron.d/x', ('"' || repeat('x', 100) || '"')::jsonb), ('', '..', '{}'),
        ('bomb', 'deep', (repeat('[', 5000) || repeat(']', 5000))::jsonb);
      INSERT INTO agent_jobs (title, description, status, source, user_id) VALUES ('t', 'd', 's', 's', '/etc')`)
    using target = place()
    const inside = join(target.path, "mnt")
    const outside = join(target.path, "outside")
    mkdirSync(join(inside, "workspaces"), { recursive: true })
    mkdirSync(outside)
    symlinkSync(outside, join(inside, "workspaces", "household"))
    const applied = await migrate({ url, directory: inside, store: new MemoryStore() })
    expect(readdirSync(outside)).toEqual([])
    expect(applied.losses.map(({ why }) => why)).toEqual([expect.stringContaining("leads through a link")])
    expect(readdirSync(target.path).sort()).toEqual(["mnt", "outside"])
    const archive = join(inside, "system/migrations/test/archive")
    const strange = readdirSync(archive).filter((name) => name.includes("DROP"))
    expect(strange.map((name) => readFileSync(join(archive, name), "utf8"))).toEqual([
      '{"a\\"b":"a","id":1,"n":"NaN"}\n',
    ])
    expect(existsSync(join(inside, "system/settings/%2E%2E%2F")) || existsSync("/etc/cron.d/x.json")).toBe(
      false,
    )
    const plan = await planOf({ url, directory: inside })
    expect(plan.hazards["unknown-table"]).toBe(1)
  })

  test("IronClaw 1.x, at every level from V26 to V34", async () => {
    const url = postgres.server.url(await postgres.server.database())
    await using client = await connectTo(url)
    for (const level of [26, 27, 28, 29, 30, 31, 32, 33, 34]) {
      await client.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
      await loadReborn(client, level)
      using target = place()
      const store = new MemoryStore()
      const migration = { url, directory: target.path, store }
      expect((await migrate(migration)).losses, `V${level}`).toEqual([])
      expect((await compare(migration)).losses, `V${level}`).toEqual([])
      const read = (path: string): string => readFileSync(join(target.path, path), "utf8")
      expect(read("workspaces/bob/MEMORY.md")).toBe("remembered")
      expect(read("workspaces/bob/%2E%2E/%2E%2E/%2E%2E/escape.md")).toBe("no further")
      expect(read("agents/helper/workspaces/acme:eve/.projects/site/notes/a.md")).toBe("of a project")
      expect(read("agents/default/ironclaw/system/settings/llm.json")).toBe(
        '{"api_key": "vault:system.llm.api-key", "n": 1.0}',
      )
      expect(store.kept.get("bob.api-key")?.value.toString()).toBe(REBORN_SECRET)
      expect([...store.kept.keys()].sort()).toEqual(["bob.api-key", "bob.helper.other", "system.llm.api-key"])
    }
  })

  test("a database of both generations gives both", async () => {
    const url = await postgres.loaded({ documents: 2, hazards: false })
    await using client = await connectTo(url)
    await client.query("DROP TABLE root_filesystem_entries")
    await loadReborn(client, 34)
    using target = place()
    const migration = { url, directory: target.path, store: new MemoryStore() }
    expect((await migrate(migration)).losses).toEqual([])
    expect((await compare(migration)).losses).toEqual([])
    expect(readdirSync(join(target.path, "workspaces")).sort()).toEqual(["alice", "bob"])
  })

  test("the schema of the older documents", async () => {
    const url = postgres.server.url(await postgres.server.database())
    await using client = await connectTo(url)
    await loadP14(client)
    using target = place()
    const migration = { url, directory: target.path }
    expect((await migrate(migration)).losses).toEqual([])
    expect((await compare(migration)).losses).toEqual([])
    const read = (path: string): string => readFileSync(join(target.path, path), "utf8")
    expect(read("workspaces/site/docs/one.md")).toBe("one")
    expect(read("workspaces/site/document-2.md")).toBe("two")
    expect(read("workspaces/..%2Fx/%2E%2E/%2E%2E/y")).toBe("three")
    expect(JSON.parse(read("agents/alpha/identity.imported.json"))).toMatchObject({
      state: { status: "idle" },
    })
    expect(readIdentity(join(target.path, "agents/alpha"))).toMatchObject({
      version: "1",
      origin: "ironclaw",
    })
    expect(read("system/migrations/test/archive/vectors.jsonl")).toBe(
      '{"document_id":1,"embedding":[0.1,0.2],"id":1}\n',
    )
  })

  test("IronClaw's own directory: tools, skills, configuration without its credentials", async () => {
    const url = await postgres.loaded({ documents: 1, secrets: 0, hazards: false })
    using source = place()
    using target = place()
    makeHome(source.path)
    const store = new MemoryStore()
    const migration = { url, directory: target.path, store, home: source.path }
    expect((await migrate(migration)).losses).toEqual([])
    expect((await compare(migration)).losses).toEqual([])
    const made = picture(target.path)
    for (const path of [
      "/tools/imported/home/tools/notes.wasm",
      "/agents/default/skills/write/SKILL.md",
      "/workspaces/default/projects-home/p/readme.md",
    ])
      expect(made[path]).toBeDefined()
    expect(Object.keys(made).filter((path) => /link|today|session/.test(path))).toEqual([])
    const everything = Object.keys(made)
      .filter((path) => made[path] !== "other")
      .map((path) => readFileSync(join(target.path, path), "utf8"))
    for (const secret of ["plain-home-1", "plain-home-2", "plain-home-3", MASTER_KEY])
      expect(everything.some((text) => text.includes(secret))).toBe(false)
    const [variable = ""] = [...store.kept.keys()].filter((name) => name.startsWith("home.env."))
    expect(store.kept.get(variable)?.value.toString()).toBe("postgres://u:plain-home-3@h/d")
    expect(store.kept.get("home.session")?.value.toString()).toContain("plain-home-2")
  })
})

describe("on PGlite with pgvector", () => {
  let server: PgliteServer
  beforeAll(async () => {
    server = await PgliteServer.start()
  }, 120_000)
  afterAll(() => server[Symbol.asyncDispose]())

  test("vectors of each dimension go into the archive, bit by bit", async () => {
    const size = { ...SMALL, vectors: true, chunks: 2, dimensions: 64 }
    await load(server.url, size)
    using target = place()
    const store = new MemoryStore()
    const migration = { url: server.url, directory: target.path, store }
    const plan = await planOf(migration)
    // The fixture's setting names a model whose vectors have 1536 dimensions.
    expect(plan.hazards).toMatchObject({ "mixed-dimensions": 1, "odd-vector": 1, "unknown-model": 2 })
    expect((await migrate(migration)).losses).toEqual([])
    expect(await compare(migration)).toMatchObject({ losses: [], rankings: { compared: 50, equal: 50 } })
    expect(await migrate(migration)).toMatchObject({ files: { made: 0, updated: 0, conflict: 0 } })
    const archive = join(target.path, "system/migrations/test/archive")
    const lines = readFileSync(join(archive, "chunks.jsonl"), "utf8").trimEnd().split("\n")
    expect(lines).toHaveLength(documentsOf(size).length * 2)
    const chunks = lines.map(
      (line) =>
        JSON.parse(line) as {
          id: string
          content: string
          vector: { dimensions: number; row: number } | null
        },
    )
    await using client = await connectTo(server.url)
    for (const { id, vector } of chunks.slice(0, 40)) {
      const { rows } = await client.query<{ e: string | null }>(
        "SELECT embedding::text AS e FROM memory_chunks WHERE id = $1",
        [id],
      )
      const wanted = rows[0]?.e ?? null
      expect(vector === null).toBe(wanted === null)
      if (vector === null || wanted === null) continue
      const { dimensions, row } = vector
      const bytes = readFileSync(join(archive, `vectors-${dimensions}.f32`)).subarray(
        row * dimensions * 4,
        (row + 1) * dimensions * 4,
      )
      const numbers = Array.from({ length: dimensions }, (_, at) => bytes.readFloatLE(at * 4))
      expect(numbers).toEqual((JSON.parse(wanted) as number[]).map(Math.fround))
    }
    const { sets } = JSON.parse(readFileSync(join(archive, "vectors.json"), "utf8")) as {
      sets: { dimensions: number; rows: number; model: null; texts: string }[]
    }
    for (const { dimensions, rows, model, texts } of sets) {
      expect(model).toBeNull()
      expect(statSync(join(archive, `vectors-${dimensions}.f32`)).size).toBe(rows * dimensions * 4)
      const hashes = readFileSync(join(archive, texts))
      for (const { content, vector } of chunks.filter((chunk) => chunk.vector?.dimensions === dimensions))
        expect(hashes.subarray((vector?.row ?? 0) * 32).subarray(0, 32)).toEqual(
          createHash("sha256").update(content.trim()).digest(),
        )
    }
    // A vector that is not what it was: files and rankings tell.
    const file = join(archive, "vectors-64.f32")
    const bytes = readFileSync(file)
    bytes.reverse()
    writeFileSync(file, bytes)
    const { rankings, losses } = await compare(migration)
    expect(rankings.equal).toBeLessThan(rankings.compared)
    expect(losses.map(({ id }) => id).sort()).toEqual(["memory_chunks/vectors-64.f32", "rankings"])
  })
})
