/** Dumps as text: what is a statement, what is a row, what is refused. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { partsOf, type Part } from "../../../clawfs/migrate/dump/parts.ts"
import { statementOf, type Statement } from "../../../clawfs/migrate/dump/statements.ts"
import { Tokenizer, type Token } from "../../../clawfs/migrate/dump/tokens.ts"

const FIRST = "--\n-- PostgreSQL database dump\n--\n\n"
const LAST = "--\n-- PostgreSQL database dump complete\n--\n\n"
const fault = (kind: string, message: RegExp): unknown =>
  expect.objectContaining({ kind, message: expect.stringMatching(message) as string })

function tokensOf(sql: string): Token[][] {
  const tokenizer = new Tokenizer()
  return sql.split(/(?<=\n)/).flatMap((line) => tokenizer.line(line))
}

function statement(sql: string): Statement | undefined {
  const [tokens = []] = tokensOf(sql)
  return statementOf(tokens)
}

async function parts(text: string, piece = 7): Promise<Part[]> {
  const bytes = Buffer.from(text)
  // eslint-disable-next-line @typescript-eslint/require-await -- a stream
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece)
  }
  const found: Part[] = []
  for await (const part of partsOf(pieces())) found.push(part)
  return found
}

describe("words", () => {
  test("of every kind, over the ends of lines", () => {
    expect(
      tokensOf(`SELECT "a""b", 'it''s\n2', E'\\'x', $q$;$$ '$q$, 1.5e3, B'101' /* a /* b */ ; */ -- c\n;`),
    ).toEqual([
      [
        { kind: "word", text: "select" },
        ...[
          { kind: "name", text: 'a"b' },
          { kind: "sign", text: "," },
        ],
        ...[
          { kind: "string", text: "it's\n2" },
          { kind: "sign", text: "," },
        ],
        ...[
          { kind: "escaped", text: "\\'x" },
          { kind: "sign", text: "," },
        ],
        ...[
          { kind: "string", text: ";$$ '" },
          { kind: "sign", text: "," },
        ],
        ...[
          { kind: "number", text: "1.5e3" },
          { kind: "sign", text: "," },
        ],
        { kind: "bits", text: "101" },
      ],
    ])
  })

  test("a function's body ends no statement, and what looks like rows in it are none", () => {
    const sql = `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC
      SELECT CASE WHEN true THEN 1 END; INSERT INTO memory_documents VALUES (1); END;
      CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES (1); $$; SELECT 1;`
    const all = tokensOf(sql)
    expect(all).toHaveLength(3)
    expect(all.map((tokens) => statementOf(tokens))).toEqual([undefined, undefined, undefined])
  })

  test("any text is words or a fault, never anything else", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(..."'\"$;()/*-\\\n ab1e.,".split(""))), (characters) => {
        try {
          tokensOf(characters.join(""))
        } catch (thrown) {
          expect(thrown).toEqual(fault("invalid", /psql/))
        }
      }),
    )
  })
})

describe("statements", () => {
  test("a table's columns, their types, which are computed", () => {
    const sql = `CREATE TABLE public."my t" (
      id uuid DEFAULT gen_random_uuid() NOT NULL, "user" character varying(255) COLLATE "C",
      kind "char", at timestamp(3) with time zone DEFAULT now(), n numeric(10,2)[] , v public.vector(3),
      tsv tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, (a || ','::text))) STORED,
      serial integer NOT NULL GENERATED ALWAYS AS IDENTITY, odd "My Types"."T y",
      CONSTRAINT c CHECK ((id IS NOT NULL), PRIMARY KEY (id)
    ) WITH (fillfactor='70');`.replace("NULL), PRIMARY", "NULL)), PRIMARY")
    expect(statement(sql)).toEqual({
      kind: "table",
      table: { schema: "public", name: "my t" },
      columns: [
        { name: "id", type: "uuid", isGenerated: false },
        { name: "user", type: "character varying(255)", isGenerated: false },
        { name: "kind", type: '"char"', isGenerated: false },
        { name: "at", type: "timestamp(3) with time zone", isGenerated: false },
        { name: "n", type: "numeric(10,2)[]", isGenerated: false },
        { name: "v", type: "public.vector(3)", isGenerated: false },
        { name: "tsv", type: "tsvector", isGenerated: true },
        { name: "serial", type: "integer", isGenerated: false },
        { name: "odd", type: '"My Types"."T y"', isGenerated: false },
      ],
    })
  })

  test("keys and plain indexes", () => {
    const table = { schema: "public", name: "t" }
    expect(statement("ALTER TABLE ONLY public.t ADD CONSTRAINT k PRIMARY KEY (a, b);")).toEqual({
      ...{ kind: "key", table, columns: ["a", "b"], isPrimary: true },
    })
    expect(statement("CREATE INDEX i ON public.t USING btree (a, b DESC);")).toEqual({
      ...{ kind: "key", table, columns: ["a", "b"], isPrimary: false },
    })
    for (const sql of [
      "CREATE INDEX i ON public.t USING btree (lower(a));",
      "CREATE UNIQUE INDEX i ON public.t USING btree (a) WHERE (b IS NULL);",
      "CREATE INDEX i ON public.t USING hnsw (e public.vector_cosine_ops);",
    ])
      expect(statement(sql)).toBeUndefined()
  })

  test("an INSERT of plain values is rows, one that computes is refused", () => {
    expect(
      statement(
        `INSERT INTO public.t (a, b) VALUES (1, 'x\\y\t''z'''), (-2.5, NULL), (true, '\\xff') ON CONFLICT DO NOTHING;`,
      ),
    ).toEqual({
      ...{ kind: "insert", table: { schema: "public", name: "t" }, columns: ["a", "b"] },
      rows: [
        ["1", "x\\\\y\\t'z'"],
        ["-2.5", "\\N"],
        ["true", "\\\\xff"],
      ],
    })
    for (const value of ["pg_read_file('/etc/passwd')", "1 + 1", "(SELECT 1)", "'a' || 'b'", "E'\\n'", "x"])
      expect(() => statement(`INSERT INTO t VALUES (${value});`), value).toThrow(
        expect.objectContaining({ kind: "invalid" }),
      )
    expect(() => statement("INSERT INTO t SELECT 1;")).toThrow(/computes/)
  })

  test("what can't be read as it is meant is refused", () => {
    expect(() => statement("COPY t (a) FROM '/etc/passwd';")).toThrow(/form that pg_dump/)
    expect(() => statement("COPY t (a) TO PROGRAM 'sh';")).toThrow(/form that pg_dump/)
    expect(() => statement("SET client_encoding = 'LATIN1';")).toThrow(/not in UTF-8/)
    expect(() => statement("SET standard_conforming_strings = off;")).toThrow(/conforming/)
    expect(() => statement("CREATE TABLE a (b int) PARTITION BY LIST (b);")).toThrow(/divided/)
    expect(() => statement("CREATE TABLE a (b int) INHERITS (c);")).toThrow(/inherits/)
    expect(() => statement("CREATE TABLE a AS SELECT 1;")).toThrow(/made of another/)
    expect(statement("SET client_encoding = 'UTF8';")).toBeUndefined()
  })
})

describe("a dump", () => {
  const copy = "COPY public.t (a, b) FROM stdin;\n1\tx\n\\\\.\ty\n\\.\n"

  test("is statements and rows, however its bytes come", async () => {
    const text = `${FIRST}\\restrict aB1\nSET x = 1;\n\\connect d\n${copy}SELECT 1;\n\\unrestrict aB1\n${LAST}`
    for (const piece of [1, 7, 1000]) {
      const found = await parts(text, piece)
      expect(
        found.map((part) => (part.kind === "rows" ? part.bytes.toString() : part.tokens[0]?.text)),
      ).toEqual([...["set", "copy", "1\tx\n\\\\.\ty\n", "select"]])
    }
  })

  test("that orders psql about is refused, wherever the order stands", async () => {
    for (const order of [
      "\\! touch /tmp/x",
      "\\copy t from '/etc/passwd'",
      "\\i /etc/passwd",
      "SELECT 1 \\gexec",
      "\\o |sh",
    ])
      await expect(parts(`${FIRST}${order}\n${LAST}`), order).rejects.toEqual(
        fault("invalid", /^the dump has a command of psql's/),
      )
  })

  test("that is cut off, of several databases, or none, is said so", async () => {
    const cut = fault("corrupt", /cut off/)
    await expect(parts(`${FIRST}${copy}`)).rejects.toEqual(cut)
    await expect(parts(`${FIRST}COPY t (a) FROM stdin;\n1\n${LAST}`)).rejects.toEqual(cut)
    await expect(parts(`${FIRST}SELECT 'a\n${LAST}`)).rejects.toEqual(cut)
    await expect(parts(`${FIRST}\\connect a\n\\connect b\n${LAST}`)).rejects.toEqual(
      fault("invalid", /several/),
    )
    await expect(parts("-- PostgreSQL database cluster dump\n")).rejects.toEqual(fault("invalid", /several/))
    for (const text of ["", "CREATE TABLE x (a int);\n", "hello\n", "\n".repeat(100)])
      await expect(parts(text)).rejects.toEqual(fault("invalid", /no dump of pg_dump's/))
  })
})
