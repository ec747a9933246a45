/** Databases that change between runs, and during one. */
import { appendFileSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { rollback } from "../../clawfs/migrate/rollback.ts"
import { Run } from "../../clawfs/migrate/run.ts"
import { attributeOf } from "../../clawfs/sys/xattr.ts"
import { MemoryStore, compare, migrate, momentOf, planOf } from "../helpers/ironclaw/in-process.ts"
import { connectTo } from "../helpers/ironclaw/load.ts"
import { loadP14 } from "../helpers/ironclaw/others.ts"
import { picture, place } from "../helpers/ironclaw/places.ts"
import { usePostgres } from "../helpers/ironclaw/postgres-tests.ts"

const postgres = usePostgres()

test("the server tells what has changed, and the rest stays there", async () => {
  const url = await postgres.loaded({ documents: 8, hazards: false })
  await using client = await connectTo(url)
  using target = place()
  const migration = { url, directory: target.path, store: new MemoryStore() }
  const first = await migrate(migration)
  const files = first.files.made
  expect(await migrate(migration)).toMatchObject({ files: { made: 0, updated: 0, unchanged: files } })
  // Bytes that are the same with another time and other metadata.
  const memory = join(target.path, "workspaces/alice/MEMORY.md")
  const before = readFileSync(memory, "utf8")
  await client.query(
    `UPDATE memory_documents SET metadata = '{"new": 1}', updated_at = '2026-03-04T05:06:07Z' WHERE path = 'MEMORY.md'`,
  )
  expect(await migrate(migration)).toMatchObject({ files: { updated: 1, unchanged: files - 1 } })
  expect([statSync(memory).mtime.toISOString(), readFileSync(memory, "utf8")]).toEqual([
    "2026-03-04T05:06:07.000Z",
    before,
  ])
  expect(attributeOf(memory, "user.clawfs.src.metadata")).toBe('{"new": 1}')
  // What a pass that follows asks for: rows that were written since.
  const since = await momentOf(url)
  await client.query(`UPDATE memory_documents SET content = 'new' WHERE path = 'MEMORY.md'`)
  await client.query(
    "INSERT INTO conversation_messages (conversation_id, role, content) SELECT id, 'user', 'one more' FROM conversations LIMIT 1",
  )
  const followed = await migrate({ ...migration, since })
  expect(followed).toMatchObject({ files: { made: 0, updated: 2, conflict: 0 }, losses: [] })
  expect(readFileSync(memory, "utf8")).toBe("new")
  expect(await migrate(migration)).toMatchObject({ files: { made: 0, updated: 0, unchanged: files } })
  expect((await compare(migration)).losses).toEqual([])
  // What a user does shows although the source says that nothing is new.
  appendFileSync(memory, " and mine")
  expect(await migrate(migration)).toMatchObject({ files: { conflict: 1, unchanged: files - 1 } })
  rmSync(memory)
  expect((await migrate(migration)).losses.map(({ why }) => why)).toEqual([
    expect.stringContaining("it was removed"),
  ])
})

test("what a rollback has left stays, and the rest can be made anew", async () => {
  const url = await postgres.loaded({ documents: 4, hazards: false })
  using target = place()
  const store = new MemoryStore()
  const migration = { url, directory: target.path, store }
  const { made } = (await migrate(migration)).files
  const memory = join(target.path, "workspaces/alice/MEMORY.md")
  appendFileSync(memory, "mine")
  for (const times of [1, 2]) {
    using run = new Run(target.path, "test")
    const { removed, kept } = rollback(run, store)
    const wanted = times === 1 ? made - 1 : 0
    expect({ times, removed, kept }).toEqual({ times, removed: wanted, kept: ["workspaces/alice/MEMORY.md"] })
    expect(store.kept.size).toBe(0)
  }
  expect((await compare(migration)).losses.length).toBeGreaterThan(made / 2)
  expect((await migrate(migration)).files).toMatchObject({ made: made - 1, conflict: 1 })
  expect(readFileSync(memory, "utf8")).toMatch(/mine$/)
})

test("rows that change, go and are vacuumed during the run are those of its moment", async () => {
  const url = await postgres.loaded({ documents: 30, hazards: false })
  await using client = await connectTo(url)
  // Long enough to be read in pieces, from where the row lies.
  await client.query(
    "UPDATE memory_documents SET content = repeat('before ', 30000) WHERE path LIKE 'projects/%'",
  )
  using undisturbed = place()
  await migrate({ url, directory: undisturbed.path })
  using target = place()
  const meanwhile = async (): Promise<void> => {
    await client.query("UPDATE memory_documents SET content = repeat('after ', 30000)")
    await client.query("DELETE FROM memory_documents WHERE path LIKE 'projects/p1/%'")
    await client.query("VACUUM memory_documents")
  }
  expect((await migrate({ url, directory: target.path, meanwhile })).losses).toEqual([])
  expect(picture(target.path)).toEqual(picture(undisturbed.path))
})

test("agents whose names no identity can have are in the plan", async () => {
  const url = postgres.server.url(await postgres.server.database())
  await using client = await connectTo(url)
  await loadP14(client)
  await client.query("INSERT INTO agent_identities VALUES ('Über Agent', '1', '{}', '{}', '')")
  using target = place()
  const { listed } = await planOf({ url, directory: target.path })
  expect(listed.filter(({ code }) => code === "no-identity").map(({ id }) => id)).toEqual(["Über Agent"])
  expect((await migrate({ url, directory: target.path })).losses).toEqual([])
  expect(readdirSync(join(target.path, "agents/Über Agent"))).toEqual(["identity.imported.json"])
})
