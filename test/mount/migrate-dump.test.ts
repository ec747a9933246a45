/** Migrations from dumps: the same files as from the server that was dumped. */
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, describe, expect, test } from "vitest"
import { dumpText } from "../../clawfs/migrate/dump/open-file.ts"
import { collected } from "../../clawfs/migrate/rows.ts"
import { exec, run } from "../helpers/exec.ts"
import { SMALL } from "../helpers/ironclaw/fixture.ts"
import { compare, migrate } from "../helpers/ironclaw/in-process.ts"
import { connectTo, load } from "../helpers/ironclaw/load.ts"
import { usePostgres } from "../helpers/ironclaw/postgres-tests.ts"
import { cli } from "../helpers/requirements.ts"

const place = mkdtempSync(join(tmpdir(), "clawfs-dump-"))
afterAll(() => rmSync(place, { recursive: true, force: true }))

/** Files by what is in them; those that name the source are left out. */
function picture(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !/\/(?:run|report)\.json$/.test(path))
      .map((path) => [
        path.slice(directory.length),
        createHash("sha256").update(readFileSync(path)).digest("hex"),
      ]),
  )
}

async function migrated(url: string, name: string): Promise<Record<string, string>> {
  const directory = mkdtempSync(join(place, name))
  expect((await migrate({ url, directory })).losses, name).toEqual([])
  return picture(directory)
}

describe("of PostgreSQL", () => {
  const postgres = usePostgres()

  test("in pg_dump's own format, and as INSERTs: the same bytes as from the server", async () => {
    const url = postgres.server.url(await postgres.server.database())
    await load(url, SMALL)
    await using client = await connectTo(url)
    await client.query(`CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE "Odd ""one" (a mood, b int[], c "char", d float8);
      INSERT INTO "Odd ""one" VALUES ('fine', '{1,NULL}', 'x', 'NaN'), (NULL, NULL, NULL, 0.1)`)
    const wanted = await migrated(url, "server")
    const dumps = { custom: ["--format=custom"], inserts: ["--inserts", "--rows-per-insert=7", "--create"] }
    for (const [name, options] of Object.entries(dumps)) {
      await run("pg_dump", [...options, `--file=${join(place, name)}`, url])
      expect(await migrated(join(place, name), `of-${name}`), name).toEqual(wanted)
    }
  })

  test("tar and directories say the same, and without pg_restore a sentence says what is missing", async () => {
    const url = postgres.server.url(await postgres.server.database())
    await load(url, { ...SMALL, documents: 2, hazards: false })
    // Comments name the time of the dump; \restrict has a key of its own each time.
    const textOf = async (path: string, searchPath = process.env["PATH"] ?? ""): Promise<string> =>
      (await collected(dumpText(path, searchPath))).toString().replace(/^(?:--|\\\w*restrict).*\n/gm, "")
    const texts: string[] = []
    for (const format of ["custom", "tar", "directory"]) {
      const path = join(place, `kind-${format}`)
      await run("pg_dump", [`--format=${format}`, `--file=${path}`, url])
      texts.push(await textOf(path))
      await expect(textOf(path, place)).rejects.toMatchObject({
        kind: "unsupported",
        message: expect.stringMatching(/is not in plain text, and pg_restore is not installed$/) as string,
      })
    }
    expect(texts[0]).toContain("COPY public.memory_documents")
    expect(texts.map((text) => text === texts[0])).toEqual([true, true, true])
    const words = ["migrate", "plan", join(place, "kind-tar")]
    const { code, stderr } = await exec("/usr/bin/env", [`PATH=${place}`, process.execPath, cli, ...words])
    expect([code, stderr]).toEqual([69, expect.stringContaining("apt-get install postgresql-client")])
  })
})

test("vectors of a dump, and nothing of it that could run", async () => {
  const text = `--
-- PostgreSQL database dump
--

SET standard_conforming_strings = on;
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
CREATE FUNCTION public.touch() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE TABLE public.memory_documents (id uuid DEFAULT public.touch() NOT NULL, user_id text NOT NULL, path text NOT NULL,
  content text CHECK (public.touch() > 0), twice text GENERATED ALWAYS AS (repeat(content, public.touch())) STORED);
CREATE TABLE public.memory_chunks (id integer, document_id uuid, chunk_index integer, content text, embedding public.vector(2));
CREATE TRIGGER t BEFORE INSERT ON public.memory_documents FOR EACH ROW EXECUTE FUNCTION public.touch();
SELECT public.touch();
COPY public.memory_documents (id, user_id, path, content) FROM stdin;
00000000-0000-4000-8000-000000000001\talice\tMEMORY.md\tline one\\nline two
\\.
COPY public.memory_chunks (id, document_id, chunk_index, content, embedding) FROM stdin;
1\t00000000-0000-4000-8000-000000000001\t0\tline one\t[0.5,-1]
2\t00000000-0000-4000-8000-000000000001\t1\tline two\t\\N
\\.
--
-- PostgreSQL database dump complete
--
`
  writeFileSync(join(place, "vectors.sql.gz"), gzipSync(text))
  const migration = { url: join(place, "vectors.sql.gz"), directory: mkdtempSync(join(place, "target")) }
  const { directory } = migration
  expect((await migrate(migration)).losses).toEqual([])
  expect((await compare(migration)).losses).toEqual([])
  expect(readFileSync(join(directory, "workspaces/alice/MEMORY.md"), "utf8")).toBe("line one\nline two")
  const archive = join(directory, "system/migrations/test/archive")
  const bytes = readFileSync(join(archive, "vectors-2.f32"))
  expect([bytes.length, bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([8, 0.5, -1])
  writeFileSync(join(place, "wrong.sql"), text.replace("[0.5,-1]", "[0.5,secret]"))
  await expect(migrate({ url: join(place, "wrong.sql"), directory: place })).rejects.toThrow(
    /^the dump has rows that do not fit their table \(SQLSTATE 22P02\)$/,
  )
})
